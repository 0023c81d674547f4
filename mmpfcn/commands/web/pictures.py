"""A result as the page shows it: overlay, table of segments, heat maps."""

from collections.abc import Sequence

import numpy as np

from mmpfcn.apis import PanopticResult
from mmpfcn.visualization.colors import class_palette, label_colors
from mmpfcn.visualization.drawing import Segment, draw_panoptic, resize

from ..page import html_part, thumbnail

LONG_SIDES = (800, 1280)  # px; smaller images are enlarged, so that the texts fit


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
    """Pictures of the levels as HTML."""
    addresses = [thumbnail(picture, picture.shape[1]) for picture in pictures]
    return html_part('web.html', 'levels', title, addresses, captions)


def table(result: PanopticResult) -> str:
    """The segments as an HTML table in the colours of the overlay, with a caption."""
    labels = [segment['label'] for segment in result.segments_info]
    colors = label_colors(labels, class_palette(result.dataset_meta))
    return html_part('web.html', 'segments', result, colors)
