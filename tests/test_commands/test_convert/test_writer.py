"""The writer of the converters by itself; restarts are in test_cityscapes_panoptic.py."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.frames import shape_of
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmpfcn.commands.convert.segments import measure
from mmpfcn.commands.convert.writer import Job, convert
from mmpfcn.formats import image_size
from mmpfcn.formats.panoptic_png import read_panoptic_png

CATEGORIES = [dict(id=3, name='ball', isthing=1), dict(id=9, name='sky', isthing=0)]
IDS = np.array([[0, 5, 5], [70000, 5, 0]])
SEGMENTS = [
    dict(id=np.int64(5), category_id=3, iscrowd=False),
    dict(id=8, category_id=3, iscrowd=0),
    dict(id=70000, category_id=9, iscrowd=0),
]


def run(folder: Path, jobs: list[Job], read, workers: int = 1) -> Path:
    path = folder / 'annotations' / 'panoptic_x.json'
    convert(jobs, read, CATEGORIES, path, recipe=dict(made_by='test'), workers=workers)
    return path


def job(number: int, **changes) -> Job:
    image = dict(id=number, file_name=f'ü/{number}.jpg', **changes)
    return Job(image, f'ü/{number}.png', (number,))


def read_same(number: int) -> tuple[np.ndarray, list[dict]]:
    return IDS, SEGMENTS


def test_what_is_written(tmp_path):
    path = run(tmp_path, [job(2), job(1, license=4)], read_same)
    found = json.loads(path.read_text())
    assert found['categories'] == CATEGORIES
    assert found['images'] == [
        dict(id=2, file_name='ü/2.jpg', height=2, width=3),
        dict(id=1, file_name='ü/1.jpg', height=2, width=3, license=4),
    ]
    infos = [
        dict(id=5, category_id=3, iscrowd=0, area=3, bbox=[1, 0, 2, 2]),
        dict(id=70000, category_id=9, iscrowd=0, area=1, bbox=[0, 1, 1, 1]),
    ]
    assert found['annotations'][1] == dict(image_id=1, file_name='ü/1.png', segments_info=infos)
    for number in (1, 2):
        ids = read_panoptic_png(str(tmp_path / f'annotations/panoptic_x/ü/{number}.png'))
        assert np.array_equal(ids, IDS)


@given(st.integers(0, 2**32 - 1), st.integers(1, 600), st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_areas_and_boxes_are_those_of_the_masks(seed, height, count):
    rng = np.random.default_rng(seed)
    listed = rng.choice(2**24 - 1, count, replace=False) + 1
    values = np.append(listed[1:], [0, 0])  # the first has no pixels
    ids = rng.choice(values, (height, 7)).astype(np.int32)
    segments, unlisted = measure(ids, [dict(id=i, category_id=3, iscrowd=0) for i in listed[:-1]])
    assert [s['id'] for s in segments] == [i for i in listed[:-1] if (ids == i).any()]
    assert unlisted == [i for i in listed[-1:] if (ids == i).any()]
    for segment in segments:
        shape = shape_of(ids == segment['id'])
        assert (segment['area'], segment['bbox']) == (shape['area'], shape['bbox'])


@pytest.mark.parametrize('jobs, segments, expected', [
    # what a reader gives
    ([job(7)], SEGMENTS[:2], 'error: ü/7.jpg: ids [70000] in the map belong to no segment'),
    ([job(7)], [*SEGMENTS, SEGMENTS[0]], 'error: ü/7.jpg: segment id 5 belongs to more than'),
    ([job(7)], [*SEGMENTS[:2], dict(SEGMENTS[2], category_id=4)],
     'error: ü/7.jpg: category id 4 is none of [3, 9]'),
    # what it is asked for
    ([], SEGMENTS, 'there are no images'),
    ([job(1), job(2)._replace(png_name='ü/1.png')], SEGMENTS, "the same PNG name, 'ü/1.png'"),
    ([job(1), job(1)._replace(png_name='2.png')], SEGMENTS, 'the same image id, 1'),
    ([job(1, height=3, width=3)], SEGMENTS, 'the image has 3 x 3 pixels (width x height)'),
])  # fmt: skip
def test_mistakes_are_named_with_the_image(tmp_path, jobs, segments, expected):
    with pytest.raises(SystemExit, match='^error: ') as caught:
        run(tmp_path, jobs, lambda number: (IDS, segments))
    assert expected in caught.value.code and caught.value.code.count('error: ') == 1
    assert not any(path.is_file() for path in tmp_path.rglob('*'))


def die(number: int) -> None:
    os._exit(9)  # as the kernel ends a process when memory runs out


def test_a_killed_process_and_more_images(tmp_path):
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, [job(1), job(2)], die, workers=4)
    assert '--workers 2' in caught.value.code and 'Nothing was written' in caught.value.code
    # The result of fewer images is complete for them, and another one for more.
    path = run(tmp_path, [job(1)], read_same)
    before = path.read_bytes()
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, [job(1), job(2)], read_same)
    assert str(path) in caught.value.code and '--overwrite' in caught.value.code
    assert path.read_bytes() == before


@pytest.mark.parametrize('orientation, expected', [(None, (4, 6)), (1, (4, 6)), (6, (6, 4))])
def test_the_size_is_that_of_the_decoded_image(tmp_path, orientation, expected):
    image = Image.new('RGB', (6, 4))
    exif = image.getexif()
    if orientation:
        exif[0x0112] = orientation
    image.save(tmp_path / 'a.jpg', exif=exif)
    assert image_size(tmp_path / 'a.jpg') == expected
    assert cv2.imread(str(tmp_path / 'a.jpg')).shape[:2] == expected
