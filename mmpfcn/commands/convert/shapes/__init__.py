"""The embedded data set: drawing (`scene` and what it uses) and writing (`coco_format`)."""

from .categories import CATEGORIES, METAINFO
from .coco_format import merge_records, write_sample
from .scene import Scene, Segment, draw_scene

__all__ = [
    'CATEGORIES',
    'METAINFO',
    'Scene',
    'Segment',
    'draw_scene',
    'merge_records',
    'write_sample',
]
