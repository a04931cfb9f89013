"""The report's part on offline: candidates, pass rates, and what was kept to train on."""

from collections import Counter
from collections.abc import Iterable

from service.pages.bars import Bar, bars
from service.pages.document import numbers as boxes
from service.pages.document import safe
from trainer.files import CANDIDATES
from trainer.report.facts import Facts, Row, read_lines, rows_of
from trainer.report.tables import table

_TOLD = {
    "questions": "questions",
    "candidates": "candidates",
    "mean_reward": "mean pass rate",
    "all_right": "all right",
    "all_wrong": "all wrong",
    "not_judged": "not judged",
    "trained_questions": "trained on, questions",
    "trained_completions": "kept completions",
}
_STATUSES = 12
_NONE, _ALL = "none right", "all right"


def offline_section(facts: Facts) -> str:
    """Nothing where the stage has not begun."""
    path = facts.path / "stages" / "offline" / CANDIDATES
    rates, templates, statuses = _read(read_lines(path))
    told = facts.numbers("offline")
    if not rates and not told:
        return ""
    shown = {label: _short(told[name]) for name, label in _TOLD.items() if name in told}
    return (
        f"<h2>Offline: candidates and their scores</h2>{boxes(shown)}{_histogram(rates)}"
        f"{_by_template(templates)}{_by_status(statuses)}"
    )


Read = tuple[list[float], dict[str, list[float]], Counter[str]]


def _read(lines: Iterable[Row]) -> Read:
    """Pass rate of each question, pass rates by template, completions by status."""
    rewards: dict[str, list[float]] = {}
    templates: dict[str, list[float]] = {}
    statuses: Counter[str] = Counter()
    for line in lines:
        written = rows_of(line.get("completions"))
        statuses.update(str(one.get("status")) for one in written)
        judged = [float(one["reward"]) for one in written if _is_number(one.get("reward"))]
        rewards.setdefault(str(line.get("question_id")), []).extend(judged)
        if judged:
            templates.setdefault(str(line.get("template")), []).append(_mean(judged))
    return [_mean(judged) for judged in rewards.values() if judged], templates, statuses


def _histogram(rates: list[float]) -> str:
    """All wrong and all right apart from the ten bins between them."""
    if not rates:
        return ""
    counts = Counter(map(_bin, rates))
    between = [f"{n * 10} to {n * 10 + 10} %" for n in range(10)]
    found = [
        Bar(label, counts[label], 0 if label in (_NONE, _ALL) else counts[label])
        for label in (_NONE, *between, _ALL)
    ]
    drawn = bars("rates", "Questions by pass rate of their candidates", found)
    return (
        "<h3>Pass rates</h3><p class='soft'>Questions by the share of their candidates that are "
        f"right. Hatched: no signal for GRPO, since all candidates have one reward.</p>{drawn}"
    )


def _bin(rate: float) -> str:
    if rate in (0, 1):
        return _ALL if rate else _NONE
    tenth = min(9, int(rate * 10))
    return f"{tenth * 10} to {tenth * 10 + 10} %"


def _by_template(templates: dict[str, list[float]]) -> str:
    if len(templates) < 2:
        return ""
    rows = [[name, f"{_mean(rates):.1%}", len(rates)] for name, rates in templates.items()]
    heads = ["prompt strategy", "mean pass rate", "questions"]
    return f"<h3>By prompt strategy</h3>{table(heads, rows, numbers=(1, 2))}"


def _by_status(statuses: Counter[str]) -> str:
    if not statuses:
        return ""
    found = [Bar(name, n, n * (name == "match")) for name, n in statuses.most_common(_STATUSES)]
    drawn = bars("candidates", "Candidates by verdict", found)
    return f"<h3>Verdicts on candidates</h3><p class='soft'>Filled: right.</p>{drawn}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    return (
        f"{value:,.4g}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else safe(value)
    )
