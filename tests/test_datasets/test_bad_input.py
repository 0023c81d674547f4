"""A message says which file is wrong and what to do, and nothing is half written."""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from helpers.breakable_data import CAR, CARS, CATEGORIES, PERSON, ROAD, SIZE, SKY, BreakableData
from helpers.files import cut, tree, without_privileges
from helpers.own_data import run
from PIL import Image

from mmpfcn.commands.check.command import main
from mmpfcn.formats import read_panoptic_png, write_panoptic_png

Break = Callable[[BreakableData], object]


@pytest.fixture
def data(tmp_path) -> BreakableData:
    return BreakableData(tmp_path / 'data')


def load(data: BreakableData) -> list[dict]:
    """Every image as a training has it before its augmentation."""
    dataset = data.dataset()
    return [dataset[number] for number in range(len(dataset))]


def as_png(path: Path, array: np.ndarray) -> None:
    path.write_bytes(cv2.imencode('.png', array)[1])


def overwrite_middle(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(16) + content[middle + 16 :])


JSON = 'annotations/panoptic_train.json'
IMAGE, PNG = 'train/0.jpg', 'annotations/panoptic_train/0.png'
STOPS: dict[str, tuple[Break, str, str]] = {
    # what is wrong: how to make it so, the file to be named, what the message says to do
    'JPEG truncated': (lambda d: cut(d.image()), IMAGE, 'cut off .*: copy it again'),
    'JPEG without end': (lambda d: cut(d.image(), 0.99), IMAGE, 'cut off .*: copy it again'),
    'JPEG empty': (lambda d: cut(d.image(), 0), IMAGE, r'cut off \(0 bytes\): copy it again'),
    'JPEG is none': (lambda d: d.image().write_text('<html>'), IMAGE, 'copy or make it again'),
    'JPEG missing': (lambda d: d.image().unlink(), IMAGE, 'not there: mend data_root'),
    'PNG truncated': (lambda d: cut(d.png()), PNG, 'cut off .*: copy it again'),
    'PNG damaged': (lambda d: overwrite_middle(d.png()), PNG, 'copy or make it again'),
    'PNG missing': (lambda d: d.png().unlink(), PNG, 'not there: mend data_root'),
    'PNG is a JPEG': (lambda d: d.png().write_bytes(d.image().read_bytes()), PNG, 'has to be one'),
    'PNG of 16 bits': (lambda d: as_png(d.png(), np.zeros((*SIZE, 3), np.uint16)), PNG,
                       '16 bits a channel and colour type RGB; expected 8 bits and RGB.*Save it as RGB'),
    'PNG grey': (lambda d: as_png(d.png(), np.zeros(SIZE, np.uint8)), PNG, 'id_maps_panoptic.py'),
    'PNG with palette': (lambda d: Image.open(d.png()).convert('P').save(d.png()), PNG,
                         'colour type palette; expected.*id_maps_panoptic.py'),
    'PNG of another size': (lambda d: as_png(d.png(), np.zeros((40, 59, 3), np.uint8)), PNG,
                            r'is \(40, 59\) .* is \(40, 60\): make one of them anew'),
    'JSON empty': (lambda d: cut(d.json, 0), JSON, 'copy or make it again'),
    'JSON truncated': (lambda d: cut(d.json), JSON, 'copy or make it again'),
    'JSON of a list': (lambda d: d.json.write_text('[]'), JSON, 'expected a COCO panoptic JSON'),
    'JSON missing': (lambda d: d.json.unlink(), JSON, 'mend data_root or ann_file'),
}  # fmt: skip
STOPS_BY_JSON: dict[str, tuple[Break, str]] = {
    # the same of what is wrong inside the JSON
    'no images': (lambda d: d.data['images'].clear(), 'has no images: expected a COCO panoptic'),
    'no annotations': (lambda d: d.data['annotations'].clear(), 'take the JSON of an annotated split'),
    'annotations of other images': (lambda d: [i.update(id=i['id'] + 100) for i in d.data['images']],
                                    'write the same ids in both'),
    'no isthing': (lambda d: d.data['categories'][1].pop('isthing'),
                   r"categories \['car'\] have no .isthing.: add 1 .* or 0 .*metainfo=dict\(thing_classes"),
    'category unknown': (lambda d: d.segment(CAR).update(category_id=99), 'segment 300 of 0.png has the '
                         'category_id 99.*: add the category or mend the segment'),
    'category ids of two types': (lambda d: d.data['categories'][-1].update(id='sky'),
                                  r"which is not among the categories \[.*, 'sky'\]"),
    'segment id 0': (lambda d: d.segment(CAR).update(id=0), 'expected 1 to 16777215.*number it'),
    'segment id of 25 bits': (lambda d: d.segment(CAR).update(id=2**24), 'of 0.png .*number it'),
    'segment id twice': (lambda d: d.segment(CAR).update(id=PERSON),
                         r'of 0.png have the ids \[5\].*renumber them'),
    'image id twice': (lambda d: d.data['images'][1].update(id=0),
                       r'images share their id.*\[0\]: .*renumber'),
    'category id twice': (lambda d: d.data['categories'][1].update(id=21),
                          'categories share their id.*renumber'),
    'category name twice': (lambda d: d.data['categories'][1].update(name='road'), 'give each its own name'),
    'instances': (lambda d: [a.pop('segments_info') for a in d.data['annotations']], 'coco_panoptic.py'),
    'no height': (lambda d: d.data['images'][2].pop('height'), 'images without height.*: add it'),
    'no name': (lambda d: d.data['annotations'][2].pop('file_name'), 'without file_name.*: add it'),
    'no category': (lambda d: d.segment(CAR).pop('category_id'), 'of 0.png without category_id.*: add it'),
}  # fmt: skip
WARNS: dict[str, tuple[Break, str]] = {
    'segment without pixels': (lambda d: d.repaint(CAR, 0), r'no pixel has the ids \[300\].*Remove them from '
                               'the JSON or mend the PNG'),
    'pixel id without segment': (lambda d: d.data['annotations'][0]['segments_info'].remove(d.segment(CAR)),
        '150 pixels have ids without a segment.*such as 300.*Add the segment to the JSON'),
}  # fmt: skip


def stop(data: BreakableData) -> str:
    """The message of a run that must stop and change nothing."""
    before = tree(data.root)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load(data)
    assert tree(data.root) == before
    return str(caught.value)


@pytest.mark.parametrize('wrong', STOPS)
def test_a_bad_file_stops_the_run(data, wrong):
    make_wrong, file, remedy = STOPS[wrong]
    make_wrong(data)
    message = stop(data)
    assert str(data.root / file) in message and re.search(remedy, message), message


@pytest.mark.parametrize('wrong', STOPS_BY_JSON)
def test_a_bad_record_stops_the_run(data, wrong):
    make_wrong, remedy = STOPS_BY_JSON[wrong]
    make_wrong(data)
    data.save()
    message = stop(data)
    assert str(data.json) in message and re.search(remedy, message), message


@pytest.mark.parametrize('wrong', WARNS)
def test_a_doubtful_segment_warns_and_the_run_goes_on(data, wrong):
    make_wrong, remedy = WARNS[wrong]
    make_wrong(data)
    data.save()
    before = tree(data.root)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        samples = [sample['data_samples'] for sample in load(data)]
    [message] = [str(warning.message) for warning in caught]
    assert str(data.png()) in message and re.search(remedy, message), message
    assert [sample.gt_instances.labels.tolist() for sample in samples] == [[1], [0, 1], [0, 1]]
    void = [(sample.gt_sem_seg.sem_seg == 255).sum() for sample in samples]
    assert void[0] - void[1] == 150  # the pixels of the car
    assert tree(data.root) == before


def test_spaces_and_other_letters_in_paths(data, tmp_path):
    strange = BreakableData(tmp_path / "été d'une 数据 %20 [1]" / 'a b')
    strange.image().rename(strange.image_folder / 'ein Bär.jpg')
    strange.png().rename(strange.png_folder / 'ein Bär.png')
    strange.data['images'][0]['file_name'] = 'ein Bär.jpg'
    strange.data['annotations'][0]['file_name'] = 'ein Bär.png'
    strange.save()
    for one, other in zip(load(strange), load(data), strict=True):
        assert (one['inputs'] == other['inputs']).all()
        one, other = one['data_samples'], other['data_samples']
        assert (one.gt_sem_seg.sem_seg == other.gt_sem_seg.sem_seg).all()
        assert (one.gt_instances.masks.masks == other.gt_instances.masks.masks).all()
        assert len(one.gt_instances) == 2
    assert sorted(tree(strange.png_folder)) == ['1.png', '2.png', 'ein Bär.png']


def check_dataset(*arguments) -> int:
    return main([*map(str, arguments), '--workers', '1'])


def class_map(data: BreakableData, folder: Path) -> list:
    """Arguments of semantic_panoptic.py for PNGs of class ids, which are written."""
    listed = {True: [], False: []}
    for category in CATEGORIES:
        listed[bool(category['isthing'])].append(f'{category["name"]}={category["id"]}')
    classes = {ROAD: 21, CAR: 7, CARS: 7, SKY: 40, PERSON: 24, 0: 0}
    folder.mkdir()
    for number in range(3):
        ids = read_panoptic_png(data.png(number))
        as_png(folder / f'{number}.png', np.vectorize(classes.get)(ids).astype(np.uint8))
    return [
        data.image_folder, folder, '--things', *listed[True], '--stuff', *listed[False],
        '--void', 0, '--workers', 1,
    ]  # fmt: skip


def test_a_converter_with_spaces_and_other_letters_in_paths(tmp_path, capsys):
    data = BreakableData(tmp_path / 'été 数据')
    out = data.root / 'made anew'
    run('semantic_panoptic', *class_map(data, data.root / 'classes of it'), '--out', out)
    assert check_dataset(out / 'panoptic_train.json', '--images', data.image_folder) == 0
    assert (read_panoptic_png(out / 'panoptic_train' / '0.png') > 0).sum() == 40 * 60 - 25


@pytest.fixture(params=['read-only folder', 'below a file'])
def no_target(request) -> Iterator[Path]:
    """A path at which nothing can be made."""
    with TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        if request.param == 'below a file':
            (folder / 'file').touch()
            yield folder / 'file' / 'out'
            return
        folder.chmod(0o555)
        with without_privileges():
            yield folder / 'out'
        folder.chmod(0o755)


def assert_nothing_is_left(target: Path) -> None:
    assert set(tree(target.parent.parent if target.parent.is_file() else target.parent)) <= {'file'}


def test_converters_say_what_they_can_not_write(no_target, tmp_path_factory, capsys):
    with TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        data = BreakableData(Path(name) / 'data')
        arguments = class_map(data, data.root / 'classes')
        for tool, inputs in (
            ('semantic_panoptic', arguments),
            ('make_shapes', ['--train', 1, '--val', 1, '--workers', 1]),
        ):
            with pytest.raises(SystemExit) as caught:
                run(tool, *inputs, '--out', no_target)
            assert str(no_target) in caught.value.code
            assert 'choose another --out' in caught.value.code
            assert_nothing_is_left(no_target)


def test_a_report_that_can_not_be_written(no_target, refused):
    with TemporaryDirectory() as name:
        data = BreakableData(Path(name) / 'data')
        message = refused(main, data.json, '--out', no_target, '--workers', 1)
    assert f'--out {no_target} can not be written' in message
    assert_nothing_is_left(no_target)


def test_a_png_that_can_not_be_written(no_target):
    with pytest.raises(OSError, match=re.escape(str(no_target))):
        write_panoptic_png(no_target / 'a.png', np.ones(SIZE, int))
    assert_nothing_is_left(no_target)


def test_a_converter_leaves_nothing_of_a_bad_file(data, tmp_path):
    """The message names the file; what is done waits in a working folder, nothing has its name."""
    arguments = class_map(data, tmp_path / 'classes')
    cut(tmp_path / 'classes' / '2.png')
    out = tmp_path / 'out'
    with pytest.raises(SystemExit) as caught:
        run('semantic_panoptic', *arguments, '--out', out)
    assert '2.png' in caught.value.code
    assert not (out / 'panoptic_train.json').exists() and not (out / 'panoptic_train').exists()
    assert not [name for name in tree(tmp_path) if name.endswith('.tmp')]
