"""Drawn clips and their ground truth."""

import sys

import cv2
import numpy as np
import pytest
from helpers.files import read_json

from mmpfcn.commands.convert.moving_shapes import main
from mmpfcn.commands.convert.shapes.coco_format import CATEGORIES
from mmpfcn.commands.convert.shapes.moving import draw_clip
from mmpfcn.commands.convert.shapes.things import THING_COLORS
from mmpfcn.formats import read_panoptic_png

THINGS = {c['id'] for c in CATEGORIES if c['isthing']}


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp('drawn') / 'clips'
    run(folder)
    return folder


def run(folder, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        sizes = ['--clips', '2', '--frames', '40', '--size', '96', '128']
        patch.setattr(sys, 'argv', ['moving_shapes', '--out', str(folder), *sizes, *arguments])
        main()


def test_maps_and_json_agree_and_ids_stay(clips):
    for clip in ('clip_0', 'clip_1'):
        content, kinds = read_json(clips / 'annotations' / f'{clip}.json'), {}
        video = cv2.VideoCapture(str(clips / f'{clip}.mp4'))
        assert len(content['images']) == len(content['annotations']) == 40
        for image, annotation in zip(content['images'], content['annotations'], strict=True):
            ids = read_panoptic_png(str(clips / 'annotations' / clip / annotation['file_name']))
            assert ids.shape == video.read()[1].shape[:2] == (image['height'], image['width'])
            values, areas = np.unique(ids[ids > 0], return_counts=True)
            found = {s['id']: s['area'] for s in annotation['segments_info']}
            assert found == dict(zip(values.tolist(), areas.tolist(), strict=True))
            for s in annotation['segments_info']:
                assert kinds.setdefault(s['id'], s['category_id']) == s['category_id']
                assert s['area'] >= (16 if s['category_id'] in THINGS else 96)
        assert not video.read()[0]


def test_the_same_seed_gives_the_same_truth(clips, tmp_path, capsys):
    run(tmp_path / 'again')
    for path in sorted(clips.rglob('*.png')):
        assert path.read_bytes() == (tmp_path / 'again' / path.relative_to(clips)).read_bytes()
    before = sorted(path.stat().st_mtime_ns for path in clips.rglob('*'))
    with pytest.raises(SystemExit):
        run(clips)
    assert 'is there already: choose another or move it away' in capsys.readouterr().err
    assert before == sorted(path.stat().st_mtime_ns for path in clips.rglob('*'))


def test_things_move_smoothly_enter_leave_and_hide_each_other():
    entered = left = moved = 0
    for number in range(6):
        seen, last = {}, {}
        for time, scene in enumerate(draw_clip(0, number, 60, 96, 128)):
            areas = np.bincount(scene.segment_map.ravel(), minlength=len(scene.segments) + 1)[1:]
            for i, (segment, area) in enumerate(zip(scene.segments, areas, strict=True)):
                if segment.name in THING_COLORS and area:
                    seen.setdefault(i, []).append(time)
                    center = np.argwhere(scene.segment_map == i + 1).mean(0)
                    if i in last and area > 100 and time == last[i][0] + 1:
                        step = np.abs(center - last[i][1]).max()
                        assert step < 8  # of 1.8 px and the camera; more where another hides it
                        moved += step > 0.2
                    last[i] = time, center
        entered += sum(times[0] > 0 for times in seen.values())
        left += sum(times[-1] < 59 for times in seen.values())
    assert entered > 3 and left > 3 and moved > 200
