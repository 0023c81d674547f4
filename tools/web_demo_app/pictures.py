"""A result as the page shows it: overlay, table of segments, heat maps."""

from html import escape

import numpy as np

from mmpfcn.apis import PanopticResult
from mmpfcn.visualization.colors import class_palette, label_colors
from mmpfcn.visualization.drawing import Segment, draw_panoptic, resize
from mmpfcn.visualization.targets import level_name

LONG_SIDES = (800, 1280)  # px; smaller images are enlarged, so that the texts fit
HEADINGS = ('Segment', 'Kind', 'Score', 'Area', 'Kernels')


def draw_overlay(result: PanopticResult) -> np.ndarray:
    """``result.draw()`` at a size for a screen, whatever the shape of the image."""
    height, width = result.panoptic_seg.shape
    longer = max(height, width)
    scale = min(max(longer, LONG_SIDES[0]), LONG_SIDES[1]) / longer
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return draw_panoptic(
        resize(result.image, size),
        resize(result.panoptic_seg, size),
        [Segment(s['id'], s['label'], s['score']) for s in result.segments_info],
        result.dataset_meta['classes'],
        class_palette(result.dataset_meta),
    )


def with_titles(pictures: list[np.ndarray]) -> list[tuple[np.ndarray, str]]:
    """Pictures of the levels for a gallery."""
    return [(picture, level_name(number)) for number, picture in enumerate(pictures)]


def table(result: PanopticResult) -> str:
    """The segments as an HTML table in the colours of the overlay, with a caption."""
    segments, pixels = result.segments_info, result.panoptic_seg.size
    colors = label_colors([s['label'] for s in segments], class_palette(result.dataset_meta))
    rows = [_row(segment, color, pixels) for segment, color in zip(segments, colors, strict=True)]
    if not rows:
        rows = [f'<tr><td colspan="{len(HEADINGS)}">No segment: lower the thresholds.</td></tr>']
    heads = ''.join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
    return (
        f'<table class="segments"><caption>{_caption(result)}</caption>'
        f'<thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _row(segment: dict, color: np.ndarray, pixels: int) -> str:
    red, green, blue = color.tolist()
    swatch = f'<i style="background: rgb({red} {green} {blue})"></i>'
    kernels = segment['num_kernels']
    cells = (
        f'{swatch}{escape(segment["name"])}',
        'thing' if segment['isthing'] else 'stuff',
        f'{segment["score"]:.3f}',
        f'{segment["area"]:,} px <small>{segment["area"] / pixels:.1%}</small>',
        str(kernels) if kernels == 1 else f'<b>{kernels}</b> merged',
    )
    return f'<tr>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _caption(result: PanopticResult) -> str:
    segments = result.segments_info
    num_things = sum(segment['isthing'] for segment in segments)
    height, width = result.panoptic_seg.shape
    free = np.mean(result.panoptic_seg == 0)
    return (
        f'<b>{len(segments)}</b> segments: {num_things} things, {len(segments) - num_things} stuff'
        f' · {free:.1%} of {width} × {height} pixels without a segment'
    )
