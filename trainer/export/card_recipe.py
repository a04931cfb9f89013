"""Sections of the card on training: the data with what was left out, and every stage's settings."""

from collections.abc import Callable
from typing import Any

from service.jobs.spec import Hyperparameters
from service.text2sql.layouts import Split
from trainer.data_files import data_path, file_hashes
from trainer.export.about import About
from trainer.export.card_text import code, table
from trainer.export.source import Source
from trainer.report.cost import costs, machine_hours
from trainer.report.facts import Facts
from trainer.report.origin import left_out

Settings = dict[str, Any]


def data_section(source: Source, about: About) -> str:
    """Files with their hashes, questions used, questions left out by reason, licences."""
    request = source.facts.request
    splits: tuple[Split, Split] = ("train", "dev")
    rows = [
        [split, code(name), code(digest)]
        for split in splits
        if (path := data_path(request, split))
        for name, digest in file_hashes(path, split)
    ]
    told = [table(["split", "file", "SHA-256"], rows), _used(source.facts)]
    told.append(f"Licence of the training data: {about.data_license or 'not told'}.")
    told.append(
        "Gold queries judged the completions. "
        + ("They were trained on, too." if _trains_on_gold(source) else "None was trained on.")
        + " The dev file was for choosing and measuring."
    )
    return "## Data\n\n" + "\n\n".join(told)


def recipe_section(source: Source) -> str:
    """Stage by stage: settings, steps, hours."""
    facts = source.facts
    spent = table(
        ["stage", "steps", "hours", "tokens"],
        (
            [cost.stage, str(cost.steps), f"{cost.hours:.2f}", f"{cost.tokens or 0:,}"]
            for cost in costs(facts)
        ),
    )
    hours = sum(cost.hours for cost in costs(facts))
    total = f"In all {machine_hours(facts.request.spec.resources, hours)}."
    parts = [_settings(stage, facts.settings) for stage in facts.request.spec.recipe]
    return "\n\n".join(["## Recipe", *parts, spent, total])


def _settings(stage: str, chosen: Hyperparameters) -> str:
    found = _BY_STAGE[stage](chosen)
    rows = ([name, code(value)] for name, value in found.items())
    return f"### {stage}\n\n{table(['setting', 'value'], rows)}"


def _grpo(chosen: Hyperparameters) -> Settings:
    others = {"select", "offline", "evaluate", "data", "integrations"}
    return chosen.model_dump(exclude=others) | _flat("data", chosen.data.model_dump())


def _flat(prefix: str, values: Settings) -> Settings:
    return {f"{prefix}.{name}": value for name, value in values.items()}


_BY_STAGE: dict[str, Callable[[Hyperparameters], Settings]] = {
    "select": lambda chosen: chosen.select.model_dump(),
    "offline": lambda chosen: chosen.offline.model_dump() | {"lora_rank": chosen.lora_rank},
    "grpo": _grpo,
    "evaluate": lambda chosen: chosen.evaluate.model_dump(),
}


def _trains_on_gold(source: Source) -> bool:
    recipe = source.facts.request.spec.recipe
    return "offline" in recipe and source.facts.settings.offline.train_on_gold


def _used(facts: Facts) -> str:
    rows = [e["data"] for e in facts.events if e.get("type") == "data" and "data" in e]
    used = f"{rows[-1].get('rows')} questions were trained on" if rows else "Not told"
    out = ", ".join(f"{code(reason)} {count}" for reason, count in left_out(facts).items())
    return f"{used}; left out: {out or 'none'}."
