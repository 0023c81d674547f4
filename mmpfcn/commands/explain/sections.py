"""The five steps of the paper's inference as HTML."""

from collections.abc import Sequence
from html import escape

from mmpfcn.apis import Candidate, Explanation, Kernel, Outcome
from mmpfcn.visualization.kernel_masks import TAKEN
from mmpfcn.visualization.targets import level_name

from ..page import chip
from . import texts
from .pictures import Pictures

FOLDED = 24  # so many pictures of one kind are shown only when asked for


def centers(explanation: Explanation, pictures: Pictures) -> str:
    """Heat maps with the peaks."""
    cfg = explanation.settings
    peaks = [c for c in explanation.candidates if c.isthing]
    most = cfg.peaks_per_level
    figures = []
    for number, picture in enumerate(pictures.centers()):
        here = [peak for peak in peaks if peak.level == number]
        kept = [peak for peak in here if peak.outcome is not Outcome.CENTER_THR]
        below = f', {len(here) - len(kept)} more below' if len(here) > len(kept) else ''
        full = f' (a level has at most max_per_img / 2 = {most})'
        facts = f'{len(kept)} {texts.plural("peak", len(kept))}{below}'
        facts += full if len(here) == most else ''
        keys = ''.join(
            f'<li id="{p.key}"><b>{p.key}</b> {texts.name(p)} {p.score:.3f}{_outcome(p)}</li>'
            for p in kept
        )
        figures.append(_level_figure(explanation, number, picture, facts, 'peaks', keys))
    return (
        '<p>The probability that a cell is the centre of a thing, in the colour of its best class, '
        'white where it is certain. Rings are peaks: smoothed by their neighbours they are the '
        f'best of 3 x 3 cells and exceed center_thr {cfg.center_thr:g}. They are numbered from '
        f'the best, p1; where there is no room, only the ring is drawn.</p>'
        f'<div class="large">{"".join(figures)}</div>'
    )


def regions(explanation: Explanation, pictures: Pictures) -> str:
    """The best region class of each cell."""
    cfg = explanation.settings
    found = [c for c in explanation.candidates if not c.isthing]
    figures = []
    for number, picture in enumerate(pictures.regions()):
        here = sorted((r for r in found if r.level == number), key=lambda r: -r.num_cells)
        kept = [r for r in here if r.outcome is not Outcome.REGION_THR]
        below = f', {len(here) - len(kept)} below' if len(here) > len(kept) else ''
        facts = f'{len(kept)} {texts.plural("region", len(kept))}{below}'
        keys = ''.join(
            f'<li id="{r.key}"><b>{r.key}</b> {texts.name(r)} {r.score:.3f} in {r.num_cells} '
            f'{texts.plural("cell", r.num_cells)}{_outcome(r)}</li>'
            for r in here
        )
        figures.append(_level_figure(explanation, number, picture, facts, 'regions', keys))
    return (
        '<p>The best region class of each cell, the more opaque the more probable. Where things '
        'are, "any thing" (white) should be the best. A class of a level becomes a kernel if its '
        f'mean probability over its cells exceeds region_thr {cfg.region_thr:g}.</p>'
        f'<div class="large">{"".join(figures)}</div>'
    )


def fusion(explanation: Explanation, pictures: Pictures) -> str:
    """Which kernels became one, which are lost."""
    candidates = {c.key: c for c in explanation.candidates}
    things = [k for k in explanation.kernels if k.isthing]
    stuff = [k for k in explanation.kernels if not k.isthing]
    lost = [c for c in explanation.candidates if c.outcome is Outcome.LOST]
    fused = [k for k in things if len(k.members) > 1]
    alone = len(things) - len(fused)
    threshold = explanation.settings.similarity_thr

    def families(kernels: Sequence[Kernel]) -> str:
        return ''.join(_family(k, candidates, pictures) for k in kernels)

    several = [k for k in stuff if len(k.members) > 1]
    parts = [
        '<p>Things: a kernel joins the best one before it of the same class whose direction is the '
        f'same (cosine from similarity_thr {threshold:g} on), and each group becomes its mean. '
        f'Before: {sum(len(k.members) for k in things) + len(lost)} kernels; after: {len(things)}, '
        f'of which {alone} stayed alone. The masks are those that each kernel would make by '
        'itself, then, framed, that of their mean.</p>',
        f'<div class="families">{families(fused)}</div>' if fused else '',
        f'<h3>Lost in a chain: {len(lost)}</h3><p>u is similar to v and v to w, but u not to w: v '
        'joins u, and w, which v took before, is in no group.</p>' if lost else '',
        f'<div class="small">{"".join(_lost(c, candidates, pictures) for c in lost)}</div>'
        if lost else '',
        f'<p>Stuff: all levels of a class become their mean. Before: '
        f'{sum(len(k.members) for k in stuff)} kernels; after: {len(stuff)}.</p>',
        _fold(
            f'Classes with regions on several levels: {len(several)}',
            f'<div class="families">{families(several)}</div>',
            sum(len(k.members) for k in several),
        ) if several else '',
    ]  # fmt: skip
    return ''.join(parts)


def masks(explanation: Explanation, pictures: Pictures) -> str:
    """All kernels after fusion, by what became of them."""
    parts = [
        '<p>Each kernel is a 1 x 1 convolution on the feature map: this is what it finds. A thing '
        'has its score before → after rescoring by the mean probability inside its mask (white '
        'border). Regions compete with each other at every pixel.</p>'
    ]
    for isthing, group in ((True, 'Things'), (False, 'Regions')):
        kernels = [k for k in explanation.kernels if k.isthing == isthing]
        for outcome in reversed(Outcome):
            these = [k for k in kernels if k.outcome is outcome]
            these.sort(key=lambda k: -(k.rescored or k.score))
            if these:
                figures = ''.join(_mask(k, explanation, pictures) for k in these)
                title = f'{group}: {outcome.value} ({len(these)})'
                parts.append(_fold(title, f'<div class="small">{figures}</div>', len(these)))
    return ''.join(parts)


def merge(explanation: Explanation, pictures: Pictures) -> str:
    """What took which pixels, in order."""
    reached = (Outcome.SEGMENT, Outcome.OVERLAP, Outcome.COVERED, Outcome.EMPTY)
    things = [k for k in explanation.kernels if k.isthing and k.outcome in reached]
    things.sort(key=lambda k: -k.rescored)
    stuff = [k for k in explanation.kernels if not k.isthing]
    stuff.sort(key=lambda k: -k.area)
    too_low = sum(k.outcome is Outcome.PANOPTIC_SCORE for k in explanation.kernels)
    cfg = explanation.settings
    return (
        f'<p>Things come first, best score first (those from panoptic_score_thr '
        f'{cfg.panoptic_score_thr:g} on; {too_low} scored less). Each takes the pixels of its mask '
        f'that are free, unless more than {100 * cfg.mask_overlap:g} % of it (mask_overlap) is '
        f'taken: {chip(TAKEN)}taken before. Then stuff takes what is free.</p>'
        f'<h3>Things, in order: {len(things)}</h3>'
        f'<ol class="merge">{"".join(_turn(k, explanation, pictures) for k in things)}</ol>'
        f'<h3>Stuff, by the free pixels where it is the best region: {len(stuff)}</h3>'
        f'<ol class="merge">{"".join(_turn(k, explanation, pictures) for k in stuff)}</ol>'
        f'<p>{_void(explanation)}</p>'
    )


def _level_figure(
    explanation: Explanation, number: int, picture: str, facts: str, what: str, keys: str
) -> str:
    h, w = explanation.output.levels[number].centers.shape[-2:]
    title = f'{level_name(number)}, {h} x {w} cells'
    listed = f'<details><summary>the {what}</summary><ul class="keys">{keys}</ul></details>'
    return (
        f'<figure><img src="{picture}" alt="{title}: {what}" loading="lazy">'
        f'<figcaption><b>{title}</b>: {facts}{listed if keys else ""}</figcaption></figure>'
    )


def _outcome(candidate: Candidate) -> str:
    """Where it went."""
    if candidate.kernel is not None:
        return f' → {texts.link(candidate.kernel)}'
    return f': {escape(candidate.outcome.value)}'


def _family(kernel: Kernel, candidates: dict[str, Candidate], pictures: Pictures) -> str:
    figures = []
    for key in kernel.members:
        member = candidates[key]
        cosine = '' if member.similarity is None else f', cosine {member.similarity:.3f}'
        figures.append(_figure(
            pictures.mask(member),
            f'{texts.link(key)} {texts.name(member)} {member.score:.3f}',
            f'{texts.place(member)}{cosine}',
        ))  # fmt: skip
    caption = f'{texts.link(kernel.key)} {texts.name(kernel)} {kernel.score:.3f}'
    fused = _figure(pictures.mask(kernel), caption, f'mean of {len(figures)}', 'fused')
    return f'<div class="family">{"".join(figures)}<div class="to">→{fused}</div></div>'


def _lost(candidate: Candidate, candidates: dict[str, Candidate], pictures: Pictures) -> str:
    taker = candidates[candidate.taken_by]
    return _figure(
        pictures.mask(candidate),
        f'{texts.link(candidate.key)} {texts.name(candidate)} {candidate.score:.3f}',
        f'{texts.place(candidate)}; taken by {texts.link(taker.key)}, cosine '
        f'{candidate.similarity:.3f}, which {texts.link(taker.taken_by)} had taken',
    )


def _mask(kernel: Kernel, explanation: Explanation, pictures: Pictures) -> str:
    caption = f'{kernel.key} {chip(pictures.color(kernel.label))}{texts.name(kernel)}'
    facts = f'{texts.score(kernel)}<br>{texts.reason(kernel, explanation.settings)}'
    return _figure(pictures.mask(kernel), caption, facts, key=kernel.key)


def _turn(kernel: Kernel, explanation: Explanation, pictures: Pictures) -> str:
    """One kernel in the merge."""
    kept = kernel.outcome is Outcome.SEGMENT
    badge = f'<span class="badge {"kept" if kept else "out"}">{"kept" if kept else "out"}</span>'
    facts = [f'score {kernel.rescored if kernel.isthing else kernel.score:.3f}']
    if kernel.isthing:
        facts.append(f'mask {texts.pixels(kernel.area)}')
    if kernel.taken_by:
        facts.append(f'taken before by {texts.takers(kernel)}')
    picture = pictures.taken(kernel) if kernel.taken_by else pictures.mask(kernel)
    return (
        f'<li><img src="{picture}" alt="mask of {kernel.key}" loading="lazy"><div>'
        f'<b>{texts.link(kernel.key)} {texts.name(kernel)}</b> {badge}<br>{"; ".join(facts)}<br>'
        f'{texts.reason(kernel, explanation.settings)}</div></li>'
    )


def _void(explanation: Explanation) -> str:
    total = explanation.result.panoptic_seg.size
    void = int((explanation.result.panoptic_seg == 0).sum())
    small = sum(k.area for k in explanation.kernels if k.outcome is Outcome.STUFF_AREA)
    return (
        f'Void: {texts.percent(void, total)} of the image, {texts.pixels(void)}. Of these, '
        f'{texts.pixels(small)} are stuff whose area is too small; on the others the best region '
        'is no stuff class, or there is none.'
    )


def _figure(picture: str, caption: str, facts: str, kind: str = '', key: str = '') -> str:
    anchor = f' id="{key}"' if key else ''
    return (
        f'<figure{anchor} class="{kind}"><img src="{picture}" alt="mask" loading="lazy">'
        f'<figcaption><b>{caption}</b><br>{facts}</figcaption></figure>'
    )


def _fold(title: str, content: str, number: int) -> str:
    """Shown at once, unless it has many pictures."""
    state = ' open' if number <= FOLDED else ''
    return f'<details{state}><summary>{escape(title)}</summary>{content}</details>'
