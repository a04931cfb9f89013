"use strict";
const rows = [...document.querySelectorAll("#found tbody tr")];
const texts = rows.map((row) => row.textContent.toLowerCase());
const form = document.querySelector("form");
const shown = document.querySelector("#shown");
function filter() {
  const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const kind = form.elements.kind.value, db = form.elements.db.value;
  let count = 0;
  rows.forEach((row, n) => {
    const [k, , d] = row.children;
    const fits = (!kind || k.dataset.kind === kind) && (!db || d.textContent === db) &&
      words.every((word) => texts[n].includes(word));
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
