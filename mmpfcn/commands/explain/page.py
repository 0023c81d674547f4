"""The page of an explanation: one HTML file with everything in it."""

from html import escape
from pathlib import Path

from mmpfcn.apis import Explanation, Outcome

from ..page import chip, html_page
from ..report.tables import TABLE_STYLE, cell, table
from . import sections, texts
from .pictures import Pictures

STYLE = f"""
h2 {{ font-size: 1.15rem; margin: 2rem 0 .4rem; padding-top: .6rem;
  border-top: 1px solid var(--line) }}
h3 {{ font-size: 1rem; margin: 1rem 0 .4rem }}
a {{ color: inherit }}
nav ul {{ list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0;
  margin: 0 0 1rem }}
p {{ max-width: 70rem }}
.large {{ display: grid; gap: 1rem; align-items: start; margin-bottom: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)) }}
.small {{ display: grid; gap: .6rem; align-items: start; margin: .4rem 0 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(46%, 160px), 1fr)) }}
.small figure, .family figure {{ padding: .35rem }}
.small figcaption, .family figcaption {{ font-size: .78rem; margin-top: .25rem;
  line-height: 1.35 }}
.families {{ display: flex; flex-wrap: wrap; gap: .6rem; margin: .4rem 0 1rem }}
.family {{ display: flex; flex-wrap: wrap; gap: .3rem; align-items: center; padding: .4rem;
  border: 1px solid var(--line); border-radius: 6px }}
.family figure {{ width: 102px }}
.fused {{ border: 2px solid var(--soft) }}
.to {{ display: flex; gap: .3rem; align-items: center; font-size: 1.3rem }}
.keys {{ list-style: none; display: flex; flex-wrap: wrap; gap: .1rem .8rem; padding: 0;
  margin: .3rem 0; font-size: .85rem; font-variant-numeric: tabular-nums }}
.merge {{ list-style: none; padding: 0; display: grid; gap: .6rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)) }}
.merge li {{ display: grid; grid-template-columns: 130px 1fr; gap: .7rem; padding: .5rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  font-size: .88rem; overflow-wrap: anywhere }}
.badge {{ display: inline-block; padding: 0 .45em; border-radius: 1em; font-size: .75rem;
  border: 1px solid currentColor }}
.kept {{ color: #1a7f37 }} .out {{ color: #b3261e }}
@media (prefers-color-scheme: dark) {{ .kept {{ color: #56d364 }} .out {{ color: #ff8f87 }} }}
.chip {{ display: inline-block; vertical-align: -.12em; margin-right: .35em }}
figcaption details {{ margin: 0 }}
th small {{ font-weight: 400; color: var(--soft) }} .members th:last-child {{ text-align: left }}
figcaption .chip {{ width: .8em; height: .8em }}
:target {{ outline: 3px solid #f0b400; outline-offset: 2px }}
{TABLE_STYLE}
"""


def explanation_page(explanation: Explanation, model: str) -> str:
    """HTML of the page.

    Args:
        explanation: of the image.
        model: what it was segmented with, for the reader.
    """
    pictures = Pictures(explanation)
    title = f'How {Path(explanation.result.name).name} was segmented'
    parts = {
        'result': ('Input and result', _result),
        'centres': ('1 Centres of things', sections.centers),
        'regions': ('2 Regions of stuff', sections.regions),
        'fusion': ('3 Kernels and their fusion', sections.fusion),
        'masks': ('4 Mask of every kernel', sections.masks),
        'merge': ('5 Panoptic merge', sections.merge),
    }
    links = ''.join(f'<li><a href="#{key}">{name}</a></li>' for key, (name, _) in parts.items())
    body = '\n'.join(
        f'<section><h2 id="{key}">{name}</h2>\n{make(explanation, pictures)}</section>'
        for key, (name, make) in parts.items()
    )
    height, width = explanation.output.image.shape[:2]
    h, w = explanation.output.data_sample.img_shape[:2]
    return html_page(
        title,
        STYLE,
        f"""
<h1>{escape(title)}</h1>
<p>{width} x {height} pixels, resized to {w} x {h}. {escape(model)}</p>
<nav><ul>{links}</ul></nav>
{body}
""",
    )


def _result(explanation: Explanation, pictures: Pictures) -> str:
    number = len(explanation.result.segments_info)
    figures = (
        f'<figure><img src="{pictures.image()}" alt="input"><figcaption><b>input</b></figcaption>'
        f'</figure><figure><img src="{pictures.result()}" alt="result"><figcaption><b>result</b>: '
        f'{number} {texts.plural("segment", number)}</figcaption></figure>'
    )
    return (
        f'<div class="large">{figures}</div>{_segments(explanation, pictures)}{_steps(explanation)}'
    )


def _segments(explanation: Explanation, pictures: Pictures) -> str:
    kernels = {k.segment_id: k for k in explanation.kernels if k.outcome is Outcome.SEGMENT}
    total = explanation.result.panoptic_seg.size
    rows = []
    for segment in explanation.result.segments_info:
        kernel = kernels[segment['id']]
        members = ', '.join(map(texts.link, kernel.members))
        rows.append([
            chip(pictures.color(kernel.label)) + texts.name(kernel),
            cell(f'{segment["score"]:.3f}'),
            cell(texts.percent(segment['area'], total)),
            f'<td class="left">{texts.link(kernel.key)} ← {members}</td>',
        ])  # fmt: skip
    names = ['segment', 'score', 'area', 'kernel ← what it was fused from']
    caption = 'The segments, and the kernels that they were made by'
    return table(caption, names, rows, 'members')


def _steps(explanation: Explanation) -> str:
    rows = [
        [f'{escape(what)}<br><small>{escape(setting)}</small>', cell(left), cell(dropped)]
        for what, setting, left, dropped in texts.step_rows(explanation)
    ]
    return table('How many are left after each step', ['step', 'left', 'the others'], rows)
