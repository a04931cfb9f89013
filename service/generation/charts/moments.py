"""Moments as Vega-Lite reads them: ISO 8601 in UTC, or milliseconds since 1970."""

from collections.abc import Collection
from datetime import datetime

_FEW = 12


def moment(value: str) -> str:
    """A year, month, day or time of day in ISO 8601, in UTC where no zone is given."""
    if len(value) == 4:
        return f"{value}-01-01T00:00:00Z"
    if len(value) == 7:
        return f"{value}-01T00:00:00Z"
    if len(value) == 10:
        return f"{value}T00:00:00Z"
    whole = value.replace(" ", "T", 1)
    has_zone = whole.endswith("Z") or "+" in whole or "-" in whole[11:]
    return whole if has_zone else f"{whole}Z"


def ticks(values: Collection[str]) -> tuple[int, ...]:
    """The moments in order, where they are few enough to mark an axis; () otherwise."""
    if len(values) > _FEW:
        return ()
    return tuple(sorted(int(_instant(value).timestamp() * 1000) for value in values))


def _instant(value: str) -> datetime:
    return datetime.fromisoformat(moment(value).replace("Z", "+00:00"))
