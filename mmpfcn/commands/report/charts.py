"""Charts as SVG in the page: no library, no script; each says in words what it shows."""

import math
from typing import NamedTuple

from mmpfcn.visualization.colors import LEVELS

from ..page import css
from .curves import Chart, Curve

WIDTH, HEIGHT = 420, 250  # of a chart, in units that are about a pixel of a phone
LEFT, RIGHT, TOP, BOTTOM = 46, 406, 10, 216  # of the field of the curves
SERIES = [LEVELS[number] for number in (5, 4, 2, 6, 0, 1)]
DASHES = ('', '7 3', '2 3', '9 3 2 3', '12 4', '5 2 1 2')
"""So that curves also differ without colours."""


class Line(NamedTuple):
    """A curve as a path of SVG, with its colour and dashes."""

    curve: Curve
    path: str
    color: str
    dashes: str


class Drawn(NamedTuple):
    """Lines, and the places and texts of the ticks of both axes."""

    title: str
    x_name: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[Line]


def draw_chart(chart: Chart) -> Drawn:
    """Curves over steps from 0."""
    x_ticks = ticks(max(curve.steps[-1] for curve in chart.curves), 5)
    y_ticks = ticks(max(curve.values.max() for curve in chart.curves), 4)

    def place(x: float, y: float) -> tuple[float, float]:
        width, height = RIGHT - LEFT, BOTTOM - TOP
        return LEFT + x / x_ticks[-1] * width, BOTTOM - y / y_ticks[-1] * height

    lines = []
    for number, curve in enumerate(chart.curves):
        points = map(place, curve.steps, curve.values)
        path = 'M' + 'L'.join(f'{x:.1f} {y:.1f}' for x, y in points)
        path += 'm-2 0h4' * (len(curve.steps) == 1)
        color, dashes = SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]
        lines.append(Line(curve, path, css(color), dashes))
    return Drawn(
        chart.title,
        chart.x_name,
        [(place(x, 0)[0], short(x)) for x in x_ticks],
        [(place(0, y)[1], short(y)) for y in y_ticks],
        lines,
    )


def ticks(largest: float, number: int) -> list[float]:
    """Round numbers from 0 on, about so many, the last one not below the largest value."""
    if largest <= 0:
        return [0, 1]
    rough = largest / number
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [round(n * step, 12) for n in range(math.ceil(largest / step - 1e-9) + 1)]


def short(value: float) -> str:
    """In at most six characters: thousands as k, small numbers with an exponent."""
    if value >= 10000:
        return f'{value / 1000:g}k'
    text = f'{value:g}'
    return text if len(text) <= 5 else f'{value:.1e}'.replace('e-0', 'e-')
