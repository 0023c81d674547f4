"""A result as the page shows it: overlay, table of segments, heat maps."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from mmpfcn.apis import PanopticResult
from mmpfcn.visualization.colors import class_palette, label_colors
from mmpfcn.visualization.drawing import Segment, draw_panoptic, resize

LONG_SIDES = (800, 1280)  # px; smaller images are enlarged, so that the texts fit
HEADINGS = ('Segment', 'Kind', 'Score', 'Area', '<abbr title="merged into one">Kernels</abbr>')


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


def figures(title: str, pictures: Sequence[np.ndarray], captions: Sequence[str]) -> str:
    """Pictures of the levels as HTML; one that is clicked becomes as wide as the page."""
    items = [
        f'<figure tabindex="0"><img alt="{title}, {caption}" src="{_data_url(picture)}">'
        f'<figcaption>{caption}</figcaption></figure>'
        for picture, caption in zip(pictures, captions, strict=True)
    ]
    return f'<h2>{title}</h2><div class="levels">{"".join(items)}</div>'


def _data_url(picture: np.ndarray) -> str:
    jpeg = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return f'data:image/jpeg;base64,{b64encode(jpeg).decode()}'


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
        str(kernels) if kernels == 1 else f'<b>{kernels}</b>',
    )
    return f'<tr>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _caption(result: PanopticResult) -> str:
    segments = result.segments_info
    num_things = sum(segment['isthing'] for segment in segments)
    height, width = result.panoptic_seg.shape
    return (
        f'<b>{counted(len(segments), "segment")}</b> ({counted(num_things, "thing")}, '
        f'{len(segments) - num_things} stuff) on {width} × {height} pixels, '
        f'{np.mean(result.panoptic_seg == 0):.1%} without a segment'
    )


def counted(number: int, noun: str) -> str:
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'
