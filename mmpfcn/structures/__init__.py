"""What flows between the parts: maps, targets, masks and the network's output."""

from ..formats.label_map import segment_areas, segment_boxes, segment_index
from .level_maps import ImageTargets, LevelMaps, LevelTargets, NetworkOutput, region_labels
from .segment_masks import SegmentMasks
from .tracker import Tracker
