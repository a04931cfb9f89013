"""README.md of an exported model: front matter for the hub, then a card for people."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from trainer.export.about import About
from trainer.export.base import PublicBase
from trainer.export.card_data import card_name, front_matter
from trainer.export.card_recipe import data_section, recipe_section
from trainer.export.card_text import (
    code,
    limits_section,
    loading_section,
    numbers_section,
    origin_section,
)
from trainer.export.source import Source


def write_card(
    source: Source,
    base: PublicBase,
    about: About,
    out: Path,
    hashes: Mapping[str, str],
    *,
    merged: bool,
) -> None:
    """`hashes` are SHA-256 by file name. Texts from the run stand on one line, in code spans."""
    title = escape(card_name(source, base, about), quote=False)
    sections = [
        f"# {title}\n\n{_lead(source, base, merged=merged)}",
        loading_section(source, base, merged=merged),
        numbers_section(source),
        data_section(source, about),
        recipe_section(source),
        limits_section(about),
        origin_section(source, base, hashes),
    ]
    text = front_matter(source, base, about, merged=merged) + "\n" + "\n\n".join(sections) + "\n"
    (out / "README.md").write_text(text, encoding="utf-8")


def _lead(source: Source, base: PublicBase, *, merged: bool) -> str:
    kind = "Weights" if merged or not source.is_adapter else "A LoRA adapter"
    stages = ", ".join(source.facts.request.spec.recipe)
    return (
        f"{kind} for text-to-SQL (SQLite), made from {code(base.name)} by reinforcement learning "
        f"on verifiable rewards: a completion earns 1 if its SQL gives the gold's result, else "
        f"0. Stages: {stages}; this is checkpoint {source.number}."
    )
