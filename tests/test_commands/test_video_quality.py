"""VPQ and STQ from files."""

import json
import re

import numpy as np
import pytest
from helpers.files import read_json

from mmpfcn.commands.video_quality import main
from mmpfcn.formats.label_map import encode_segments
from mmpfcn.formats.panoptic_png import write_panoptic_png

CATEGORIES = [dict(id=3, name='ball', isthing=1), dict(id=9, name='sea', isthing=0)]


@pytest.fixture
def files(tmp_path):
    """A video of three frames, whose object has another id in the last one of the prediction."""
    lines, images, annotations = [], [], []
    for time in range(3):
        gt = np.full((8, 10), 900, np.int32)
        gt[2:6, time : time + 4] = 77
        pred = np.where(gt == 77, 1000 if time < 2 else 2000, 1)
        write_panoptic_png(tmp_path / 'truth' / 'clip' / f'{time}.png', gt)
        kinds = [dict(id=77, category_id=3, iscrowd=0), dict(id=900, category_id=9, iscrowd=0)]
        annotations.append(dict(image_id=time, file_name=f'{time}.png', segments_info=kinds))
        images.append(dict(id=time, file_name=f'clip.mp4#{time}', height=8, width=10))
        ids = [int(pred[3, time]), 1]
        said = [
            dict(id=id_, category_id=category, segmentation=rle, track_id=id_ // 1000)
            for id_, category, rle in zip(ids, (3, 9), encode_segments(pred, ids), strict=True)
        ]
        lines.append(json.dumps(dict(image=images[time], annotation=dict(segments_info=said))))
    content = dict(images=images, annotations=annotations, categories=CATEGORIES)
    (tmp_path / 'truth' / 'clip.json').write_text(json.dumps(content))
    (tmp_path / 'results').mkdir()
    (tmp_path / 'results' / 'clip.jsonl').write_text('\n'.join(lines) + '\n')
    return tmp_path


@pytest.mark.parametrize('names', [('results', 'truth'), ('results/clip.jsonl', 'truth/clip.json')])
def test_figures(files, capsys, names):
    main([str(files / name) for name in names])
    lines = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()[:8])
    aq = (2 / 3 * 2 / 3 + 1 / 3 * 1 / 3) * 100
    assert float(lines['VPQ_1']) == 100 and float(lines['SQ']) == 100
    assert float(lines['AQ']) == pytest.approx(aq, abs=0.05)
    assert float(lines['STQ']) == pytest.approx((aq * 100) ** 0.5, abs=0.05)
    assert lines['VPQ_5'] == 'nan'


def test_number_of_changes(files, capsys):
    main([str(files / 'results'), str(files / 'truth')])
    assert capsys.readouterr().out.endswith('1 changes of number in 3 objects found\n')


@pytest.mark.parametrize('change, message', [
    (lambda lines: lines[:2], 'clip.jsonl has 2 frames, .*clip.json 3: predict the whole video'),
    (lambda lines: lines + lines[:1], 'clip.jsonl has 4 frames, .*clip.json 3'),
    (lambda lines: ['{"a', *lines[1:]], 'line 1 of .*clip.jsonl is no frame of mmpfcn predict --track'),
    (lambda lines: [lines[0].replace('segmentation', 'mask')], 'line 1 of .*segmentation.*again'),
    (lambda lines: [lines[0].replace('"category_id": 9', '"category_id": 8')], 'line 1 of .*8'),
    (lambda lines: [lines[0], lines[1].replace('track_id', 'name'), lines[2]],
     'ids in line 2 of .*clip.jsonl are not tracked.*again, with --track'),
])  # fmt: skip
def test_wrong_files(files, capsys, change, message):
    path = files / 'results' / 'clip.jsonl'
    path.write_text('\n'.join(change(path.read_text().splitlines())) + '\n')
    with pytest.raises(SystemExit, match='2'):
        main([str(files / 'results'), str(files / 'truth')])
    captured = capsys.readouterr()
    assert re.search(message, captured.err) and captured.out == ''


def test_nothing_to_measure(files, tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SystemExit, match='2'):
        main([str(tmp_path / 'empty'), str(files / 'truth')])
    assert 'there are no JSON lines in' in capsys.readouterr().err


def test_frames_are_in_the_order_of_the_images(files, capsys):
    """Whatever the order of the annotations."""
    path, printed = files / 'truth' / 'clip.json', []
    for _ in range(2):
        main([str(files / 'results'), str(files / 'truth')])
        printed.append(capsys.readouterr().out)
        content = read_json(path)
        content['annotations'].reverse()
        path.write_text(json.dumps(content))
    assert printed[0] == printed[1]


@pytest.mark.parametrize('change, message', [
    (dict(annotations=[]), 'clip.json has no annotations: results are measured against these'),
    (dict(categories=[]), 'clip.json has no categories: expected a COCO panoptic JSON'),
    (dict(categories=CATEGORIES[:1]), 'clip.json: .* has the category_id 9, which is not among'),
    (dict(categories=[dict(id=3, name='ball'), CATEGORIES[1]]), "clip.json: categories .*'ball'.*isthing"),
    (dict(images=None), 'clip.json has no images'),
    (lambda content: content['annotations'][1]['segments_info'][0].update(category_id=9),
     'frame 1 of .*clip.jsonl and .*clip.json: id 77 of a video is'),
    (lambda content: content['annotations'][1].pop('file_name'), 'clip.json: annotations without file_name'),
])  # fmt: skip
def test_wrong_ground_truth(files, capsys, change, message):
    path = files / 'truth' / 'clip.json'
    content = read_json(path)
    change(content) if callable(change) else content.update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match='2'):
        main([str(files / 'results'), str(files / 'truth')])
    captured = capsys.readouterr()
    assert re.search(message, captured.err) and captured.out == ''


@pytest.mark.parametrize('results, truth, message', [
    ('results', 'none', r'there is no ground truth \S*none/clip.json of \S*clip.jsonl: give a JSON'),
    ('results', 'truth/clip.json', 'there is no ground truth .*clip.json/clip.json of'),
    ('results/clip.jsonl', 'truth', 'there is no ground truth .*truth of .*clip.jsonl: give a JSON file'),
    ('none', 'truth', 'there are no results .*none: expected JSON lines, or a folder'),
    ('truth/clip/0.png', 'truth/clip.json', 'line 1 of .*0.png is no frame of mmpfcn predict --track'),
])  # fmt: skip
def test_wrong_paths(files, capsys, results, truth, message):
    with pytest.raises(SystemExit, match='2'):
        main([str(files / results), str(files / truth)])
    assert re.search(message, capsys.readouterr().err)
