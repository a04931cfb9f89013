"""A run's report as one HTML page, safe whatever questions, answers and databases hold."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.pages.bars import Bar, bars
from service.pages.document import document, numbers, safe
from service.pages.texts import counted
from service.text2sql.evaluation.charts import Curve, ShareBar, curves, share_bars
from service.text2sql.evaluation.manifest import Manifest
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.page_table import table_of
from service.text2sql.evaluation.summary import Summary

_HERE = Path(__file__).parent
_DATABASES = 40  # drawn; summary.json has them all
_NUMBERS = ("accuracy", "95 % interval", "right", "judged", "mean of the metric")
_BOUNDS_S = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)


def as_html(
    manifest: Manifest, summary: Summary, outcomes: Sequence[Outcome], metrics: Sequence[str]
) -> bytes:
    """UTF-8, without any other file or host; `metrics` as they were asked, the first one leads."""
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    body = "".join(_sections(manifest, summary, outcomes, metrics))
    title = f"Evaluation on {manifest['questions']['file']}"
    return document(title, _lead(manifest, summary, metrics[0]), body, css)


def _lead(manifest: Manifest, summary: Summary, metric: str) -> str:
    whole = summary["accuracy"][metric][-1]
    share = "nothing judged" if whole["share"] is None else f"{whole['share']:.1%}"
    boxes = numbers(
        {
            metric: share,
            "judged": f"{summary['judged']:,}",
            "left out": f"{len(summary['masked']):,}",
            "tokens read": f"{summary['tokens']['prompt']:,}",
            "tokens written": f"{summary['tokens']['completion']:,}",
            "seconds": f"{manifest['seconds']:,.0f}",
        }
    )
    asked, so_far = manifest["questions"]["asked"], summary["questions"]
    unfinished = (
        f'<p class="soft">Unfinished: {so_far} of {asked} questions are answered.</p>'
        if manifest["status"] != "finished"
        else ""
    )
    return f'<p class="soft">{safe(_model(manifest))}</p>{unfinished}{boxes}'


def _model(manifest: Manifest) -> str:
    model = manifest["answered_by"]["model"] or {}
    known = {name: value for name, value in model.items() if value}
    named = [known.pop("name", "no model told")]
    return ", ".join([*named, *(f"{name} {value}" for name, value in known.items())])


def _sections(
    manifest: Manifest, summary: Summary, outcomes: Sequence[Outcome], metrics: Sequence[str]
) -> Iterator[str]:
    for metric in metrics:
        yield _accuracy(summary, metric)
    yield from _sampling(summary, metrics[0])
    yield _databases(summary, metrics[0])
    yield _statuses(summary, outcomes, metrics[0])
    yield _times(outcomes)
    yield _made_with(manifest)
    yield table_of(outcomes, metrics[0])


def _accuracy(summary: Summary, metric: str) -> str:
    rows = summary["accuracy"][metric]
    if not summary["judged"]:
        return f"<h2>{safe(metric)}</h2><p>No question could be judged: there is no accuracy.</p>"
    drawn = share_bars(f"{metric}-a", f"{metric} by difficulty", [_share_bar(row) for row in rows])
    return (
        f"<h2>{safe(metric)} by difficulty</h2><p class='soft'>Right answers among those judged; "
        f"the whisker is Wilson's 95 % interval.</p>{drawn}{_accuracy_table(rows)}"
    )


def _accuracy_table(rows: Sequence[Mapping[str, Any]]) -> str:
    shown = "".join(f'<th scope="col" class="n">{name}</th>' for name in _NUMBERS)
    body = "".join(f"<tr>{_accuracy_row(row)}</tr>" for row in rows)
    return (
        f'<table class="shares"><thead><tr><th scope="col">difficulty</th>{shown}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _accuracy_row(row: Mapping[str, Any]) -> str:
    cells = ["none", "none", row["right"], row["judged"], "none"]
    if row["share"] is not None:
        low, high = row["interval_95"]
        cells[:2] = [f"{row['share']:.1%}", f"{low:.1%} to {high:.1%}"]
        cells[4] = f"{row['mean']:.4f}"
    shown = "".join(
        f'<td class="n" data-name="{name}">{cell}</td>'
        for name, cell in zip(_NUMBERS, cells, strict=True)
    )
    return f'<th scope="row">{safe(row["name"])}</th>{shown}'


def _share_bar(row: Mapping[str, Any]) -> ShareBar:
    interval = row["interval_95"]
    note = f"{row['right']:,} of {row['judged']:,}"
    return ShareBar(row["name"], row["share"], tuple(interval) if interval else None, note)


def _sampling(summary: Summary, metric: str) -> Iterator[str]:
    at_k = summary["at_k"][metric]
    if not at_k or at_k[-1]["k"] < 2:
        return
    found = [Curve("pass@k", [(row["k"], row["pass_at_k"]) for row in at_k], "first")]
    majority = [(r["k"], r["majority_at_k"]) for r in at_k if r["majority_at_k"] is not None]
    if majority:
        found.append(Curve("majority@k", majority, "second"))
    yield (
        f"<h2>More samples</h2><p class='soft'>{safe(metric)} with k samples a question: pass@k if "
        "one of them is right, majority@k if the result that most of them have is.</p>"
        f"{curves('at-k', 'pass@k and majority@k', found)}"
    )


def _databases(summary: Summary, metric: str) -> str:
    rows = sorted(summary["databases"][metric], key=lambda row: (-row["judged"], row["name"]))
    more = len(rows) - _DATABASES
    note = f" The {_DATABASES} with most questions; {more} more are in summary.json."
    drawn = share_bars("db", f"{metric} by database", [_share_bar(r) for r in rows[:_DATABASES]])
    return (
        f"<h2>{safe(metric)} by database</h2><p class='soft'>With few questions an interval is "
        f"wide.{note if more > 0 else ''}</p>{drawn}"
    )


def _statuses(summary: Summary, outcomes: Sequence[Outcome], metric: str) -> str:
    right: dict[str, int] = {}
    for outcome in outcomes:
        right[outcome.status] = right.get(outcome.status, 0) + outcome.right(metric)
    found = [Bar(name, n, right[name]) for name, n in summary["statuses"].items()]
    masked = "".join(
        f"<li>{safe(m['question_id'])} ({safe(m['db_id'])}): {safe(m['status'])}, "
        f"{safe(m['message'])}</li>"
        for m in summary["masked"]
    )
    left_out = (
        f"<p>{counted(len(summary['masked']), 'question')} left out of every share, since the gold "
        f"or the service was at fault:</p><ul>{masked}</ul>"
        if masked
        else ""
    )
    return (
        "<h2>What became of the answers</h2><p class='soft'>Questions by status; filled: right."
        f"</p>{bars('statuses', 'Questions by status', found)}{left_out}"
    )


def _times(outcomes: Sequence[Outcome]) -> str:
    """By the first bound that a latency does not exceed."""
    counts = [0] * (len(_BOUNDS_S) + 1)
    for outcome in outcomes:
        seconds = outcome.latency_ms / 1000
        place = next((n for n, bound in enumerate(_BOUNDS_S) if seconds <= bound), len(_BOUNDS_S))
        counts[place] += 1
    labels = [*(f"to {bound:g} s" for bound in _BOUNDS_S), f"more than {_BOUNDS_S[-1]} s"]
    found = [Bar(name, n, n) for name, n in zip(labels, counts, strict=True)]
    return (
        "<h2>How long answers took</h2><p class='soft'>Questions by the service's own time for the "
        f"answer, as asked, several at once.</p>{bars('times', 'Time', found, 'plain')}"
    )


def _made_with(manifest: Manifest) -> str:
    told = {
        "settings": manifest["settings"],
        "questions": manifest["questions"],
        "answered by": manifest["answered_by"],
        "templates": manifest["templates"],
        "prompts' digest": manifest["prompts_sha256"],
        "service": manifest.get("service"),
        "machine": manifest.get("machine"),
        "started, ended": f"{manifest['started_at']}, {manifest['ended_at']}",
    }
    rows = (
        f'<tr><th scope="row">{safe(name)}</th><td>{safe(_flat(value))}</td></tr>'
        for name, value in told.items()
    )
    return (
        '<h2>Made with</h2><p class="soft">manifest.json has this, and the databases\' hashes.</p>'
        f'<table class="made"><tbody>{"".join(rows)}</tbody></table>'
    )


def _flat(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_flat, value))
    if not isinstance(value, Mapping):
        return "not told" if value is None else str(value)
    return ", ".join(f"{name} {_flat(v)}" for name, v in value.items()) or "none"
