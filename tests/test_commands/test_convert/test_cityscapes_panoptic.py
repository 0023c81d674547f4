"""Cityscapes to COCO panoptic format, and the writer's restarts, which the converters share."""

import json
import os
import resource
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from helpers.files import claim, contents, cut, read_json, times, without_privileges
from helpers.frames import SIZE, rectangle, write_cityscapes
from helpers.oracle import ROOT
from helpers.shell import children, environment, start, wait_until

from mmpfcn.formats.panoptic_png import read_panoptic_png

pytest.importorskip('cityscapesscripts')

from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic  # noqa: E402

from mmpfcn.commands.convert import cityscapes_panoptic  # noqa: E402

NAMES = {
    'train': [f'{name}_000019' for name in ('aachen_000000', 'aachen_000001', 'ulm_000000', 'zürich_000000')],
    'val': [f'{name}_000019' for name in ('lindau_000000', 'lindau_000001', 'münster_000000')],
}  # fmt: skip
THINGS = ['person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle']
STUFF = [
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
    'vegetation', 'terrain', 'sky',
]  # fmt: skip


@pytest.fixture(scope='module')
def raw(tmp_path_factory) -> Path:
    """The downloads; not to be changed."""
    return write_cityscapes(tmp_path_factory.mktemp('city scapes ä') / 'raw', NAMES)


@pytest.fixture(scope='module')
def converted(raw) -> Path:
    """`annotations` as the tool makes it."""
    return convert(raw, raw.parent / 'converted')


@pytest.fixture
def copy(raw, tmp_path) -> Path:
    """The downloads, to be broken."""
    return shutil.copytree(raw, tmp_path / 'copy')


def convert(raw: Path, out: Path, *arguments) -> Path:
    cityscapes_panoptic.main([str(raw), '--out', str(out), '--workers', '1', *arguments])
    return out / 'annotations'


def refusal(raw: Path, out: Path, *arguments) -> str:
    """The message of a run that must not succeed."""
    with pytest.raises(SystemExit) as caught:
        convert(raw, out, *arguments)
    assert isinstance(caught.value.code, str)  # so Python exits with 1 and prints it
    return caught.value.code


@pytest.mark.parametrize('split', ['train', 'val'])
def test_equal_to_cityscapesscripts(raw, converted, tmp_path, split):
    """Pixels, ids, categories, areas, boxes and crowds; only orders and image names differ."""
    (tmp_path / 'original').mkdir()
    convert2panoptic(str(raw / 'gtFine'), str(tmp_path / 'original'), setNames=[*NAMES])
    expected_folder = tmp_path / 'original' / f'cityscapes_panoptic_{split}'
    expected = read_json(expected_folder.with_suffix('.json'))
    found = read_json(converted / f'panoptic_{split}.json')
    assert found['annotations'] == expected['annotations']
    assert sorted(found['categories'], key=lambda c: c['id']) == expected['categories']
    for image, theirs in zip(found['images'], expected['images'], strict=True):
        assert dict(image, file_name='') == dict(theirs, file_name='')
    names = sorted(path.name for path in expected_folder.iterdir())
    assert sorted(p.name for p in (converted / f'panoptic_{split}').iterdir()) == names
    assert len(names) == len(NAMES[split])
    for name in names:
        ids = read_panoptic_png(str(converted / f'panoptic_{split}' / name))
        assert np.array_equal(ids, read_panoptic_png(str(expected_folder / name)))


def test_what_is_converted(converted, raw):
    """Every case, or the equality would say little; things first; files that exist."""
    read = [read_json(converted / f'panoptic_{split}.json')['annotations'] for split in NAMES]
    segments = [s for annotations in read for a in annotations for s in a['segments_info']]
    assert {s['iscrowd'] for s in segments} == {0, 1}
    assert {s['category_id'] for s in segments} >= {7, 8, 11, 21, 23, 24, 26, 31, 33}
    categories = read_json(converted / 'panoptic_val.json')['categories']
    assert [c['name'] for c in categories] == THINGS + STUFF
    assert [c['isthing'] for c in categories] == [1] * 8 + [0] * 11
    ids = [*range(24, 29), *range(31, 34), 7, 8, *range(11, 14), 17, *range(19, 24)]
    assert [c['id'] for c in categories] == ids
    images = read_json(converted / 'panoptic_train.json')['images']
    assert [i['id'] for i in images] == NAMES['train']
    assert images[0]['file_name'] == 'aachen/aachen_000000_000019_leftImg8bit.png'
    for image in images:
        assert (raw / 'leftImg8bit' / 'train' / image['file_name']).is_file()
        assert (image['height'], image['width']) == SIZE


def test_a_frame_drawn_by_hand(tmp_path):
    """The expected segments in numbers: a license plate is car, a caravan and a border are void."""
    stem = 'ulm_000000_000000'
    frame = [
        dict(label='road', polygon=rectangle(0, 0, 96, 48)),
        dict(label='car', polygon=rectangle(10, 10, 20, 10)),
        dict(label='license plate', polygon=rectangle(15, 15, 4, 2)),
        dict(label='car', polygon=rectangle(28, 10, 6, 5)),
        dict(label='cargroup', polygon=rectangle(50, 10, 8, 5)),
        dict(label='caravan', polygon=rectangle(60, 30, 10, 10)),
        dict(label='rectification border', polygon=rectangle(0, 0, 96, 2)),
    ]
    raw = write_cityscapes(tmp_path / 'raw', {'val': [stem]}, {stem: frame})
    folder = convert(raw, tmp_path, '--splits', 'val')
    (annotation,) = read_json(folder / 'panoptic_val.json')['annotations']
    keys = ('id', 'category_id', 'iscrowd', 'area', 'bbox')
    road = 96 * 46 - (200 + 20) - 40 - 100  # the second car hides 10 pixels of the first
    assert [tuple(s[k] for k in keys) for s in annotation['segments_info']] == [
        (7, 7, 0, road, [0, 2, 96, 46]),
        (26, 26, 1, 40, [50, 10, 8, 5]),
        (26000, 26, 0, 190, [10, 10, 20, 10]),
        (26001, 26, 0, 30, [28, 10, 6, 5]),
    ]
    ids = read_panoptic_png(str(folder / 'panoptic_val' / f'{stem}_gtFine_panoptic.png'))
    assert ids[16, 16] == 26000 and ids[0, 0] == 0 and ids[35, 65] == 0


def test_label_ids_alone_make_crowds_of_things(copy, tmp_path, capsys):
    for path in copy.glob('gtFine/val/*/*_instanceIds.png'):
        path.unlink()
    folder = convert(copy, tmp_path, '--splits', 'val')
    message = capsys.readouterr().err
    assert message.count('warning') == 1 and 'gtFine_trainvaltest.zip has both' in message
    data = read_json(folder / 'panoptic_val.json')
    isthing = {c['id']: c['isthing'] for c in data['categories']}
    for annotation in data['annotations']:
        assert annotation['segments_info']
        (path,) = copy.glob(f'gtFine/val/*/{annotation["image_id"]}_gtFine_labelIds.png')
        labels = cv2.imread(str(path), -1)
        for segment in annotation['segments_info']:
            assert segment['id'] == segment['category_id']
            assert segment['iscrowd'] == isthing[segment['category_id']]
            assert segment['area'] == (labels == segment['id']).sum()


def is_running(process_id: int) -> bool:
    try:
        state = Path(f'/proc/{process_id}/stat').read_text().rsplit(')', 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != 'Z'


def kill_in_the_middle(raw: Path, out: Path) -> None:
    """Start two workers, kill the tool without notice, and wait for the workers to end."""
    arguments = raw, '--out', out, '--splits', 'train', '--workers', 2
    tool = ROOT / 'tools' / 'dataset_converters' / 'cityscapes_panoptic.py'
    process = start(sys.executable, tool, *arguments, env=environment())
    records = out / 'annotations' / 'panoptic_train.partial' / 'records'
    wait_until(lambda: len(list(records.glob('*.json'))) >= 5, process)
    workers = children(process.pid)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert len(workers) == 2
    while any(map(is_running, workers)):
        time.sleep(0.05)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='looks at /proc')
def test_a_killed_run_goes_on_and_two_workers_write_the_same_bytes(tmp_path):
    stems = [f'ulm_{i:06d}_000000' for i in range(150)]
    raw = write_cityscapes(tmp_path / 'raw', {'train': stems})
    kill_in_the_middle(raw, tmp_path / 'killed')
    folder = tmp_path / 'killed' / 'annotations'
    partial = folder / 'panoptic_train.partial'
    assert [path.name for path in folder.iterdir()] == [partial.name]
    done = partial / 'png' / f'{stems[0]}_gtFine_panoptic.png'
    written_at = done.stat().st_mtime_ns
    missing = [s for s in stems if not list((partial / 'records').glob(f'{s}_*.json'))]
    assert 0 < len(missing) < 150
    (partial / 'png' / f'{missing[-1]}_gtFine_panoptic.png').write_bytes(b'torn')
    (partial / 'png' / '.torn.png.x1').write_bytes(b'torn')
    convert(raw, tmp_path / 'killed', '--splits', 'train', '--workers', '2')
    at_once = convert(raw, tmp_path / 'at_once', '--splits', 'train')
    assert contents(folder) == contents(at_once)
    assert len(contents(folder)) == 151
    assert (folder / 'panoptic_train' / done.name).stat().st_mtime_ns == written_at


def test_a_complete_result_is_left_as_it_is(raw, converted, capsys):
    before = times(converted)
    convert(raw, converted.parent)
    assert times(converted) == before
    assert capsys.readouterr().out.count('already complete') == 2


@pytest.mark.parametrize('lost', ['panoptic_val.json', 'panoptic_val/lindau_000000_000019*'])
def test_half_a_result_is_refused_and_replaced_on_request(raw, converted, tmp_path, lost):
    folder = shutil.copytree(converted, tmp_path / 'annotations')
    next(folder.glob(lost)).unlink()
    before = contents(folder)
    message = refusal(raw, tmp_path)
    assert str(folder / 'panoptic_val') in message and '--overwrite' in message
    assert contents(folder) == before
    convert(raw, tmp_path, '--overwrite')
    assert contents(folder) == contents(converted)


def test_an_unfinished_run_of_another_kind_is_refused(raw, converted, tmp_path):
    partial = tmp_path / 'annotations' / 'panoptic_val.partial'
    partial.mkdir(parents=True)
    (partial / 'recipe.json').write_text('{"made_by": "another.py"}')
    message = refusal(raw, tmp_path, '--splits', 'val')
    assert str(partial) in message and 'another.py' in message and '--overwrite' in message
    assert list(contents(tmp_path / 'annotations')) == ['panoptic_val.partial/recipe.json']
    convert(raw, tmp_path, '--splits', 'val', '--overwrite')
    expected = {name: content for name, content in contents(converted).items() if 'val' in name}
    assert contents(tmp_path / 'annotations') == expected


def test_stopped_while_publishing(raw, converted, tmp_path):
    """The PNGs are in place, the JSON not yet: the next run finishes without asking."""
    folder = shutil.copytree(converted, tmp_path / 'annotations')
    partial = folder / 'panoptic_val.partial'
    convert(raw, tmp_path / 'again', '--splits', 'val')
    records = read_json(folder / 'panoptic_val.json')
    recipe = records['info']['recipe']
    for image, annotation in zip(records['images'], records['annotations'], strict=True):
        path = partial / 'records' / f'{annotation["file_name"]}.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(image=image, annotation=annotation, notes=[])))
    (partial / 'recipe.json').write_text(json.dumps(recipe))
    (folder / 'panoptic_val.json').rename(partial / 'panoptic.json')
    convert(raw, tmp_path)
    assert contents(folder) == contents(converted)


def test_a_bad_file_stops_it_and_keeps_what_is_done(copy, converted, tmp_path):
    path = next(copy.glob('gtFine/val/lindau/lindau_000001_*_instanceIds.png'))
    whole = path.read_bytes()
    cut(path)
    message = refusal(copy, tmp_path, '--splits', 'val')
    assert str(path) in message and 'cut off' in message
    assert 'the same command goes on from there' in message
    partial = tmp_path / 'annotations' / 'panoptic_val.partial'
    assert [p.name for p in partial.parent.iterdir()] == [partial.name]
    assert len(list((partial / 'records').iterdir())) == 1
    path.write_bytes(whole)
    folder = convert(copy, tmp_path, '--splits', 'val')
    assert contents(folder / 'panoptic_val') == contents(converted / 'panoptic_val')


def repaint(change):
    """Damages a picture."""
    return lambda path: cv2.imwrite(str(path), change(cv2.imread(str(path))))


truncate = partial(os.truncate, length=60)
IMAGE, IDS = 'leftImg8bit/val/*/*', 'gtFine/val/*/*_instanceIds.png'


@pytest.mark.parametrize('pattern, damage, expected', [
    (IMAGE, truncate, 'cut off (60 bytes): copy it again'),
    (IDS, truncate, 'cut off (60 bytes): copy it again'),
    (IMAGE, repaint(lambda x: x[: SIZE[0] // 2]), 'they must have the same size'),
    (IDS, partial(claim, side=10**6), 'cannot be decoded: unpack'),
    (IMAGE, partial(claim, side=10**6), 'cut it into tiles'),
    (IDS, repaint(lambda x: x[..., 0] * 0 + 34), 'value 34, which is no id of Cityscapes'),
    (IDS, repaint(lambda x: x * 0), 'has 3 channels, expected a grey PNG'),
    (IMAGE, Path.unlink, 'has no counterpart'),
    (IDS, Path.unlink, 'has no counterpart'),
])  # fmt: skip
def test_bad_files_are_named_and_nothing_is_left(copy, tmp_path, pattern, damage, expected):
    path = min(copy.glob(pattern))
    damage(path)
    message = refusal(copy, tmp_path, '--splits', 'val')
    assert path.name.split('_gtFine')[0].split('_leftImg8bit')[0] in message
    assert str(path) in message or damage is Path.unlink
    assert expected in message
    assert not contents(tmp_path / 'annotations')


def test_the_layout_is_told(copy, tmp_path, capsys):
    path = min(copy.glob('gtFine/val/*/*_instanceIds.png'))
    path.unlink()
    message = refusal(copy, tmp_path)
    assert 'lindau_000000_000019_leftImg8bit.png has no counterpart' in message
    assert str(copy / 'gtFine' / 'val') in message and path.name in message
    assert not (tmp_path / 'annotations').exists()  # not even of train
    with pytest.raises(SystemExit) as caught:
        convert(copy / 'leftImg8bit', tmp_path)
    message = capsys.readouterr().err
    assert caught.value.code == 2 and 'has no folder leftImg8bit' in message
    assert 'gtFine/{train,val}/aachen/aachen_000000_000019_gtFine_instanceIds.png' in message
    shutil.rmtree(copy / 'gtFine' / 'train')
    message = refusal(copy, tmp_path)
    assert str(copy / 'gtFine' / 'train') in message and '--splits' in message
    assert 'unpacked in' in message


def test_a_disk_error_is_one_message(raw, tmp_path, capsys):
    """Files may not grow beyond 20 bytes, which stands for a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        message = refusal(raw, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(tmp_path / 'annotations' / 'panoptic_train') in message
    assert 'File too large' in message
    assert not contents(tmp_path)


def test_a_folder_that_can_not_be_made(raw, tmp_path):
    (tmp_path / 'annotations').write_text('mine')
    message = refusal(raw, tmp_path)
    assert str(tmp_path / 'annotations') in message and '--out' in message
    assert (tmp_path / 'annotations').read_text() == 'mine'
    with TemporaryDirectory() as folder:  # pytest's own are closed to others
        copy = shutil.copytree(raw, Path(folder) / 'raw')
        for path in (copy, Path(folder)):
            path.chmod(0o555)
        with without_privileges():
            message = refusal(copy, copy)
        assert str(copy / 'annotations') in message and '--out' in message
        assert not (copy / 'annotations').exists()
        copy.chmod(0o755)


@pytest.mark.parametrize('workers', ['0', '-1', 'many'])
def test_the_number_of_workers_is_checked(raw, tmp_path, refused, workers):
    message = refused(cityscapes_panoptic.main, raw, '--out', tmp_path, f'--workers={workers}')
    assert f'got {workers!r}, expected a whole number of at least 1' in message
