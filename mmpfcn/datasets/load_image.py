"""How the images of a data set are read, and what may follow in its pipeline."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ..formats.panoptic_png import read_complete
from ..formats.pixels import COLOUR, PixelRule, preview
from ..formats.read_image import decode_image
from .inner_datasets import dataset_of, inner_datasets

FOR_COLOURS = (
    'PhotoMetricDistortion', 'YOLOXHSVRandomAug', 'RandomGrayscale', 'Color', 'ColorTransform',
    'Contrast', 'AutoContrast', 'Equalize', 'Posterize',
)  # fmt: skip
"""Transforms of mmdet and mmcv that only work on three channels."""

FOR_BYTES = 'AutoContrast', 'Equalize', 'Posterize'  # not on float32


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image upright; unlike mmcv's ``LoadImageFromFile`` refuse one that is cut off.

    It is what :func:`mmpfcn.apis.read_image` reads, of every format, and raises as that does.
    ``backend_args`` are of mmengine's file client; ``channels``, ``ranges`` and ``percentiles`` of
    :class:`PixelRule`: for images of 16 bits, of other channels than three, or dim ones. Those of
    the test pipeline count for prediction and export too.

    Adds ``img``, (H, W, 3) uint8 BGR or (H, W, C) by the rule, ``img_shape`` and ``ori_shape``,
    (H, W) in pixels.
    """

    def __init__(
        self,
        backend_args: dict | None = None,
        channels: int | None = None,
        ranges: Sequence[Sequence[float]] | None = None,
        percentiles: Sequence[float] | None = None,
    ) -> None:
        self.backend_args = backend_args
        self.rule = PixelRule(channels, ranges, percentiles)

    def transform(self, results: dict) -> dict:
        path = results['img_path']
        content = read_complete(path, 'image', self.backend_args)
        image = self.rule.fit(decode_image(content, path, rule=self.rule), path)
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results


def transforms_of(step: Any) -> Iterator[Any]:
    """A transform, or each of a list, and those inside, as ``RandomApply`` has them."""
    if isinstance(step, list | tuple):
        for inner in step:
            yield from transforms_of(inner)
    elif step is not None:
        yield step
        yield from transforms_of(getattr(step, 'transforms', None))
        yield from transforms_of(getattr(step, 'resize', None))


def configured_rule(pipeline: Sequence[Mapping]) -> PixelRule:
    """That of the ``LoadImage`` in the config of a pipeline."""
    for step in pipeline:
        if step['type'] == 'LoadImage':
            return LoadImage(**{key: value for key, value in step.items() if key != 'type'}).rule
    return COLOUR


def pixel_rule(dataset: Any) -> PixelRule:
    """That of the ``LoadImage`` of a data set, or of the first one in a wrapper."""
    first = next(inner_datasets(dataset))
    for step in transforms_of(getattr(first, 'pipeline', None)):
        if isinstance(step, LoadImage):
            return step.rule
    return COLOUR


def require_rule(rule: PixelRule, pipeline: Any) -> None:
    """Raise ValueError for a transform that does not work on what a rule makes of images."""
    few, is_bytes = rule.channels in (None, 3), not rule.scales
    for step in transforms_of(pipeline):
        name = type(step).__name__
        if name in FOR_COLOURS and not few:
            needs, change = 'three channels', f'leave {name} out of the pipeline'
        elif name in FOR_BYTES and not is_bytes:
            needs, change = '8 bits', f'leave {name} out of the pipeline'
        elif getattr(step, 'backend', None) == 'pillow' and not (few and is_bytes):
            needs, change = 'three channels of 8 bits', f"set backend='cv2' of {name}"
        else:
            continue
        kind = 'float32' if rule.scales else 'uint8'
        raise ValueError(
            f'{name} needs {needs}, but LoadImage gives {rule.channels or 3} of {kind}: {change}'
        )


def picture(dataset: Any, path: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB to look at, of an image of a data set; raises as ``LoadImage``."""
    inner = dataset_of(dataset, path)
    load = LoadImage(getattr(inner, 'backend_args', None))
    load.rule = pixel_rule(inner)
    return np.ascontiguousarray(preview(load.transform(dict(img_path=path))['img'])[..., ::-1])
