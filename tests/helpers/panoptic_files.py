"""Small panoptic data sets on disk, drawn by hand, for tests of reading and judging."""

import json
from pathlib import Path

import cv2
import numpy as np
from mmdet.registry import DATASETS

from helpers.frames import shape_of
from helpers.oracle import coco200
from mmpfcn.formats import write_panoptic_png

CATEGORIES = (
    dict(id=90, name='sky', isthing=0),
    dict(id=7, name='person', isthing=1),
    dict(id=23, name='road', isthing=0),
    dict(id=2, name='car', isthing=1),
)
"""Stuff first, ids neither in order nor without gaps: labels are person, car, sky, road."""

IDS = {'.': 0, 's': 70000, 'r': 300, 'p': 5, 'q': 16_000_000, 'c': 258, 'g': 999}
CATEGORY = {'s': 90, 'r': 23, 'p': 7, 'q': 7, 'c': 2, 'g': 2}
"""p and q are persons, c is a car, g a group of cars."""

ROWS = ('ssssssss', 'ssppssss', 'ssppqqss', '.rrrqqcc', '.rrrrrcc', 'ggggrr..')


def draw(rows: tuple[str, ...] = ROWS) -> np.ndarray:
    """(H, W) ids."""
    return np.array([[IDS[cell] for cell in row] for row in rows], np.int32)


def segments(rows: tuple[str, ...] = ROWS) -> list[dict]:
    """``segments_info`` as COCO has it, areas and boxes counted plainly."""
    found = []
    for letter in dict.fromkeys(''.join(rows).replace('.', '')):
        mask = np.array([[cell == letter for cell in row] for row in rows])
        about = dict(id=IDS[letter], category_id=CATEGORY[letter], iscrowd=int(letter == 'g'))
        found.append({**about, **shape_of(mask)})
    return found


def write(root: Path, images: dict[str, tuple[str, ...]] | None = None, **changes) -> Path:
    """Write images (rows by file name; one of ``ROWS`` by default), which are noise, as ``images/``,
    ``pngs/`` and ``panoptic.json`` below ``root``; changes replace keys of the JSON."""
    images = images or {'a/one.jpeg': ROWS}
    content = dict(images=[], annotations=[], categories=list(CATEGORIES))
    for number, (name, rows) in enumerate(images.items()):
        height, width = len(rows), len(rows[0])
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        path = root / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, noise)[1].tobytes())
        png = str(Path(name).parent / f'{Path(name).stem}_ids.png')
        write_panoptic_png(root / 'pngs' / png, draw(rows))
        image_id = f'image-{number}'
        content['images'].append(dict(id=image_id, file_name=name, height=height, width=width))
        content['annotations'].append(dict(image_id=image_id, file_name=png, segments_info=segments(rows)))
    content.update(changes)
    (root / 'panoptic.json').write_text(json.dumps(content))
    return root


def coco(*pipeline: dict, kind: str = 'PanopticDataset', split: str = 'val', **settings):
    """COCO photos as a data set."""
    name = f'annotations/panoptic_{split}2017'
    prefix = dict(img=f'{split}2017/', seg=f'{name}/')
    where = dict(data_root=str(coco200()), ann_file=f'{name}.json', data_prefix=prefix)
    return DATASETS.build(dict(type=kind, **where, pipeline=list(pipeline), **settings))


def build(root: Path, pipeline: tuple = (), kind: str = 'PanopticDataset', **settings):
    """The data set of :func:`write`."""
    where = dict(data_root=str(root), ann_file='panoptic.json', data_prefix=dict(img='images', seg='pngs'))
    return DATASETS.build(dict(type=kind, **where, pipeline=list(pipeline), **settings))
