"""The pictures of an explanation as addresses that hold all of them."""

import numpy as np

from mmpfcn.apis import Candidate, Explanation, Kernel, Outcome
from mmpfcn.visualization.colors import ANY_THING, class_palette
from mmpfcn.visualization.drawing import resize
from mmpfcn.visualization.heat_maps import draw_centers, draw_mask, draw_regions

from ..page import thumbnail

SMALL_SIDE = 192  # px, longer side of a mask
LARGE_SIDE = 800  # px


class Pictures:
    """Draws for one explanation."""

    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation
        self._meta = explanation.result.dataset_meta
        self._palette = [*class_palette(self._meta), ANY_THING]
        image = explanation.output.image
        scale = SMALL_SIDE / max(image.shape[:2])
        size = tuple(max(1, round(side * scale)) for side in image.shape[:2])
        self._canvas, self._ids = resize(image, size), explanation.result.panoptic_seg
        things = [k for k in explanation.kernels if k.outcome is Outcome.SEGMENT and k.isthing]
        self._segments = {kernel.key: kernel.segment_id for kernel in things}

    def color(self, label: int) -> tuple[int, int, int]:
        return self._palette[label if label < len(self._meta['classes']) else -1]

    def image(self) -> str:
        return large(self._explanation.output.image)

    def result(self) -> str:
        return large(self._explanation.result.draw())

    def centers(self) -> list[str]:
        """Per level, with the keys of the peaks."""
        settings, output = self._explanation.settings, self._explanation.output
        keys: list[list[str]] = [[] for _ in output.levels]
        for candidate in self._explanation.candidates:
            if candidate.isthing and candidate.outcome is not Outcome.CENTER_THR:
                keys[candidate.level].append(candidate.key)
        return [large(x) for x in draw_centers(output, settings, self._meta, keys)]

    def regions(self) -> list[str]:
        """Per level."""
        return [large(x) for x in draw_regions(self._explanation.output, self._meta)]

    def mask(self, item: Candidate | Kernel, taken: np.ndarray | None = None) -> str:
        """Of a kernel before or after fusion; with the pixels that others had taken, of a thing."""
        threshold = self._explanation.settings.mask_thr_binary if item.isthing else None
        color = self.color(item.label)
        picture = draw_mask(self._canvas, item.prob, color, threshold, taken)
        return thumbnail(picture, picture.shape[1])

    def taken(self, kernel: Kernel) -> str:
        """The mask of a thing, and what better things had taken of it."""
        owners = [self._segments[key] for key, _ in kernel.taken_by]
        return self.mask(kernel, np.isin(self._ids, owners))


def large(picture: np.ndarray) -> str:
    height, width = picture.shape[:2]
    return thumbnail(picture, max(1, round(width * min(1, LARGE_SIDE / max(height, width)))))
