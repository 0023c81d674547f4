"""Charts as SVG in the page: no library, no script; each says in words what it shows."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from mmpfcn.visualization.colors import LEVELS

from .curves import Chart, Curve

WIDTH, HEIGHT = 420, 250  # of a chart, in units that are about a pixel of a phone
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 10, 34
SERIES = [LEVELS[number] for number in (5, 4, 2, 6, 0, 1)]
DASHES = ('', '7 3', '2 3', '9 3 2 3', '12 4', '5 2 1 2')
"""So that curves also differ without colours."""

CHART_STYLE = """
.bar { display: block; width: 100%; height: 1.1em }
.bar rect { stroke: var(--page); stroke-width: 1px; vector-effect: non-scaling-stroke }
.chart { display: block; width: 100%; height: auto; font-size: 13px }
.chart text { fill: var(--soft) }
.chart .grid { stroke: var(--line) } .chart .axis { stroke: var(--soft) }
.chart path { fill: none; stroke-width: 2; stroke-linejoin: round }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem .9rem; padding: 0;
  margin: .3rem 0 0; font-size: .85rem }
.legend li { display: flex; align-items: center; gap: .35rem }
.legend svg { width: 28px; height: 10px; flex: none }
"""


class Part(NamedTuple):
    """A part of a bar: its name, its share in [0, 1] and its colour in CSS."""

    name: str
    share: float
    color: str


def css(color: Sequence[int]) -> str:
    return 'rgb({}, {}, {})'.format(*color)


def stacked_bar(title: str, parts: Sequence[Part]) -> str:
    """A bar of parts that add up to 1."""
    rects, x = [], 0.0
    for part in parts:
        words = f'{part.name} {100 * part.share:.1f}'
        if part.share > 0:
            rects.append(
                f'<rect x="{x:.2f}" y="0" width="{100 * part.share:.2f}" height="10" '
                f'style="fill: {part.color}"><title>{escape(words)}</title></rect>'
            )
        x += 100 * part.share
    words = ', '.join(f'{part.name} {100 * part.share:.1f}' for part in parts if part.share > 0)
    return (
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(f"{title}: {words}")}">{"".join(rects)}</svg>'
    )


def line_chart(chart: Chart) -> str:
    """Curves over steps from 0, with a legend."""
    x_ticks = ticks(max(curve.steps[-1] for curve in chart.curves), 5)
    y_ticks = ticks(max(curve.values.max() for curve in chart.curves), 4)
    x_scale = (WIDTH - LEFT - RIGHT) / x_ticks[-1]
    y_scale = (HEIGHT - TOP - BOTTOM) / y_ticks[-1]
    bottom = HEIGHT - BOTTOM
    lines = [
        f'<line class="{"grid" if y else "axis"}" x1="{LEFT}" x2="{WIDTH - RIGHT}" '
        f'y1="{bottom - y * y_scale:.1f}" y2="{bottom - y * y_scale:.1f}"/>'
        f'<text x="{LEFT - 5}" y="{bottom - y * y_scale + 4:.1f}" text-anchor="end">{short(y)}'
        '</text>'
        for y in y_ticks
    ]
    lines += [
        f'<text x="{LEFT + x * x_scale:.1f}" y="{bottom + 16}" text-anchor="middle">{short(x)}'
        '</text>'
        for x in x_ticks
    ]
    lines.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(chart.x_name)}'
        '</text>'
    )
    legend = []
    for number, curve in enumerate(chart.curves):
        look = _look(number)
        lines.append(f'<path d="{_path(curve, x_scale, y_scale)}" {look}/>')
        legend.append(
            f'<li><svg viewBox="0 0 28 10" aria-hidden="true"><path d="M0 5H28" {look} '
            f'stroke-width="2"/></svg>{escape(curve.name)} {curve.values[-1]:.4g}</li>'
        )
    words = '; '.join(map(in_words, chart.curves))
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{chart.title}: {words}")}">{"".join(lines)}</svg>'
        f'<ul class="legend" aria-label="Curves with their last values">{"".join(legend)}</ul>'
    )


def in_words(curve: Curve) -> str:
    """Such as "loss from 4.1 at 50 to 1.2 at 800"."""
    first, last = curve.values[0], curve.values[-1]
    return (
        f'{curve.name} from {first:.4g} at {curve.steps[0]:g} to {last:.4g} at {curve.steps[-1]:g}'
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


def _look(number: int) -> str:
    color, dash = SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ''
    return f'stroke="{css(color)}"{dashes}'


def _path(curve: Curve, x_scale: float, y_scale: float) -> str:
    """A line, or a dot where there is one value."""
    points = [
        f'{LEFT + x * x_scale:.1f} {HEIGHT - BOTTOM - y * y_scale:.1f}'
        for x, y in zip(curve.steps, curve.values, strict=True)
    ]
    return 'M' + 'L'.join(points) if len(points) > 1 else f'M{points[0]}m-2 0h4'
