"""Training curves from the logs that mmengine writes: ``<time>/vis_data/scalars.json``.

They are SVG in the page: no library, no script; each chart says in words what it shows.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmpfcn.visualization.colors import LEVELS

from ..page import css

NAME = 'scalars.json'
MOST_POINTS = 300  # of a curve: more can not be told apart on a page
LEFT, RIGHT, TOP, BOTTOM = 46, 406, 10, 216  # of the field of the curves
SERIES = [LEVELS[number] for number in (5, 4, 2, 6, 0, 1)]
DASHES = ('', '7 3', '2 3', '9 3 2 3', '12 4', '5 2 1 2')
"""So that curves also differ without colours."""


class Curve(NamedTuple):
    """Values (n,) at steps (n,), in ascending order, all finite, at least one."""

    name: str
    steps: np.ndarray
    values: np.ndarray


class Chart(NamedTuple):
    """Curves with a common scale, over iterations or epochs (``x_name``)."""

    title: str
    x_name: str
    curves: list[Curve]


class Log(NamedTuple):
    """What is to be drawn of a training, and what can not be."""

    charts: list[Chart]  # in order, each with at least one curve
    num_broken: int  # values that are no finite numbers


VALIDATION = 'on the validation images'
CHARTS = {
    'Losses': lambda name: name == 'loss' or name.startswith('loss_'),
    'Learning rate': lambda name: name == 'lr',
    f'PQ {VALIDATION}': lambda name: name.endswith(('/PQ', '/PQ_th', '/PQ_st')),
    f'Mask AP {VALIDATION}': lambda name: name.endswith(('segm_mAP', 'segm_mAP_50', 'segm_mAP_75')),
    f'mIoU {VALIDATION}': lambda name: name.rpartition('/')[2] == 'mIoU',
}
"""Which scalars belong to which chart."""


def find_logs(path: Path) -> list[Path]:
    """Logs of a file, of a work dir, or of one run in it, the oldest first; maybe none."""
    if path.is_file():
        return [path]
    return sorted(
        [*path.glob(NAME), *path.glob(f'vis_data/{NAME}'), *path.glob(f'*/vis_data/{NAME}')]
    )


def read_logs(paths: Sequence[Path]) -> Log:
    """The training that the logs tell of, one or several runs of it.

    A run that was resumed goes on after the last step of the one before; where both have a step,
    the later run is right. So a run from the beginning replaces those before.

    Raises:
        OSError: a file can not be read.
        ValueError: a line is no JSON object; the last one, which a killed run may have left half
            written, is passed over.
    """
    lines: list[dict] = []
    for path in paths:
        new = [line for line in _read_lines(path) if 'step' in line]
        first = {}  # of training, and of validation, which may be counted in epochs
        for line in new:
            kind = 'iter' in line
            first[kind] = min(line['step'], first.get(kind, math.inf))
        lines = [x for x in lines if x['step'] < first.get('iter' in x, math.inf)] + new
    return _make_log(lines)


def _read_lines(path: Path) -> list[dict]:
    texts = path.read_text('utf-8-sig').splitlines()
    lines = []
    for number, text in enumerate(texts, 1):
        try:
            lines.append(dict(json.loads(text)))
        except (ValueError, TypeError) as error:
            if number == len(texts):
                break
            raise ValueError(
                f'{path}: line {number} is no JSON object ({error}): a log is the {NAME} that '
                'mmengine writes, or a folder with it'
            ) from error
    return lines


def _make_log(lines: Sequence[dict]) -> Log:
    points: dict[str, dict[float, float]] = {}
    num_broken = 0
    for line in lines:
        for name, value in line.items():
            if not any(belongs(name) for belongs in CHARTS.values()):
                continue
            if isinstance(value, int | float) and math.isfinite(value):
                points.setdefault(name, {})[line['step']] = value
            else:
                num_broken += 1
    # mmengine counts validations in epochs where it counts those
    by_epoch = any('epoch' in line for line in lines)
    charts = []
    for title, belongs in CHARTS.items():
        curves = [_curve(name, values) for name, values in points.items() if belongs(name)]
        if curves:
            x_name = 'epoch' if by_epoch and VALIDATION in title else 'iteration'
            charts.append(Chart(title, x_name, curves))
    return Log(charts, num_broken)


def _curve(name: str, points: dict[float, float]) -> Curve:
    """Means of neighbours where there are many points."""
    both = np.array(sorted(points.items()), float)
    starts = np.arange(0, len(both), math.ceil(len(both) / MOST_POINTS))
    counts = np.diff(starts, append=len(both))
    means = np.add.reduceat(both, starts) / counts[:, None]
    return Curve(name.rpartition('/')[2], *means.T)


def draw_chart(chart: Chart) -> dict:
    """Curves over steps from 0, as the page has them: paths, and places and texts of ticks."""
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
        lines.append(dict(curve=curve, path=path, color=css(color), dashes=dashes))
    return dict(
        title=chart.title,
        x_name=chart.x_name,
        x_ticks=[(place(x, 0)[0], short(x)) for x in x_ticks],
        y_ticks=[(place(0, y)[1], short(y)) for y in y_ticks],
        lines=lines,
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
