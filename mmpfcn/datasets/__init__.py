"""Panoptic data sets: reading, ground truth, augmentation."""

from .label_map import segment_areas, segment_boxes, segment_index
from .loading import LoadImage, LoadPanopticGroundTruth, PackPanopticInputs
from .panoptic_dataset import PanopticDataset
from .panoptic_json import PanopticJson, arrange_classes, read_panoptic_json
from .panoptic_png import read_panoptic_png, write_panoptic_png
from .random_crop import RandomCropWithInstance
from .replayable_sampler import ReplayableAspectRatioBatchSampler, ReplayableSampler
from .segment_masks import SegmentMasks

__all__ = [
    'LoadImage',
    'LoadPanopticGroundTruth',
    'PackPanopticInputs',
    'PanopticDataset',
    'PanopticJson',
    'RandomCropWithInstance',
    'ReplayableAspectRatioBatchSampler',
    'ReplayableSampler',
    'SegmentMasks',
    'arrange_classes',
    'read_panoptic_json',
    'read_panoptic_png',
    'segment_areas',
    'segment_boxes',
    'segment_index',
    'write_panoptic_png',
]
