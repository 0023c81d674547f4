"""A small panoptic data set on disk, to be broken in tests."""

import json
from pathlib import Path

import cv2
import numpy as np

from helpers.frames import shape_of
from mmpfcn.datasets import PanopticDataset
from mmpfcn.formats import read_panoptic_png, write_panoptic_png

SIZE = (40, 60)  # (height, width) in pixels
NAMES = (21, 'road', 0), (7, 'car', 1), (40, 'sky', 0), (24, 'person', 1)
CATEGORIES = [dict(id=id_, name=name, isthing=isthing) for id_, name, isthing in NAMES]
ROAD, CAR, CARS, SKY, PERSON = 1, 300, 9, 70_000, 5
"""Segment ids in every PNG; CARS is a crowd."""
CATEGORY = {ROAD: 21, CAR: 7, CARS: 7, SKY: 40, PERSON: 24}
PIPELINE = ('LoadImage', 'LoadPanopticGroundTruth', 'PackPanopticInputs')


class BreakableData:
    """Images `train/0.jpg` ..., `annotations/panoptic_train.json` and `.../panoptic_train/0.png`.

    Every image is road below sky, with a car, a person and a crowd of cars; 25 pixels are void.
    """

    def __init__(self, root: Path, num_images: int = 3) -> None:
        self.root = root
        self.json = root / 'annotations' / 'panoptic_train.json'
        self.image_folder = root / 'train'
        self.png_folder = root / 'annotations' / 'panoptic_train'
        self.image_folder.mkdir(parents=True)
        self.data = dict(images=[], annotations=[], categories=[dict(c) for c in CATEGORIES])
        for number in range(num_images):
            self._add(number)
        self.save()

    def _add(self, number: int) -> None:
        ids = np.full(SIZE, SKY)
        ids[20:] = ROAD
        ids[15:25, 5:20] = CAR
        ids[12:28, 30:36] = PERSON
        ids[22:30, 40:55] = CARS
        ids[:5, :5] = 0
        segments = [
            dict(id=i, category_id=category, iscrowd=int(i == CARS), **shape_of(ids == i))
            for i, category in CATEGORY.items()
        ]
        write_panoptic_png(self.png_folder / f'{number}.png', ids)
        picture = np.random.default_rng(number).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        (self.image_folder / f'{number}.jpg').write_bytes(cv2.imencode('.jpg', picture)[1])
        image = dict(id=number, file_name=f'{number}.jpg', height=SIZE[0], width=SIZE[1])
        self.data['images'].append(image)
        annotation = dict(image_id=number, file_name=f'{number}.png', segments_info=segments)
        self.data['annotations'].append(annotation)

    def save(self) -> None:
        """Write the JSON as `data` is now."""
        self.json.write_text(json.dumps(self.data))

    def image(self, number: int = 0) -> Path:
        return self.image_folder / f'{number}.jpg'

    def png(self, number: int = 0) -> Path:
        return self.png_folder / f'{number}.png'

    def segment(self, id_: int, number: int = 0) -> dict:
        """The record of a segment, to be changed."""
        segments = self.data['annotations'][number]['segments_info']
        return next(segment for segment in segments if segment['id'] == id_)

    def repaint(self, old: int, new: int, number: int = 0) -> None:
        """Give a segment of a PNG another id."""
        ids = read_panoptic_png(self.png(number))
        ids[ids == old] = new
        write_panoptic_png(self.png(number), ids)

    def dataset(self, **options) -> PanopticDataset:
        """The data set with what a training does before its augmentation."""
        prefix = dict(img=str(self.image_folder), seg=str(self.png_folder))
        pipeline = [dict(type=name) for name in PIPELINE]
        usual = dict(ann_file=str(self.json), data_prefix=prefix, pipeline=pipeline)
        return PanopticDataset(**(usual | options))
