"""The tables of a report as HTML."""

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from mmpfcn.evaluation.panoptic_quality import class_quality, mean_quality
from mmpfcn.evaluation.segment_errors import KINDS, SIZES, lost_quality
from mmpfcn.visualization.colors import Color

from ..page import chip
from .charts import Part, css, stacked_bar
from .measuring import Sums, matrix_labels, most_confused
from .pictures import KIND_COLORS

GOOD = 'var(--good)'
MATCHED_MASKS = 'masks of matches'
MATCHED_COLOR = (240, 228, 66)  # of Okabe and Ito as well
MOST_PAIRS = 15
MATRIX_SIZE = 14  # classes that still fit
DARKEST = 60  # % of the colour of a cell, so that its text can be read

TABLE_STYLE = """
.scroll { overflow-x: auto; margin: 0 0 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem }
caption { text-align: left; color: var(--soft); padding: .5rem 0 .4rem; font-size: .9rem }
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 2rem) }
th, td { padding: .22rem .55rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top }
thead th:first-child, .left, .pairs th:nth-child(2), .full th:nth-child(3) { text-align: left }
th { font-weight: 600 }
th[scope=row] { text-align: left; position: sticky; left: 0; background: var(--page);
  overflow-wrap: anywhere; min-width: 7rem }
th .chip { display: inline-block; vertical-align: -.1em; margin-right: .4em }
td.wide { min-width: 9rem; width: 45%; padding-top: .4rem; text-align: left }
.full { width: 100% }
.matrix th[scope=col] { writing-mode: vertical-rl; transform: rotate(180deg); border: 0;
  text-align: left; vertical-align: top; max-height: 11rem }
.matrix td { text-align: center; min-width: 2.2rem }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer;
  text-decoration: underline dotted }
th[aria-sort=ascending] button::after { content: ' \\25b2'; content: ' \\25b2' / '' }
th[aria-sort=descending] button::after { content: ' \\25bc'; content: ' \\25bc' / '' }
"""


def table(caption: str, names: Sequence[str], rows: Iterable[Sequence[str]], kind: str = '') -> str:
    """A table that scrolls sideways inside itself.

    Args:
        caption: text.
        names: of the columns, texts.
        rows: HTML of the row's name, then whole cells.
        kind: class of the table.
    """
    head = ''.join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = '\n'.join(f'<tr><th scope="row">{row[0]}</th>{"".join(row[1:])}</tr>' for row in rows)
    label = escape(caption)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">'
        f'<table class="{kind}"><caption><span>{label}</span></caption>\n'
        f'<thead><tr>{head}</tr></thead>\n'
        f'<tbody>\n{body}\n</tbody></table></div>'
    )


def cell(value: float | int | str) -> str:
    """A cell of a count or of a text."""
    return f'<td>{value}</td>'


def percent(value: float) -> str:
    """A cell of a fraction."""
    return '<td>–</td>' if math.isnan(value) else f'<td>{100 * value:.1f}</td>'


def summary_table(sums: Sums, groups: dict[str, np.ndarray]) -> str:
    """PQ, SQ and RQ of groups of classes, each (C,) bool."""
    quality = class_quality(sums.statistics)
    rows = []
    for name, group in groups.items():
        mean, count = mean_quality(quality[group])
        rows.append([name, *map(percent, mean.tolist()), cell(count)])
    return table(
        'Means over the classes that occur, in percent, as PanopticQualityMetric counts them',
        ['', 'PQ', 'SQ', 'RQ', 'classes'], rows,
    )  # fmt: skip


def losses_of(sums: Sums) -> np.ndarray:
    """(C, len(KINDS) + 1), see :func:`lost_quality`."""
    return lost_quality(sums.statistics, sums.missed, sums.wrong)


def quality_bar(title: str, losses: np.ndarray) -> str:
    """What is reached and what is lost by each kind of error, (len(KINDS) + 1,) in [0, 1]."""
    lost = [Part(kind, losses[i], css(KIND_COLORS[kind])) for i, kind in enumerate(KINDS)]
    matched = Part(MATCHED_MASKS, losses[-1], css(MATCHED_COLOR))
    reached = Part('PQ', max(0.0, 1 - losses.sum()), GOOD)
    return stacked_bar(title, [reached, matched, *lost])


def legend() -> str:
    """Of :func:`quality_bar`."""
    colors = {MATCHED_MASKS: MATCHED_COLOR, **KIND_COLORS}
    items = [f'<li>{chip(color)}{name}</li>' for name, color in colors.items()]
    good = f'<li><span class="chip" style="background: {GOOD}"></span>PQ</li>'
    return f'<ul class="legend">{good}{"".join(items)}</ul>'


def kind_table(sums: Sums, groups: dict[str, np.ndarray]) -> str:
    """Counts and cost of each kind of error."""
    losses = losses_of(sums)
    means = [_mean(losses[group]) for group in groups.values()]
    rows = []
    for number, kind in enumerate(KINDS):
        rows.append(
            [
                chip(KIND_COLORS[kind]) + kind,
                cell(int(sums.missed[:, number].sum())),
                cell(int(sums.wrong[:, number].sum())),
                *(percent(mean[number]) for mean in means),
            ]
        )
    matched = [percent(mean[-1]) for mean in means]
    rows.append([chip(MATCHED_COLOR) + MATCHED_MASKS, cell('–'), cell('–'), *matched])
    total = [percent(mean.sum()) for mean in means]
    rows.append([
        'together: 100 − PQ', cell(int(sums.missed.sum())), cell(int(sums.wrong.sum())), *total,
    ])  # fmt: skip
    caption = (
        'Unmatched segments of the ground truth (FN) and predictions (FP) by kind of error, and '
        'the points of PQ that each kind costs'
    )
    return table(caption, ['', 'FN', 'FP', *(f'points: {name.lower()}' for name in groups)], rows)


def class_table(sums: Sums, classes: Sequence[str], palette: Sequence[Color],
                is_thing: np.ndarray) -> str:  # fmt: skip
    """A row for each class, in the order of labels."""
    quality, losses = class_quality(sums.statistics), losses_of(sums)
    rows = []
    for label, name in enumerate(classes):
        seen = not math.isnan(quality[label, 0])
        bar = quality_bar(name, losses[label]) if seen else 'neither there nor predicted'
        rows.append(
            [
                chip(palette[label]) + escape(name),
                percent(quality[label, 0]),
                f'<td class="wide">{bar}</td>',
                *map(percent, quality[label, 1:].tolist()),
                *(cell(int(count)) for count in sums.statistics[label, 1:]),
                cell('thing' if is_thing[label] else 'stuff'),
            ]
        )
    names = ['class', 'PQ', 'PQ and losses', 'SQ', 'RQ', 'TP', 'FP', 'FN', 'group']
    return table('Each class, in percent; TP, FP and FN are segments', names, rows, 'full sortable')


def error_table(sums: Sums, classes: Sequence[str]) -> str:
    """Missed + wrong segments of each kind and class that has any."""
    rows = [
        [escape(name), *(cell(f'{m} + {w}' if m or w else '') for m, w in zip(*both, strict=True))]
        for name, *both in zip(classes, sums.missed, sums.wrong, strict=True)
        if np.any(both)
    ]
    caption = 'Missed segments of the ground truth + wrong predictions'
    return table(caption, ['class', *KINDS], rows)


def size_table(sums: Sums, is_thing: np.ndarray) -> str:
    """PQ of the things of each size."""
    rows = []
    for (name, (low, high)), statistics in zip(SIZES.items(), sums.sizes, strict=True):
        mean, count = mean_quality(class_quality(statistics[is_thing]))
        _, tp, fp, fn = statistics[is_thing].sum(0).astype(int).tolist()
        limits = f'from {low**0.5:.0f}² px' if math.isinf(high) else f'up to {high**0.5:.0f}² px'
        parts = [Part('PQ', mean[0], GOOD), Part('lost', 1 - mean[0], 'var(--line)')]
        bar = stacked_bar(name, parts) if count else 'none of this size'
        rows.append([
            f'{name}, {limits}', percent(mean[0]), f'<td class="wide">{bar}</td>',
            *map(percent, mean[1:].tolist()), *map(cell, (tp + fn, tp, fp, fn)), cell(count),
        ])  # fmt: skip
    names = ['size', 'PQ', 'PQ of 100', 'SQ', 'RQ', 'objects', 'TP', 'FP', 'FN', 'classes']
    return table('Things by their area in the image', names, rows, 'full')


def pair_table(sums: Sums, classes: Sequence[str]) -> str:
    """The most confused classes."""
    of_class = sums.confusion.sum(1)
    rows = [
        [
            escape(classes[pair.label]), f'<td class="left">{escape(classes[pair.taken])}</td>',
            cell(pair.count), cell(f'{100 * pair.count / of_class[pair.label]:.0f} %'),
        ]
        for pair in most_confused(sums.confusion, MOST_PAIRS)
    ]  # fmt: skip
    if not rows:
        return '<p>No segment was taken for another class.</p>'
    names = ['class', 'taken for', 'segments', 'of the class']
    return table('Most frequent confusions', names, rows, 'pairs')


def confusion_matrix(sums: Sums, classes: Sequence[str]) -> str:
    """Segments of the ground truth (rows) by the class they were taken for (columns)."""
    labels = matrix_labels(sums.confusion, MATRIX_SIZE)
    counts = sums.confusion[labels]
    shown = counts[:, [*labels, len(classes)]]
    rest = counts.sum(1) - shown.sum(1)
    complete = len(labels) == len(classes)
    rows = []
    for place, label in enumerate(labels):
        row = [*shown[place].tolist(), *([] if complete else [int(rest[place])])]
        total = max(1, int(counts[place].sum()))
        cells = [_shaded(n, n / total, column == place) for column, n in enumerate(row)]
        rows.append([escape(classes[label]), *cells])
    names = [*(classes[label] for label in labels), 'nothing', *([] if complete else ['others'])]
    caption = 'Segments of the ground truth (rows) by what most of their pixels were predicted as'
    return table(caption, ['', *names], rows, 'matrix')


def _shaded(count: int, share: float, right: bool) -> str:
    if not count:
        return '<td></td>'
    red, green, blue = KIND_COLORS['split' if right else 'missed']
    depth = round(DARKEST * share**0.5)  # few of many should be seen as well
    return f'<td style="background: rgb({red} {green} {blue} / {depth}%)">{count}</td>'


def _mean(losses: np.ndarray) -> np.ndarray:
    """Over the classes that occur."""
    seen = losses[~np.isnan(losses[:, 0])]
    return seen.mean(0) if len(seen) else np.full(losses.shape[1], np.nan)
