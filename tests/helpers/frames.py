"""Small synthetic frames in the exact layouts of Cityscapes and Mapillary Vistas."""

import json
from pathlib import Path

import cv2
import numpy as np

from mmpfcn.formats.panoptic_png import write_panoptic_png

SIZE = (48, 96)  # (height, width) in pixels
REGIONS = ('sky', 'building', 'road', 'sidewalk', 'vegetation', 'wall', 'parking', 'polegroup')
OBJECTS = (
    'car', 'cargroup', 'person', 'persongroup', 'rider', 'bicycle', 'bicyclegroup', 'caravan',
    'trailer', 'train', 'license plate', 'traffic sign', 'static', 'dynamic',
)  # fmt: skip


def rectangle(x: int, y: int, w: int, h: int) -> list[list[int]]:
    """Corners of w x h pixels, as Cityscapes' drawing fills them (both ends inclusive)."""
    return [[x, y], [x + w - 1, y], [x + w - 1, y + h - 1], [x, y + h - 1]]


def street(seed: int) -> list[dict]:
    """Polygons of a frame, later ones on top: regions, objects, groups, and a border of rectification."""
    rng = np.random.default_rng(seed)
    height, width = SIZE
    objects = [
        dict(label=str(name), polygon=rectangle(0, 6 * i, width, height - 6 * i))
        for i, name in enumerate(rng.permutation(REGIONS)[:6])
    ]
    for name in rng.choice(OBJECTS, 14):
        x, y, w, h = (int(v) for v in rng.integers([0, 0, 4, 4], [80, 36, 24, 16]))
        objects.append(dict(label=str(name), polygon=rectangle(x, y, w, h)))
    objects.append(dict(label='ego vehicle', polygon=rectangle(0, 42, width, 6)))
    objects.append(dict(label='rectification border', polygon=rectangle(0, 0, width, 2)))
    return objects


def write_cityscapes(root: Path, names: dict[str, list[str]], frames: dict | None = None) -> Path:
    """Draw `names[split]`, images such as aachen_000000_000019, with the original tool, which makes the
    ids out of polygons: random ones, or those of `frames`."""
    from cityscapesscripts.helpers.annotation import Annotation
    from cityscapesscripts.preparation.json2instanceImg import createInstanceImage
    from cityscapesscripts.preparation.json2labelImg import json2labelImg

    rng = np.random.default_rng(0)
    for split, stems in names.items():
        for seed, stem in enumerate(stems):
            city = stem.split('_')[0]
            image = root / 'leftImg8bit' / split / city / f'{stem}_leftImg8bit.png'
            truth = root / 'gtFine' / split / city / f'{stem}_gtFine'
            for path in (image, truth):
                path.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(_encode('.png', rng.integers(0, 256, (*SIZE, 3), np.uint8)))
            objects = (frames or {}).get(stem, street(seed))
            polygons = Path(f'{truth}_polygons.json')
            polygons.write_text(json.dumps(dict(imgHeight=SIZE[0], imgWidth=SIZE[1], objects=objects)))
            annotation = Annotation()
            annotation.fromJsonFile(str(polygons))
            # Its json2instanceImg would save 32 bits a pixel, which newer Pillows refuse.
            ids = np.array(createInstanceImage(annotation, 'ids')).astype(np.uint16)
            Path(f'{truth}_instanceIds.png').write_bytes(_encode('.png', ids))
            json2labelImg(str(polygons), f'{truth}_labelIds.png')
    return root


def write_vistas(
    split_folder: Path, stems: list[str], categories: list[dict], place: str, json_name: str
) -> dict:
    """Draw a split of Mapillary Vistas and return its JSON, which is right and in their order."""
    rng = np.random.default_rng(len(stems))
    content = dict(images=[], annotations=[], categories=categories, info={}, licenses=[])
    (split_folder / 'images').mkdir(parents=True, exist_ok=True)
    for stem in stems:
        picture = rng.integers(0, 256, (*SIZE, 3), np.uint8)
        (split_folder / 'images' / f'{stem}.jpg').write_bytes(_encode('.jpg', picture))
        ids = np.zeros(SIZE, np.int32)
        segments = []
        for category in rng.choice(categories, 9, replace=False):
            x, y, w, h = (int(v) for v in rng.integers([0, 0, 4, 4], [80, 36, 24, 16]))
            crowd = int(category['isthing'] and len(segments) % 4 == 0)
            segment = dict(id=int(rng.integers(1, 2**24)), category_id=category['id'])
            segments.append(dict(segment, iscrowd=crowd))
            ids[y : y + h, x : x + w] = segment['id']
        write_panoptic_png(split_folder / place / f'{stem}.png', ids)
        content['images'].append(dict(id=stem, file_name=f'{stem}.jpg', height=SIZE[0], width=SIZE[1]))
        masks = [(segment, ids == segment['id']) for segment in segments]
        infos = [dict(segment, **shape_of(mask)) for segment, mask in masks if mask.any()]
        content['annotations'].append(dict(image_id=stem, file_name=f'{stem}.png', segments_info=infos))
    (split_folder / place / json_name).write_text(json.dumps(content))
    return content


def shape_of(mask: np.ndarray) -> dict:
    """Area and box of a mask, computed the plain way."""
    rows, cols = np.nonzero(mask)
    x, y = int(cols.min()), int(rows.min())
    return dict(area=len(rows), bbox=[x, y, int(cols.max()) - x + 1, int(rows.max()) - y + 1])


def _encode(end: str, picture: np.ndarray) -> bytes:
    return cv2.imencode(end, picture)[1].tobytes()
