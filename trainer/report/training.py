"""The report's part on training: curves, verdicts, and the same numbers as a table."""

from collections.abc import Iterator, Sequence

from service.pages.document import safe
from trainer.report.areas import KINDS, Counts, columns, verdict_areas
from trainer.report.axes import short, thinned
from trainer.report.cost import number
from trainer.report.curves import Line, line_chart
from trainer.report.facts import Facts, Row

_CURVES = (
    ("reward", "Reward, mean of a step"),
    ("useful_groups", "Useful groups, share with different rewards"),
    ("entropy", "Entropy, nats per token"),
    ("kl", "KL from the base model, nats per token"),
    ("completion_tokens", "Completion length, tokens"),
    ("learning_rate", "Learning rate"),
    ("loss", "Loss"),
    ("grad_norm", "Gradient norm"),
)
_LISTED = 25  # steps of a stage in its table; metrics.jsonl has them all


def training_section(facts: Facts) -> str:
    """Nothing where no step was taken."""
    stages = {stage: rows for stage, rows in facts.by_stage().items() if stage != "evaluate"}
    if not stages:
        return "<h2>Training</h2><p>No step has been taken.</p>"
    drawn = "".join(_charts(stages))
    return (
        "<h2>Training, step by step</h2><p class='soft'>Steps are numbered through all stages. "
        "Thin: as measured; thick: running mean. Reward is the share of right completions as they "
        f"were sampled, not accuracy.</p><div class='charts'>{drawn}</div>"
        f"{''.join(_verdicts(stages))}{''.join(_table(s, rows) for s, rows in stages.items())}"
    )


def _charts(stages: dict[str, list[Row]]) -> Iterator[str]:
    for name, title in _CURVES:
        lines = [
            Line(stage, points, noisy=name != "learning_rate")
            for stage, rows in stages.items()
            if (points := _points(rows, name))
        ]
        if lines:
            yield line_chart(f"c-{name.replace('_', '-')}", title, lines)


def _points(rows: Sequence[Row], name: str) -> list[tuple[int, float]]:
    found = ((row["step"], number(row.get(name))) for row in rows)
    return sorted((step, value) for step, value in found if value is not None)


def _verdicts(stages: dict[str, list[Row]]) -> Iterator[str]:
    for place, (stage, rows) in enumerate(stages.items()):
        found = columns(sorted(((row["step"], _counts(row)) for row in rows), key=lambda c: c[0]))
        if found:
            yield (
                f"<h3>What became of {safe(stage)}'s completions</h3><p class='soft'>Shares of "
                "verdicts; masked ones could not be judged and taught nothing.</p>"
                f"{verdict_areas(f'verdicts-{place}', found)}"
            )


def _counts(row: Row) -> Counts:
    told = row.get("verdicts")
    if not isinstance(told, dict):
        return {}
    counts = {kind: number(told.get(kind)) for kind in KINDS}
    return {kind: int(count) for kind, count in counts.items() if count and count > 0}


def _table(stage: str, rows: Sequence[Row]) -> str:
    named = [(name, title) for name, title in _CURVES if _points(rows, name)]
    with_verdicts = any(_counts(row) for row in rows)
    heads = ["step", *(name for name, _ in named), *(KINDS if with_verdicts else ())]
    shown = [rows[n] for n in thinned(len(rows), _LISTED)]
    body = "".join(_row(row, heads) for row in shown)
    cells = "".join(f'<th scope="col" class="n">{safe(name)}</th>' for name in heads)
    return (
        f"<details><summary>{safe(stage)}: {len(shown)} of {len(rows)} steps in numbers</summary>"
        f'<div class="wide"><table class="steps"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></details>"
    )


def _row(row: Row, heads: Sequence[str]) -> str:
    counts = _counts(row)
    values = [counts.get(name, 0) if name in KINDS else number(row.get(name)) for name in heads]
    return "<tr>" + "".join(_cell(n, v) for n, v in zip(heads, values, strict=True)) + "</tr>"


def _cell(name: str, value: float | None) -> str:
    told = "" if value is None else short(value)
    return f'<td class="n" data-name="{safe(name)}">{told}</td>'
