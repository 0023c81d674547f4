"""The thresholds that the page has sliders for."""

from collections.abc import Sequence
from typing import NamedTuple

from mmpfcn.models.settings import InferenceSettings


class Threshold(NamedTuple):
    """A slider: ``key`` of :class:`InferenceSettings`, texts and range."""

    key: str
    label: str
    info: str
    low: float
    high: float
    step: float


FINDING = (
    Threshold('center_thr', 'Centre', 'least probability of an object centre', 0, 1, 0.01),
    Threshold('region_thr', 'Region', 'least mean probability of a stuff region', 0, 1, 0.01),
)
MASKS = (
    Threshold('similarity_thr', 'Kernel fusion', 'cosine at which kernels are one', 0.5, 1, 0.01),
    Threshold('mask_thr_binary', 'Mask', 'least probability of a pixel of an object', 0, 1, 0.01),
)
MERGING = (
    Threshold('panoptic_score_thr', 'Score', 'least score of an object', 0, 1, 0.01),
    Threshold('mask_overlap', 'Overlap', 'share of an object that may be taken', 0, 1, 0.01),
    Threshold('stuff_area_limit', 'Stuff area', 'least area in pixels', 0, 16384, 64),
)
GROUPS = {'Find': FINDING, 'Masks': MASKS, 'Merge': MERGING}
THRESHOLDS = FINDING + MASKS + MERGING


def defaults(settings: InferenceSettings) -> list[float]:
    """The values of a model's config, in the order of :data:`THRESHOLDS`."""
    return [getattr(settings, threshold.key) for threshold in THRESHOLDS]


def by_key(values: Sequence[float]) -> dict[str, float]:
    """For ``finish``; a value out of its range (only a forged request has one) is clipped.

    Raises:
        ValueError: a value is no number.
    """
    result = {}
    for threshold, value in zip(THRESHOLDS, values, strict=True):
        if not isinstance(value, int | float) or value != value:
            raise ValueError(f'{threshold.label} is {value!r}, expected a number')
        result[threshold.key] = min(max(value, threshold.low), threshold.high)
    return result
