"""Panoptic data sets: reading, ground truth, augmentation."""

from ..formats.label_map import segment_areas, segment_boxes, segment_index
from ..formats.panoptic_json import PanopticJson, arrange_classes, read_panoptic_json
from ..formats.panoptic_png import read_panoptic_png, write_panoptic_png
from ..structures.segment_masks import SegmentMasks
from .load_image import LoadImage
from .loading import LoadPanopticGroundTruth, PackPanopticInputs, PaintThings
from .paired_crop import PairedCrop
from .paired_sampler import PairedSampler
from .panoptic_dataset import PanopticDataset
from .random_crop import RandomCropWithInstance
from .replayable_sampler import ReplayableAspectRatioBatchSampler, ReplayableSampler
from .short_side_resize import ShortSideResize
