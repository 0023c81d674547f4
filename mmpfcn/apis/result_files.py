"""Results on disk: COCO's panoptic format (``deployment/coco_format.py``) and pictures."""

from pathlib import Path

import cv2

from ..formats.atomic_files import write_atomic
from ..formats.coco_results import PNG_FOLDER, categories, coco_record, write_coco_json, write_png
from .panoptic_result import PanopticResult

__all__ = [
    'PICTURE_FOLDER',
    'PNG_FOLDER',
    'categories',
    'coco_record',
    'write_coco_json',
    'write_picture',
    'write_png',
]

PICTURE_FOLDER = 'vis'


def write_picture(result: PanopticResult, folder: Path, alpha: float = 0.6) -> None:
    """Write the drawn result, with a legend, to ``vis/<stem>.jpg`` in the folder."""
    jpeg = cv2.imencode('.jpg', result.draw(alpha, legend=True)[..., ::-1])[1]
    write_atomic(folder / PICTURE_FOLDER / f'{result.stem}.jpg', jpeg.tobytes())
