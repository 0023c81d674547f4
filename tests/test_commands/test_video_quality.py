"""VPQ and STQ from files."""

import json
import re

import numpy as np
import pytest

from mmpfcn.commands.video_quality import main
from mmpfcn.formats.panoptic_png import write_panoptic_png
from mmpfcn.structures.label_map import encode_segments

CATEGORIES = [dict(id=3, name='ball', isthing=1), dict(id=9, name='sea', isthing=0)]


@pytest.fixture
def files(tmp_path):
    """A video of three frames, whose object has another id in the last one of the prediction."""
    lines, annotations = [], []
    for time in range(3):
        gt = np.full((8, 10), 900, np.int32)
        gt[2:6, time : time + 4] = 77
        pred = np.where(gt == 77, 1000 if time < 2 else 2000, 1)
        write_panoptic_png(tmp_path / 'truth' / 'clip' / f'{time}.png', gt)
        kinds = [dict(id=77, category_id=3, iscrowd=0), dict(id=900, category_id=9, iscrowd=0)]
        annotations.append(dict(image_id=time, file_name=f'{time}.png', segments_info=kinds))
        ids = [int(pred[3, time]), 1]
        said = [
            dict(id=id_, category_id=category, segmentation=rle)
            for id_, category, rle in zip(ids, (3, 9), encode_segments(pred, ids), strict=True)
        ]
        image = dict(file_name=f'clip.mp4#{time}', height=8, width=10)
        lines.append(json.dumps(dict(image=image, annotation=dict(segments_info=said))))
    content = dict(images=[], annotations=annotations, categories=CATEGORIES)
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
