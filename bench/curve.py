"""Draw curves over one axis as a plain SVG file, one panel a curve."""

from collections.abc import Mapping, Sequence
from pathlib import Path

_WIDTH, _PANEL, _LEFT, _GAP = 760, 130, 70, 34


def draw(
    path: Path, x_name: str, x: Sequence[float], curves: Mapping[str, Sequence[float]]
) -> None:
    """Write the file; each panel starts at zero, so that a flat curve looks flat."""
    panels = [_panel(i, name, x, y) for i, (name, y) in enumerate(curves.items())]
    height = len(curves) * (_PANEL + _GAP) + 30
    end = f"{max(x):,.0f}"
    axis = _text(_LEFT, height - 8, "0") + _text(_WIDTH - 10, height - 8, f"{end} {x_name}", "end")
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(panels)}{axis}</svg>\n'
    )


def _panel(place: int, name: str, x: Sequence[float], y: Sequence[float]) -> str:
    top = place * (_PANEL + _GAP) + 24
    bottom = top + _PANEL
    highest = max(y) * 1.1 or 1.0
    across, up = (_WIDTH - _LEFT - 10) / (max(x) or 1.0), _PANEL / highest
    points = " ".join(
        f"{_LEFT + a * across:.1f},{bottom - b * up:.1f}" for a, b in zip(x, y, strict=True)
    )
    frame = f'<path d="M{_LEFT},{top}V{bottom}H{_WIDTH - 10}" fill="none" stroke="#888"/>'
    line = f'<polyline points="{points}" fill="none" stroke="#0b6" stroke-width="1.5"/>'
    labels = _text(_LEFT - 6, top + 10, f"{highest:,.0f}", "end") + _text(
        _LEFT - 6, bottom, "0", "end"
    )
    return frame + line + labels + _text(_LEFT, top - 6, name)


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>'
