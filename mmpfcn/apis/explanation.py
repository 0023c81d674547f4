"""Why an image was segmented as it was: every kernel, and what became of it, in plain types."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ..models.settings import InferenceSettings
from ..structures import NetworkOutput
from .panoptic_result import PanopticResult


class Outcome(Enum):
    """What became of a kernel, in the order of the steps."""

    CENTER_THR = 'score not above center_thr'
    REGION_THR = 'score not above region_thr'
    LOST = 'lost in a chain of kernel fusion'
    MAX_PER_IMG = 'beyond the best max_per_img'
    SCORE_THR = 'rescored below score_thr'
    PANOPTIC_SCORE = 'rescored below panoptic_score_thr'
    EMPTY = 'empty mask'
    OVERLAP = 'more than mask_overlap is taken'
    COVERED = 'no pixel is free'
    NO_STUFF = 'no stuff class: only says where things are'
    STUFF_AREA = 'area below stuff_area_limit'
    SEGMENT = 'became a segment'


@dataclass
class Candidate:
    """A kernel before fusion: that of a peak of the centres, or of a region of one level.

    Attributes:
        key: unique: p1, p2, ... for peaks, best first; r1, r2, ... for regions, by level.
        isthing: it is a peak.
        label: class; for regions T + S is "any thing".
        name: of the class.
        score: in [0, 1]: the smoothed centre, or the mean probability of the region's cells.
        level: 0 for P3.
        cell: (row, column) of a peak.
        num_cells: of a region, 0 for a peak.
        prob: (h, w) float16 in [0, 1], the mask that it would make alone, as in :class:`Kernel`;
            None for one that does not reach fusion.
        kernel: key of the fused kernel that it is a part of; None if there is none.
        taken_by: key of the better candidate that took it in fusion; None if none did.
        similarity: cosine with that one; for regions, which are not compared, None.
        outcome: that of its kernel, or why it is in none.
    """

    key: str
    isthing: bool
    label: int
    name: str
    score: float
    level: int
    cell: tuple[int, int] | None = None
    num_cells: int = 0
    prob: np.ndarray | None = None
    kernel: str | None = None
    taken_by: str | None = None
    similarity: float | None = None
    outcome: Outcome = Outcome.SEGMENT


@dataclass
class Kernel:
    """A kernel after fusion, and its mask; areas are pixels of the image.

    Attributes:
        key: unique: t1, t2, ... for things, best first; s1, s2, ... for regions.
        isthing: it was made of peaks.
        label: class; T + S is "any thing".
        name: of the class.
        members: keys of its candidates, the first one first.
        score: before rescoring.
        prob: (h, w) float16 in [0, 1] at stride 4, without padding.
        outcome: what the merge made of it.
        rescored: score after it; None for regions, which are not rescored.
        area: of the thing's mask, or free pixels where the region is the best; None for a thing
            that did not get so far.
        taken_by: keys of better things, with the pixels of the mask that each has taken before;
            most first.
        segment_id: in the panoptic map; None if it became none.
        visible: pixels of the segment.
    """

    key: str
    isthing: bool
    label: int
    name: str
    members: list[str]
    score: float
    prob: np.ndarray
    outcome: Outcome = Outcome.SEGMENT
    rescored: float | None = None
    area: int | None = None
    taken_by: Sequence[tuple[str, int]] = ()
    segment_id: int | None = None
    visible: int = 0

    @property
    def taken(self) -> int:
        """Pixels of the mask that better things had taken."""
        return sum(pixels for _, pixels in self.taken_by)


@dataclass
class Explanation:
    """One image from the network's maps to the panoptic map.

    Attributes:
        output: of the network.
        settings: the thresholds.
        result: the panoptic segmentation.
        candidates: peaks, best first, then regions, finest level first.
        kernels: of things, best first, then of regions.
    """

    output: NetworkOutput
    settings: InferenceSettings
    result: PanopticResult
    candidates: list[Candidate]
    kernels: list[Kernel]
