"""The numbers of a run as short plain text; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.pages.texts import one_line

KINDS = ("match", "mismatch", "error", "timeout", "no_sql", "masked")
_BLOCKS = " ▁▂▃▄▅▆▇█"
_SHOWN = ("reward", "useful_groups", "completion_tokens", "entropy", "kl", "loss", "dev_accuracy")

Row = Mapping[str, Any]


def step_line(
    row: Row, stage: str | None = None, *, max_steps: int = 0, eta_s: float | None = None
) -> str:
    """`grpo 12/60  reward 0.5  useful_groups 0.25 ...  match 4 mismatch 4  31.5 s  eta 25 min`.

    `stage` is the one of a row that does not say; without `max_steps` the step stands alone.
    """
    total = f"/{max_steps}" if max_steps else ""
    parts = [f"{row.get('stage') or stage or 'step'} {row.get('step')}{total}"]
    parts += [f"{name} {number:.3g}" for name in _SHOWN if (number := row.get(name)) is not None]
    verdicts = row.get("verdicts") or {}
    if counted := [f"{kind} {verdicts[kind]}" for kind in KINDS if verdicts.get(kind)]:
        parts.append(" ".join(counted))
    if seconds := row.get("seconds"):
        parts.append(f"{seconds:.1f} s")
    if eta_s:
        parts.append(f"eta {duration(eta_s)}")
    return "  ".join(parts)


def event_line(row: Row) -> str:
    """`type: message`, on one line, safe for a terminal."""
    return one_line(f"{row.get('type')}: {row.get('message')}")


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def sparkline(values: Sequence[float], width: int) -> str:
    """The last values, each up to `width` averaged, from their least to their largest."""
    if not values:
        return ""
    means = averages(values, width)
    low, high = min(means), max(means)
    top = len(_BLOCKS) - 2
    return "".join(
        _BLOCKS[1 + round(top * (m - low) / (high - low) if high > low else 0)] for m in means
    )


def averages(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values, each the mean of its share of them."""
    size = max(1, len(values) / width)
    count = min(width, len(values))
    groups = [
        values[int(n * size) : max(int(n * size) + 1, int((n + 1) * size))] for n in range(count)
    ]
    return [sum(group) / len(group) for group in groups]


def shares(counts: Mapping[str, int], width: int) -> list[tuple[str, int]]:
    """Characters for each kind of verdict, `width` in all, each that occurs at least one."""
    found = {kind: counts[kind] for kind in KINDS if counts.get(kind)}
    total = sum(found.values())
    if not total:
        return []
    drawn = {kind: max(1, int(width * count / total)) for kind, count in found.items()}
    largest = max(found, key=lambda kind: found[kind])
    drawn[largest] += width - sum(drawn.values())
    return list(drawn.items())
