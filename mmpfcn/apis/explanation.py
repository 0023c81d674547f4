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
    """A kernel before fusion: that of a peak of the centres, or of a region of one level."""

    key: str  # unique: p1, p2, ... for peaks, best first; r1, r2, ... for regions, by level
    isthing: bool  # it is a peak
    label: int  # class; for regions T + S is "any thing"
    name: str  # of the class
    score: float  # in [0, 1]: the smoothed centre, or the mean probability of the region's cells
    level: int  # 0 for P3
    cell: tuple[int, int] | None = None  # (row, column) of a peak
    num_cells: int = 0  # of a region, 0 for a peak
    # (h, w) float16 in [0, 1], the mask that it would make alone; None: it does not reach fusion
    prob: np.ndarray | None = None
    kernel: str | None = None  # key of the fused kernel that it is a part of
    taken_by: str | None = None  # key of the better candidate that took it in fusion
    similarity: float | None = None  # cosine with that one; regions are not compared
    outcome: Outcome = Outcome.SEGMENT  # that of its kernel, or why it is in none


@dataclass
class Kernel:
    """A kernel after fusion, and its mask; areas are pixels of the image."""

    key: str  # unique: t1, t2, ... for things, best first; s1, s2, ... for regions
    isthing: bool  # it was made of peaks
    label: int  # class; T + S is "any thing"
    name: str  # of the class
    members: list[str]  # keys of its candidates, the first one first
    score: float  # before rescoring
    prob: np.ndarray  # (h, w) float16 in [0, 1] at stride 4, without padding
    outcome: Outcome = Outcome.SEGMENT  # what the merge made of it
    rescored: float | None = None  # score after it; None for regions, which are not rescored
    # of the thing's mask, None if it did not get so far; or free pixels where a region is the best
    area: int | None = None
    # keys of better things, with the pixels of the mask that each has taken before; most first
    taken_by: Sequence[tuple[str, int]] = ()
    segment_id: int | None = None  # in the panoptic map; None if it became none
    visible: int = 0  # pixels of the segment

    @property
    def taken(self) -> int:
        """Pixels of the mask that better things had taken."""
        return sum(pixels for _, pixels in self.taken_by)


@dataclass
class Explanation:
    """One image from the network's maps to the panoptic map."""

    output: NetworkOutput
    settings: InferenceSettings  # the thresholds
    result: PanopticResult
    candidates: list[Candidate]  # peaks, best first, then regions, finest level first
    kernels: list[Kernel]  # of things, best first, then of regions
