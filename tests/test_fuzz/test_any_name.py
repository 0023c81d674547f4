"""Names from files and of files: where results are written, and whose they are."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
from helpers.fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st

from mmpfcn.commands.predict.records import Records, identity
from mmpfcn.formats import Input
from mmpfcn.formats.coco_results import Segmentation, written
from mmpfcn.formats.inputs import list_inputs
from mmpfcn.formats.panoptic_png import read_panoptic_png
from mmpfcn.formats.safe_names import safe_name

IDS = np.arange(6, dtype=np.int32).reshape(2, 3)
META = dict(classes=['a'], thing_classes=['a'])
pieces = st.sampled_from([
    '..', '.', '/', '//', '\\', 'a', 'A', 'a.png', '000001', '~', 'C:', '\0', '\n', ' ', '-', '*',
    '\udc80', '\ud800', '\u0301', 'é', '写' * 90, 'x' * 300, 'panoptic', 'vis', 'con', '',
])  # fmt: skip
names = st.lists(pieces | st.text(max_size=8), max_size=6).map(''.join)


@cases
@given(names | st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=2))
def test_name_from_a_file(name):
    """A path below the folder that can be written to, or a message that has the name."""
    try:
        safe = safe_name(name, 'file_name of image 3')
    except ValueError as error:
        assert repr(name) in str(error) and 'file_name of image 3' in str(error)
        return
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / 'inner'
        path = inner / safe
        assert Path(os.path.normpath(path)).is_relative_to(inner) and path != inner
        os.fsencode(path)


@cases
@given(st.lists(st.tuples(names, st.booleans()), max_size=6))
def test_stems_of_any_name(given):
    """Each result in a file of its own below the folder; the JSON names it."""
    array = np.zeros((2, 3, 3), np.uint8)
    inputs = [Input(name, name, array if is_array else 'a.png') for name, is_array in given]
    stems = [item.stem for item in list_inputs(inputs)]
    assert len(set(stems)) == len(stems)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / 'out'
        results = [
            Segmentation(name, stem, array, IDS + n, [], META)
            for n, ((name, _), stem) in enumerate(zip(given, stems, strict=True))
        ]
        assert len(list(written(results, out, META))) == len(results)
        assert os.listdir(folder) == (['out'] if results else [])
        if results:
            content = json.loads((out / 'panoptic.json').read_text())
            for n, annotation in enumerate(content['annotations']):
                ids = read_panoptic_png(str(out / 'panoptic' / annotation['file_name']))
                assert (ids == IDS + n).all()
            assert sum(len(files) for *_, files in os.walk(out)) == len(results) + 1


files = st.integers(0, 2)
damage = st.sampled_from([
    b'{"stem": "stem0", "source"', bytes(9), bytes(9) + b'\n', b'[]\n', b'null\n', b'{}\n',
    b'{"stem": "a", "source": 3}\n', b'{"stem": "a", "source": {"path": []}}\n', b'\xff\n',
])  # fmt: skip
actions = st.lists(
    st.tuples(st.just('record'), files)
    | st.tuples(st.just('fail'), files)
    | st.tuples(st.just('write'), files, st.binary(max_size=2))
    | st.tuples(st.just('touch'), files, st.integers(1, 3))
    | st.tuples(st.just('swap'), files, files)
    | st.tuples(st.just('delete'), files)
    | st.tuples(st.just('damage'), damage),
    max_size=12,
)


@cases
@given(actions)
def test_record_of_a_result(actions):
    """It counts for the same path, size and time only; and stems stay."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f'{i}.png' for i in range(3)]
        for path in paths:
            path.write_bytes(b'')
            os.utime(path, ns=(1, 1))
        inputs = [Input(str(path), 'x', str(path)) for path in paths]
        done: dict[int, dict] = {}
        for action, *arguments in actions:
            act(action, arguments, paths, inputs, folder / 'records', done)
            records = Records(folder / 'records', inputs)
            for number, item in enumerate(inputs):
                assert (item in records) == (done.get(number) == identity(item))
            named = [item.stem for item in records.named()]
            assert len(set(named)) == 3
            assert all(stem == f'stem{n}' for n, stem in enumerate(named) if n in done)
            assert len(list(records)) == len(records)


def act(action: str, arguments: list, paths: list, inputs: list, folder: Path, done: dict) -> None:
    number = arguments[0]
    if action == 'damage':  # killed while it wrote, or the power was cut
        for path in sorted(folder.glob('*.jsonl'))[-1:]:
            with path.open('ab') as file:
                file.write(number)
        return
    path = paths[number]
    if action in ('record', 'fail') and path.exists():
        records = Records(folder, inputs)
        (item,) = records.begin([inputs[number]._replace(stem=f'stem{number}')])
        extra = dict(failed='why', name=item.name) if action == 'fail' else {}
        records.add(dict(stem=item.stem, **extra))
        records.close()
        if action == 'record':
            done[number] = identity(item)
    elif action == 'write':
        path.write_bytes(arguments[1])
        os.utime(path, ns=(1, 1))
    elif action == 'touch' and path.exists():
        os.utime(path, ns=(arguments[1], arguments[1]))
    elif action == 'swap' and path.exists() and paths[arguments[1]].exists():
        path.rename(path.with_suffix('.tmp'))
        if number != arguments[1]:
            paths[arguments[1]].rename(path)
        path.with_suffix('.tmp').rename(paths[arguments[1]])
    elif action == 'delete':
        path.unlink(missing_ok=True)
