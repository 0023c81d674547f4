"""The page of a report: one HTML file with everything in it."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from mmpfcn.evaluation.panoptic_quality import class_quality, mean_quality
from mmpfcn.visualization.colors import class_palette

from ..page import chip, html_page
from . import tables
from .charts import CHART_STYLE, in_words, line_chart
from .curves import Log
from .measuring import Sums
from .pictures import KIND_COLORS, Example

STYLE = f"""
:root {{ --good: #6b7785 }}
@media (prefers-color-scheme: dark) {{ :root {{ --good: #8b96a3 }} }}
h2 {{ font-size: 1.15rem; margin: 2rem 0 .4rem; padding-top: .6rem;
  border-top: 1px solid var(--line) }}
h3 {{ font-size: 1rem; margin: 1rem 0 .4rem }}
a {{ color: inherit }}
nav ul {{ list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0;
  margin: 0 }}
.examples, .charts {{ display: grid; gap: 1rem; align-items: start }}
.charts {{ grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)) }}
.charts figure {{ max-width: 640px }}
.panels {{ display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(45%, 260px), 1fr)) }}
.panels p {{ margin: 0; font-size: .8rem }}
/* in two columns, ground truth and prediction are beside each other */
@media (max-width: 700px) {{ .panels .image {{ order: 1 }} .panels .errors {{ order: 2 }} }}
figure details {{ margin: .3rem 0 0 }}
.found {{ list-style: none; padding: 0; margin: .2rem 0 0; display: flex; flex-wrap: wrap;
  gap: .1rem 1rem }}
.found .chip {{ display: inline-block; vertical-align: -.15em; margin-right: .35em }}
.legend .chip {{ flex: none }}
.text {{ max-width: 60rem }} .text li, dd {{ margin: 0 0 .3rem; color: var(--soft) }}
dt {{ font-weight: 600 }}
{tables.TABLE_STYLE}{CHART_STYLE}
@media print {{ nav {{ display: none }} figure {{ break-inside: avoid }} }}
"""

# Without it the page lacks nothing but the sorting.
SCRIPT = """
for (const table of document.querySelectorAll('table.sortable')) {
  table.querySelectorAll('thead th').forEach((head, column) => {
    const text = row => row.cells[column].textContent.trim();
    const rows = [...table.tBodies[0].rows];
    if (rows.some(row => row.cells[column].querySelector('svg'))) return;
    const button = document.createElement('button');
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      table.querySelectorAll('thead th').forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const compare = (a, b) => {
        const [x, y] = [parseFloat(text(a)), parseFloat(text(b))];
        if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) ||
          text(a).localeCompare(text(b)) * (down ? -1 : 1);
        return (x - y) * (down ? -1 : 1);
      };
      table.tBodies[0].append(...rows.sort(compare));
    });
  });
}
"""

MEANINGS = {
    tables.MATCHED_MASKS: 'What the IoU of the matches lacks to 1.',
    'missed': 'A segment of the ground truth that none of the other kinds explains: no prediction '
    'of its class has an IoU of 0.1 with it, and none of another class more than 0.5.',
    'false': 'A prediction that none of the other kinds explains: there is no segment of its class '
    'at that place.',
    'wrong class': 'The mask is right (IoU above 0.5), the class is not. Both the segment and the '
    'prediction count.',
    'poor mask': 'Right class, but the IoU is only 0.1 to 0.5.',
    'merged': 'One prediction covers more than half of each of several segments of its class. '
    'Those that match nothing count as missed, the prediction as wrong if it matches nothing.',
    'split': 'Several predictions lie in one segment of their class, each with more than half of '
    'its area. Those that match nothing are wrong; the segment is missed if none matches it and '
    'together they cover more than half of it.',
}


class Report(NamedTuple):
    """All that the page shows.

    Attributes:
        title: headline.
        note: what was measured.
        metainfo: of the data set.
        is_thing: (C,) bool.
        sums: of all images.
        worst: images of the lowest PQ.
        best: images of the highest PQ.
        log: of the training; None without one.
        log_note: where the log is from, or was looked for.
    """

    title: str
    note: str
    metainfo: Mapping
    is_thing: np.ndarray
    sums: Sums
    worst: Sequence[Example]
    best: Sequence[Example]
    log: Log | None
    log_note: str


def report_page(report: Report) -> str:
    """HTML of the page."""
    sections = {
        'Result': _result(report),
        'Kinds of errors': _kinds(report),
        'Classes': _classes(report),
        'Sizes': _sizes(report),
        'Confusions': _confusions(report),
        'Worst images': _examples(report.worst),
        'Best images': _examples(report.best),
        'Training': _training(report),
        'How it is counted': COUNTING,
    }
    ids = {name: name.lower().replace(' ', '-') for name in sections}
    links = ''.join(f'<li><a href="#{ids[name]}">{name}</a></li>' for name in sections)
    parts = '\n'.join(
        f'<section aria-labelledby="{ids[name]}"><h2 id="{ids[name]}">{name}</h2>\n{html}\n'
        '</section>'
        for name, html in sections.items()
    )
    body = f"""
<header>
<h1>{escape(report.title)}</h1>
<p>{escape(report.note)}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{parts}
</main>
<script>{SCRIPT}</script>
"""
    return html_page(report.title, STYLE, body)


def _groups(report: Report) -> dict[str, np.ndarray]:
    """All classes and, if there are both, things and stuff."""
    things = report.is_thing
    groups = {'All': things | True}
    if 0 < things.sum() < len(things):
        groups.update(Things=things, Stuff=~things)
    return groups


def _result(report: Report) -> str:
    return tables.summary_table(report.sums, _groups(report))


def _kinds(report: Report) -> str:
    losses = tables.losses_of(report.sums)
    bars = []
    for name, group in _groups(report).items():
        mean, count = mean_quality(class_quality(report.sums.statistics[group]))
        if count:
            parts = losses[group]
            bar = tables.quality_bar(f'{name} classes', np.nanmean(parts, axis=0))
            bars.append(f'<h3>{name}: PQ {100 * mean[0]:.1f} of 100</h3>{bar}')
    meanings = ''.join(f'<dt>{kind}</dt><dd>{text}</dd>' for kind, text in MEANINGS.items())
    return (
        '<p class="text">A perfect result has 100 points of PQ. The bar shows where they go: each '
        'unmatched segment has one kind of error, and the parts add up.</p>'
        f'{"".join(bars)}{tables.legend()}'
        f'{tables.kind_table(report.sums, _groups(report))}<dl class="text">{meanings}</dl>'
    )


def _classes(report: Report) -> str:
    classes, palette = report.metainfo['classes'], class_palette(report.metainfo)
    return (
        f'{tables.class_table(report.sums, classes, palette, report.is_thing)}'
        f'{tables.legend()}<details><summary>Kinds of errors in each class, counted</summary>'
        f'{tables.error_table(report.sums, classes)}</details>'
    )


def _sizes(report: Report) -> str:
    if not report.is_thing.any():
        return '<p>The data set has no things.</p>'
    return (
        f'{tables.size_table(report.sums, report.is_thing)}<p class="text">COCO\'s sizes, of the '
        'image as the data set has it. A thing of the ground truth counts by its own area, found '
        'or not; a wrong prediction, which belongs to none, by its own.</p>'
    )


def _confusions(report: Report) -> str:
    classes = report.metainfo['classes']
    return (
        '<p class="text">What most pixels of a segment were predicted as, whether it is matched or '
        'not. "Nothing" is void. Crowds do not count.</p>'
        f'{tables.pair_table(report.sums, classes)}'
        f'{tables.confusion_matrix(report.sums, classes)}'
    )


def _examples(examples: Sequence[Example]) -> str:
    if not examples:
        return '<p>None.</p>'
    return f'<div class="examples">{"".join(map(_example, examples))}</div>'


def _example(example: Example) -> str:
    panels = ''.join(
        f'<div class="{title.replace(" ", "-")}"><p>{title}</p><img src="{address}" '
        f'alt="{escape(f"{title} of {example.name}")}"></div>'
        for title, address in example.panels.items()
    )
    errors = ''.join(
        f'<li>{chip(KIND_COLORS[kind])}{kind}: {escape(text)}</li>'
        for kind, text in example.errors.items()
    )
    return (
        f'<figure><div class="panels">{panels}</div>\n<figcaption><b>{escape(example.name)}</b>: '
        f'{escape(example.facts)}<ul class="found">{errors}</ul></figcaption></figure>'
    )


def _training(report: Report) -> str:
    note = f'<p>{escape(report.log_note)}</p>'
    if report.log is None:
        return note
    if report.log.num_broken:
        note += f'<p>{report.log.num_broken} values are no finite numbers and are left out.</p>'
    charts = ''.join(
        f'<figure><figcaption><b>{escape(chart.title)}</b></figcaption>'
        f'{line_chart(chart)}'
        f'<details><summary>In words</summary>'
        f'<ul>{"".join(f"<li>{escape(in_words(curve))}</li>" for curve in chart.curves)}</ul>'
        '</details></figure>'
        for chart in report.log.charts
    )
    return f'{note}<div class="charts">{charts}</div>'


COUNTING = """<ul class="text">
<li>PQ, SQ and RQ are those of PanopticQualityMetric, which counts as panopticapi does: a prediction
and a segment of the ground truth match if they have one class and an IoU above 0.5; pixels of the
prediction on void do not count. TP are matches, FN (missed) segments of the ground truth without
one, FP (wrong) predictions without one. Crowds are never missed, and predictions that lie mostly on
void or on a crowd of their class are not wrong.</li>
<li>PQ of a class = sum of the IoU of its matches / (TP + FP / 2 + FN / 2). So an unmatched segment
costs half a point of the class divided by that number, and a match costs what its IoU lacks to 1,
divided likewise. The points of PQ of a kind are the mean of this cost over the classes that
occur.</li>
<li>Of several kinds that fit, a segment has the first of: wrong class, merged, split, poor mask;
otherwise it is missed or false.</li>
<li>Worst and best are by the mean PQ of the classes in an image.</li>
</ul>"""
