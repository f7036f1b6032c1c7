"""Charts as inline SVG whose colours come from the page's style sheet, so that they follow its light or dark theme."""

from dataclasses import dataclass, field
from html import escape
from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy import ndarray

from widenet.errors import InvalidInput

Values = Float[ndarray, " n"]
Shape = Literal["circle", "square", "diamond"]
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 16, 48


@dataclass(frozen=True)
class Axis:
    """One axis: what it shows, and from where to where.

    Attributes:
        label: Its title.
        low: Value at the left or lower end.
        high: Value at the right or upper end.
        log: Whether equal steps are equal ratios; low must then be positive.
    """

    label: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise InvalidInput("an axis must run from a finite low to a higher one", f"{self.low} to {self.high}")
        if self.log and self.low <= 0:
            raise InvalidInput("a logarithmic axis must start above 0", repr(self.low))

    @classmethod
    def around(cls, label: str, values: ndarray, *, log: bool = False) -> "Axis":
        """An axis that holds these values with a margin of 5 %."""
        finite = np.asarray(values, dtype=np.float64)
        finite = finite[np.isfinite(finite) & ((finite > 0) | (not log))]
        if len(finite) == 0:
            return cls(label, 1.0, 10.0, log)
        ends = np.log10([finite.min(), finite.max()]) if log else np.array([finite.min(), finite.max()])
        margin = 0.05 * (ends[1] - ends[0]) or 0.05 * abs(ends[1]) or 0.5
        low, high = float(ends[0] - margin), float(ends[1] + margin)
        return cls(label, 10**low, 10**high, log) if log else cls(label, low, high)

    def place(self, values: ndarray | float) -> ndarray:
        """Positions in [0, 1] along the axis."""
        v = np.asarray(values, dtype=np.float64)
        if self.log:
            return np.asarray(np.log(np.maximum(v, 1e-300) / self.low) / np.log(self.high / self.low))
        return np.asarray((v - self.low) / (self.high - self.low))

    def ticks(self) -> list[tuple[float, str]]:
        """Values with their labels."""
        locator = LogLocator(numticks=7) if self.log else MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])
        values = [float(v) for v in locator.tick_values(self.low, self.high)]
        span = self.high - self.low
        inside = [
            v
            for v in values
            if (self.low <= v <= self.high if self.log else -1e-9 <= (v - self.low) / span <= 1 + 1e-9)
        ]
        return [(v, _power(v) if self.log else _number(v, span)) for v in inside]


@dataclass
class Chart:
    """Axes and marks, drawn in the order in which they are added."""

    x: Axis
    y: Axis
    title: str
    width: int = 560
    height: int = 380
    marks: list[str] = field(default_factory=list)

    def line(self, xs: Values, ys: Values, style: str) -> None:
        """Straight lines from point to point; points that are not finite are left out."""
        self.marks.append(f'<polyline class="line {style}" points="{self._path(xs, ys)}"/>')

    def band(self, xs: Values, low: Values, high: Values, style: str) -> None:
        """The area between two curves."""
        there, back = self._path(xs, low), self._path(xs[::-1], high[::-1])
        self.marks.append(f'<polygon class="band {style}" points="{there} {back}"/>')

    def points(self, xs: Values, ys: Values, style: str, shape: Shape = "circle", size: float = 3.5) -> None:
        """Marks at points."""
        for px, py in self._pixels(xs, ys):
            self.marks.append(_mark(px, py, style, shape, size))

    def segment(self, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
        """One straight line."""
        (x1, y1), (x2, y2) = self._pixels(np.array([start[0], end[0]]), np.array([start[1], end[1]]))
        self.marks.append(f'<line class="line {style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def text(self, x: float, y: float, text: str, style: str, anchor: str = "start") -> None:
        """Words beside a point, at its height."""
        px, py = self._pixels(np.array([x]), np.array([y]))[0]
        self.marks.append(
            f'<text class="{style}" x="{px:.1f}" y="{py + 4:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def render(self) -> str:
        """The chart as an SVG element."""
        inner_width, inner_height = self.width - LEFT - RIGHT, self.height - TOP - BOTTOM
        parts = [
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.title)}">'
        ]
        bottom = TOP + inner_height
        for value, label in self.x.ticks():
            px = LEFT + float(self.x.place(value)) * inner_width
            parts.append(f'<line class="grid" x1="{px:.1f}" y1="{TOP}" x2="{px:.1f}" y2="{bottom}"/>')
            parts.append(f'<text class="tick" x="{px:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
        for value, label in self.y.ticks():
            py = bottom - float(self.y.place(value)) * inner_height
            parts.append(f'<line class="grid" x1="{LEFT}" y1="{py:.1f}" x2="{LEFT + inner_width}" y2="{py:.1f}"/>')
            parts.append(f'<text class="tick" x="{LEFT - 8}" y="{py + 4:.1f}" text-anchor="end">{label}</text>')
        middle_x, middle_y, foot = LEFT + inner_width / 2, TOP + inner_height / 2, self.height - 8
        parts.append(
            f'<text class="axis" x="{middle_x:.0f}" y="{foot}" text-anchor="middle">{escape(self.x.label)}</text>'
        )
        parts.append(
            f'<text class="axis" transform="translate(14 {middle_y:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y.label)}</text>"
        )
        return "".join([*parts, *self.marks, "</svg>"])

    def _pixels(self, xs: ndarray, ys: ndarray) -> list[tuple[float, float]]:
        px = LEFT + self.x.place(xs) * (self.width - LEFT - RIGHT)
        py = self.height - BOTTOM - self.y.place(ys) * (self.height - TOP - BOTTOM)
        keep = np.isfinite(px) & np.isfinite(py)
        return [(float(a), float(b)) for a, b in zip(px[keep], py[keep], strict=True)]

    def _path(self, xs: ndarray, ys: ndarray) -> str:
        return " ".join(f"{px:.1f},{py:.1f}" for px, py in self._pixels(xs, ys))


@dataclass(frozen=True)
class Row:
    """One row of a chart of intervals.

    Attributes:
        name: Its label.
        style: Its style class.
        shape: Its mark.
        centre: Its value.
        error: Half the length of its bar.
        singles: Single values behind it.
        note: Words at its right end.
    """

    name: str
    style: str
    shape: Shape
    centre: float
    error: float
    singles: list[float]
    note: str


def interval_chart(rows: list[Row], x: Axis, title: str) -> str:
    """Values with error bars, one row each, labels on the left and notes on the right."""
    left, right, step, width = 170, 130, 30, 860
    height = step * len(rows) + 52
    inner = width - left - right
    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">']
    bottom = step * len(rows) + 8

    def place(value: float) -> float:
        return left + float(np.clip(x.place(value), 0.0, 1.0)) * inner

    for value, label in x.ticks():
        px = place(value)
        parts.append(f'<line class="grid" x1="{px:.1f}" y1="4" x2="{px:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{px:.1f}" y="{bottom + 17}" text-anchor="middle">{label}</text>')
    parts.append(
        f'<text class="axis" x="{left + inner / 2}" y="{height - 6}" text-anchor="middle">{escape(x.label)}</text>'
    )
    for index, row in enumerate(rows):
        y = step * index + step / 2 + 4
        first, last = place(row.centre - row.error), place(row.centre + row.error)
        parts.append(
            f'<text class="name {row.style}" x="{left - 14}" y="{y + 4.5}" text-anchor="end">{escape(row.name)}</text>'
        )
        parts += [
            f'<circle class="single {row.style}" cx="{place(v):.1f}" cy="{y}" r="3"/>'
            for v in row.singles
            if v >= x.low
        ]
        parts.append(f'<line class="bar {row.style}" x1="{first:.1f}" y1="{y}" x2="{last:.1f}" y2="{y}"/>')
        parts.append(_mark(place(row.centre), y, row.style, row.shape, 6))
        parts.append(f'<text class="value" x="{width - right + 14}" y="{y + 4.5}">{escape(row.note)}</text>')
    return "".join([*parts, "</svg>"])


def _mark(x: float, y: float, style: str, shape: Shape, size: float) -> str:
    if shape == "circle":
        return f'<circle class="mark {style}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if shape == "diamond" else ""
    side = 1.8 * size
    return (
        f'<rect class="mark {style}" x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side:.1f}" '
        f'height="{side:.1f}"{turn}/>'
    )


def _number(value: float, span: float) -> str:
    if abs(value) < 1e-9 * span:
        return "0"
    if max(abs(value), span) >= 1e5 or span < 1e-3:
        return f"{value:.3g}"
    text = f"{value:.6g}"
    return text.replace("-", "−")


def _power(value: float) -> str:
    exponent = np.log10(value)
    if abs(exponent - round(exponent)) > 1e-6:
        return f"{value:.3g}"
    exponent = round(exponent)
    if -2 <= exponent <= 3:
        return f"{value:g}"
    return f'10<tspan dy="-5" font-size="75%">{str(exponent).replace("-", "−")}</tspan>'
