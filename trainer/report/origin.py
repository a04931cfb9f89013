"""The report's parts on what was run, what it cost, and what it was made with."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.jobs.spec import RunRequest
from service.pages.document import safe
from service.text2sql.evaluation.charts import ShareBar, share_bars
from trainer.report.cost import costs, machine_hours
from trainer.report.facts import Facts, Row
from trainer.report.tables import pairs, table


def run_section(facts: Facts) -> str:
    """The spec, the model, the data with what was left out."""
    spec = facts.request.spec
    told = {
        "recipe": ", ".join(spec.recipe),
        "base model": spec.base_model,
        "prompt": _template(facts),
        "training data": facts.request.train_data_path.name,
        "dev data": _dev(facts.request),
        "questions trained on": _rows(facts),
        "left out": _listed(left_out(facts)) or "none",
        "resources": _listed(spec.resources.model_dump()),
        "seed": spec.seed,
    }
    changed = spec.hyperparameters.model_dump(exclude_defaults=True, mode="json")
    return (
        f"<h2>What was run</h2>{pairs((k, v) for k, v in told.items() if v is not None)}"
        f"<h3>Settings that differ from the defaults</h3>{pairs(_flat(changed)) or ''}"
        "<details><summary>the whole spec</summary>"
        f"<code>{safe(json.dumps(spec.model_dump(mode='json'), indent=1))}</code></details>"
    )


def cost_section(facts: Facts) -> str:
    """Steps, hours and tokens by stage."""
    found = costs(facts)
    if not found:
        return ""
    total = sum(cost.hours for cost in found)
    rows = [
        [
            cost.stage,
            f"{cost.steps:,}",
            f"{cost.hours:,.2f}",
            "not counted" if cost.tokens is None else f"{cost.tokens:,}",
            "" if cost.peak_memory_mb is None else f"{cost.peak_memory_mb:,}",
        ]
        for cost in found
    ]
    heads = ["stage", "steps", "hours", "tokens", "peak memory, MB"]
    drawn = [ShareBar(c.stage, c.hours / total, None, f"{c.hours:.2f} h") for c in found if total]
    return (
        f"<h2>Cost</h2><p>{safe(machine_hours(facts.request.spec.resources, total))}, "
        f"{total:,.2f} hours by the clock, {sum(c.tokens or 0 for c in found):,} tokens read and "
        "written. What was redone after a stop is not counted.</p>"
        f"{table(heads, rows, numbers=range(1, 5))}{_time_bars(drawn)}"
    )


def manifest_section(facts: Facts) -> str:
    """Hashes and versions of the newest checkpoint, and the events worth a look."""
    newest = list(facts.manifests.items())[-1:]
    told: list[tuple[str, object]] = [("job", facts.request.job_id), ("state", facts.status.state)]
    if facts.status.error:
        told.append(("error", f"{facts.status.error.code}: {facts.status.error.message}"))
    told.append(("checkpoints", ", ".join(map(str, facts.manifests)) or "none"))
    for number, manifest in newest:
        known = {k: v for k, v in manifest.items() if k not in ("metrics", "step", "created_at")}
        told += [("newest checkpoint", number), *_flat(known)]
    return f"<h2>Made with</h2>{pairs(told)}{_warnings(facts)}"


def left_out(facts: Facts) -> dict[str, Any]:
    """Questions by the reason why they were not trained on, as the newest event tells it."""
    found = _newest(facts, "data_dropped").get("dropped")
    return found if isinstance(found, dict) else {}


def _dev(request: RunRequest) -> str | None:
    if request.dev_data_path is None:
        return None
    same = ", other questions about the databases that were trained on: nothing is said of others"
    return request.dev_data_path.name + (same if request.same_databases else "")


def _rows(facts: Facts) -> object:
    return _newest(facts, "data").get("rows")


def _newest(facts: Facts, type_: str) -> Row:
    told = [event.get("data") for event in facts.events if event.get("type") == type_]
    last = told[-1] if told else None
    return last if isinstance(last, dict) else {}


def _template(facts: Facts) -> str:
    policies = [found.get("policy") for found in facts.stages.values()]
    named = [policy.get("template") for policy in policies if isinstance(policy, dict)]
    return str(named[-1]) if named and named[-1] else facts.settings.template


def _time_bars(drawn: list[ShareBar]) -> str:
    return share_bars("time", "Hours by stage", drawn) if len(drawn) > 1 else ""


def _warnings(facts: Facts) -> str:
    found = [e for e in facts.events if e.get("level") in ("warning", "error")]
    if not found:
        return ""
    listed = "".join(
        f"<li>{safe(event.get('type'))}: {safe(event.get('message'))}</li>" for event in found[-20:]
    )
    return f"<h3>Warnings and errors, the last 20 of {len(found)}</h3><ul>{listed}</ul>"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _told(value)


def _told(value: Any) -> object:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
