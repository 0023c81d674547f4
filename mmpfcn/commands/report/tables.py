"""The numbers of the tables and bars of a report, as its page has them."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mmpfcn.evaluation.panoptic_quality import class_quality, mean_quality
from mmpfcn.evaluation.segment_errors import KINDS, SIZES, lost_quality
from mmpfcn.visualization.colors import Color, class_palette

from .measuring import Sums, matrix_labels, most_confused
from .pictures import KIND_COLORS

MATCHED_MASKS = 'masks of matches'
COLORS = {MATCHED_MASKS: (240, 228, 66), **KIND_COLORS}  # yellow of Okabe and Ito as well
GOOD = 'var(--good)'
MOST_PAIRS = 15
MATRIX_SIZE = 14  # classes that still fit
DARKEST = 60  # % of the colour of a cell, so that its text can be read

Bar = list[tuple[str, float, str | Color]]  # parts that add up to 1: name, share, colour


class Row(NamedTuple):
    """Classes that are counted together, or one of them."""

    name: str  # of the row
    quality: list[float]  # PQ, SQ and RQ in [0, 1]; nan where nothing occurs
    count: int  # classes that occur
    # (len(KINDS) + 1,) of :func:`lost_quality`, the mean over the classes that occur
    losses: np.ndarray
    numbers: list[int]  # TP, FP and FN
    bar: Bar  # what is reached, and what is lost by each kind of error
    color: Color | None = None  # of a class
    is_thing: bool = False  # of a class


def report_tables(sums: Sums, metainfo: Mapping, is_thing: np.ndarray) -> dict:
    """Values of ``report.html`` beside title, pictures and curves; ``is_thing`` is (C,) bool."""
    groups = {'All': is_thing | True}
    if 0 < is_thing.sum() < len(is_thing):
        groups.update(Things=is_thing, Stuff=~is_thing)
    classes, palette = metainfo['classes'], class_palette(metainfo)
    of_class = sums.confusion.sum(1)
    rows = [_row(name, sums, group) for name, group in groups.items()]
    return dict(
        colors={'PQ': GOOD, **COLORS},
        groups=rows,
        kinds=_kinds(sums, rows),
        classes=[
            _row(name, sums, np.arange(len(classes)) == label)._replace(
                color=palette[label], is_thing=is_thing[label]
            )
            for label, name in enumerate(classes)
        ],
        errors=[
            (name, list(zip(*both, strict=True)))
            for name, *both in zip(classes, sums.missed, sums.wrong, strict=True)
            if np.any(both)
        ],
        sizes=_sizes(sums, is_thing),
        pairs=[
            (classes[label], classes[taken], count, count / of_class[label])
            for label, taken, count in most_confused(sums.confusion, MOST_PAIRS)
        ],
        matrix=_matrix(sums.confusion, classes),
    )


def _row(name: str, sums: Sums, group: np.ndarray) -> Row:
    """Of the classes for which ``group``, (C,) bool, is true."""
    quality, count = mean_quality(class_quality(sums.statistics[group]))
    losses = lost_quality(sums.statistics, sums.missed, sums.wrong)[group]
    seen = losses[~np.isnan(losses[:, 0])]
    lost = seen.mean(0) if len(seen) else np.full(losses.shape[1], np.nan)
    shares = [max(0.0, 1 - lost.sum()), lost[-1], *lost[:-1]]
    bar = list(zip(['PQ', *COLORS], shares, [GOOD, *COLORS.values()], strict=True))
    numbers = sums.statistics[group, 1:].sum(0).astype(int).tolist()
    return Row(name, quality.tolist(), count, lost, numbers, bar)


def _kinds(sums: Sums, groups: list[Row]) -> list[tuple[str, Color | None, object, object, list]]:
    """Kind of error, its colour, FN, FP, and the points of PQ that it costs each group."""
    missed, wrong = sums.missed.sum(0).tolist(), sums.wrong.sum(0).tolist()
    lost = np.array([group.losses for group in groups]).T.tolist()  # kinds and matches x groups
    together = [sum(of_group) for of_group in zip(*lost, strict=True)]
    return [
        *(
            (kind, COLORS[kind], *row)
            for kind, *row in zip(KINDS, missed, wrong, lost[:-1], strict=True)
        ),
        (MATCHED_MASKS, COLORS[MATCHED_MASKS], '–', '–', lost[-1]),
        ('together: 100 − PQ', None, sum(missed), sum(wrong), together),
    ]


def _sizes(sums: Sums, is_thing: np.ndarray) -> list[tuple[str, list[float], int, list[int]]]:
    """Name, quality, classes that occur, and TP, FP, FN of the things of each size."""
    rows = []
    for (name, (low, high)), statistics in zip(SIZES.items(), sums.sizes, strict=True):
        limits = f'from {low**0.5:.0f}² px' if math.isinf(high) else f'up to {high**0.5:.0f}² px'
        mean, count = mean_quality(class_quality(statistics[is_thing]))
        numbers = statistics[is_thing, 1:].sum(0).astype(int).tolist()
        rows.append((f'{name}, {limits}', mean.tolist(), count, numbers))
    return rows


def _matrix(confusion: np.ndarray, classes: list[str]) -> dict:
    """Segments of the ground truth (rows) by the class they were taken for (columns).

    ``rows`` are (name, cells), a cell is (count, colour of CSS).
    """
    labels = matrix_labels(confusion, MATRIX_SIZE)
    counts = confusion[labels]
    shown, columns = counts[:, [*labels, len(classes)]], [*(classes[i] for i in labels), 'nothing']
    if len(labels) < len(classes):
        shown = np.column_stack([shown, counts.sum(1) - shown.sum(1)])
        columns.append('others')
    rows = []
    for place, (label, total) in enumerate(zip(labels, counts.sum(1).clip(1), strict=True)):
        cells = []
        for column, count in enumerate(shown[place].tolist()):
            red, green, blue = KIND_COLORS['split' if column == place else 'missed']
            depth = round(DARKEST * (count / total) ** 0.5)  # few of many should be seen as well
            cells.append((count, f'rgb({red} {green} {blue} / {depth}%)'))
        rows.append((classes[label], cells))
    return dict(columns=columns, rows=rows)
