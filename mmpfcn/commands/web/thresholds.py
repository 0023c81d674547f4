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


THRESHOLDS = (
    Threshold('center_thr', 'Centre', 'Probability, above', 0, 1, 0.01),
    Threshold('region_thr', 'Region', 'Mean probability, above', 0, 1, 0.01),
    Threshold('similarity_thr', 'Kernel fusion', 'Cosine similarity, from', 0.5, 1, 0.01),
    Threshold('mask_thr_binary', 'Mask', 'Probability of a pixel, above', 0, 1, 0.01),
    Threshold('panoptic_score_thr', 'Merge: score', 'Of an object, at least', 0, 1, 0.01),
    Threshold('mask_overlap', 'Merge: overlap', 'Share already taken, at most', 0, 1, 0.01),
    Threshold('stuff_area_limit', 'Merge: stuff area', 'Pixels, at least', 0, 16384, 1),
)
"""In the order of inference."""


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
