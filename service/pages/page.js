"use strict";
const rows = [...document.querySelectorAll("#found tbody tr")];
const texts = rows.map((row) => row.textContent.toLowerCase());
const form = document.querySelector("form");
const shown = document.querySelector("#shown");
function filter() {
  const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = [...form.querySelectorAll("select")].filter((menu) => menu.value);
  let count = 0;
  rows.forEach((row, n) => {
    const fits = words.every((word) => texts[n].includes(word)) && chosen.every(
      (menu) => row.children[menu.dataset.column].textContent === menu.value);
    row.hidden = !fits;
    count += fits;
  });
  shown.textContent = `${count} of ${rows.length} shown`;
}
if (form) {
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
}
