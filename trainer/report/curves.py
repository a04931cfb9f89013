"""Numbers over steps as inline SVG: a thin line as measured, a thick one as running mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.pages.document import safe
from trainer.report.axes import running_mean, short, thinned, ticks, whole_ticks

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 420, 210, 52, 12, 22, 26
_DRAWN = 400  # points of one line
_FEW = 12  # points that get a mark each and no running mean


@dataclass(frozen=True, slots=True)
class Line:
    """One stage's numbers, by step in rising order; never empty."""

    stage: str
    points: Sequence[tuple[int, float]]
    noisy: bool = True
    """If not, it is drawn as it is."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a step and a value lie in the picture."""

    first: int
    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        """From the left."""
        width = _WIDTH - _LEFT - _RIGHT
        spread = self.last - self.first
        return _LEFT + (width * (step - self.first) / spread if spread else width / 2)

    def y(self, value: float) -> float:
        """From the top."""
        height = _HEIGHT - _TOP - _BOTTOM
        return _TOP + height * (self.high - value) / (self.high - self.low)


def line_chart(name: str, title: str, lines: Sequence[Line]) -> str:
    """One figure; `name` is unique on the page, stages are told apart by lines and their names."""
    steps = [step for line in lines for step, _ in line.points]
    levels = ticks(*_range([value for line in lines for _, value in line.points]))
    frame = Frame(min(steps), max(steps), levels[0], levels[-1])
    grid = "".join(_level(level, frame) for level in levels)
    grid += "".join(step_mark(step, frame.x(step)) for step in whole_ticks(min(steps), max(steps)))
    drawn = "".join(_line(line, frame) for line in lines)
    borders = "".join(_border(line, frame) for line in lines) if len(lines) > 1 else ""
    described = "; ".join(map(_told, lines))
    return figure(name, title, described, grid + borders + drawn)


def figure(name: str, title: str, described: str, inner: str) -> str:
    """A picture with a caption for all and a description for those who do not see it."""
    return (
        f'<figure class="chart"><figcaption>{safe(title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{safe(title)}</title><desc id="{name}-d">{safe(described)}</desc>'
        f"{inner}</svg></figure>"
    )


def step_mark(step: int, x: float) -> str:
    """A number below the picture."""
    return f'<text x="{x:.1f}" y="{_HEIGHT - 6}" class="tick middle">{step:,}</text>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    # A scale that begins at 0 shows what a change is worth, unless that flattens it to a line.
    return (0.0 if 0 < low < 0.7 * high else low), high


def _level(value: float, frame: Frame) -> str:
    y = frame.y(value)
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="tick label">{short(value)}</text>'
    )


def _border(line: Line, frame: Frame) -> str:
    x = frame.x(line.points[0][0])
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{_HEIGHT - _BOTTOM}" class="border"/>'
        f'<text x="{x + 4:.1f}" y="{_TOP - 9}" class="tick">{safe(line.stage)}</text>'
    )


def _line(line: Line, frame: Frame) -> str:
    values = [value for _, value in line.points]
    if not line.noisy:
        return _path(line.points, frame, "mean")
    if len(values) <= _FEW:
        marks = "".join(
            f'<circle cx="{frame.x(s):.1f}" cy="{frame.y(v):.1f}" r="3"/>' for s, v in line.points
        )
        return f"<g>{_path(line.points, frame, 'mean')}{marks}</g>"
    steps = [step for step, _ in line.points]
    smooth = list(zip(steps, running_mean(values, max(5, len(values) // 15)), strict=True))
    return f"<g>{_path(line.points, frame, 'raw')}{_path(smooth, frame, 'mean')}</g>"


def _path(points: Sequence[tuple[int, float]], frame: Frame, style: str) -> str:
    kept = [points[n] for n in thinned(len(points), _DRAWN)]
    places = " ".join(f"{frame.x(step):.1f},{frame.y(value):.1f}" for step, value in kept)
    return f'<polyline class="{style}" points="{places}"/>'


def _told(line: Line) -> str:
    values = [value for _, value in line.points]
    (first, start), (last, end) = line.points[0], line.points[-1]
    return (
        f"{line.stage}: {short(start)} at step {first}, {short(end)} at step {last}, between "
        f"{short(min(values))} and {short(max(values))}"
    )
