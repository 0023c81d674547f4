"""Readers of files on files that are damaged or made to harm: an answer or one ValueError."""

import builtins
import copy
import io
import json
import pickle
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from helpers.fuzzing import cases, change, edits, json_values, mutated, places
from helpers.malicious import Call
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmpfcn.apis.checkpoint import config_of, read_checkpoint
from mmpfcn.commands import detectron2_to_mmpfcn
from mmpfcn.datasets import PanopticDataset
from mmpfcn.formats.panoptic_png import read_panoptic_png
from mmpfcn.formats.read_image import decode_image

FOLDER = Path(tempfile.mkdtemp(prefix='fuzz-'))
SEGMENTS = [
    dict(id=3, category_id=7, iscrowd=0, bbox=[0, 0, 2, 2], area=4),
    dict(id=4, category_id=9, iscrowd=0, bbox=[0, 0, 5, 4], area=16),
]
DOCUMENT = dict(
    categories=[
        dict(id=7, name='car', isthing=1, color=[1, 2, 3]),
        dict(id=9, name='sky', isthing=0, color=[4, 5, 6]),
    ],
    images=[dict(id=1, file_name='a.jpg', height=4, width=5)],
    annotations=[dict(image_id=1, file_name='a.png', segments_info=SEGMENTS)],
)
PLACES = places(DOCUMENT)


def answers(function, *arguments, **named) -> object:
    """The answer; None for a ValueError that says something."""
    try:
        return function(*arguments, **named)
    except ValueError as error:
        assert len(str(error)) > 20
        return None


def written(name: str, content: bytes) -> str:
    (FOLDER / name).write_bytes(content)
    return str(FOLDER / name)


changes = st.tuples(st.sampled_from(PLACES), st.sampled_from(['replace', 'remove', 'repeat']), json_values)


@cases
@given(st.lists(changes, max_size=4), edits)
def test_dataset_json(changes, edits):
    document = copy.deepcopy(DOCUMENT)
    for path, action, value in changes:
        change(document, path, action, copy.deepcopy(value))
    path = written('data.json', mutated(json.dumps(document).encode(), edits if edits[2:] else []))
    data = answers(PanopticDataset, path, data_prefix=dict(img='img', seg='seg'))
    if data is not None:
        for record in data:
            assert isinstance(record['img_path'], str) and isinstance(record['height'], int)
            assert all(0 < segment['id'] < 2**24 for segment in record['segments_info'])


def picture(kind: str, **options) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


PICTURES = {kind: picture(kind) for kind in ('PNG', 'JPEG', 'GIF', 'TIFF', 'BMP', 'WEBP', 'PPM')}
PICTURES['deflated TIFF'] = picture('TIFF', compression='tiff_deflate')


@cases
@given(edits)
def test_panoptic_png(edits):
    path = written('map.png', mutated(PICTURES['PNG'], edits))
    ids = answers(read_panoptic_png, path)
    if ids is not None:
        assert ids.ndim == 2 and ids.dtype == np.int32
        assert ((ids >= 0) & (ids < 2**24)).all()


@cases
@given(st.sampled_from(sorted(PICTURES)), edits)
def test_image(kind, edits):
    image = answers(decode_image, mutated(PICTURES[kind], edits), 'a picture', 10**6)
    if image is not None:
        assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
        assert image.size <= 3 * 10**6


TRAP = FOLDER / 'trap'
COMMAND = f'import os; os.mkdir({str(TRAP)!r})'
ATTACKS = [
    Call(builtins.exec, COMMAND),
    Call(builtins.eval, f'__import__("os").mkdir({str(TRAP)!r})'),
    Call(builtins.open, str(TRAP), 'w'),
    Call(subprocess.check_call, ['mkdir', str(TRAP)]),
    Call(np.savetxt, str(TRAP), [0]),
    Call(torch.save, 0, str(TRAP)),
    Call(Path.mkdir, TRAP),
    Call(getattr, Call(__import__, 'os'), 'mkdir'),
]
WEIGHTS = dict(weight=torch.ones(2, 3), bias=torch.zeros(2))


def saved(content: object, legacy: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def poisoned(attack: object, place: str) -> dict:
    content = dict(state_dict=dict(WEIGHTS), meta=dict(cfg='a = 1'), model=dict(WEIGHTS))
    content[place] = attack if place == 'message_hub' else {**content[place], 'a': attack}
    return content


attacks = st.none() | st.sampled_from(ATTACKS)
in_checkpoint = st.sampled_from(['state_dict', 'meta', 'model', 'message_hub'])


@cases
@given(attacks, in_checkpoint, st.booleans(), edits)
def test_checkpoint(attack, place, legacy, edits):
    content = poisoned(attack, place) if attack else dict(state_dict=WEIGHTS)
    path = written('evil.pth', mutated(saved(content, legacy), edits))
    checkpoint = answers(read_checkpoint, path)
    assert not TRAP.exists()
    if not edits:
        assert (checkpoint is None) == (attack is not None)


@cases
@given(attacks, in_checkpoint, st.sampled_from(['.pth', 'old.pth', '.pkl']), edits)
def test_converter(attack, place, ending, edits):
    content = poisoned(attack, place) if attack else dict(model=WEIGHTS)
    if ending == '.pkl':
        arrays = {'model': {name: weight.numpy() for name, weight in WEIGHTS.items()}}
        content = pickle.dumps({**arrays, 'a': attack} if attack else arrays)
    else:
        content = saved(content, 'old' in ending)
    path = Path(written(f'published{ending}', mutated(content, edits)))
    weights = answers(detectron2_to_mmpfcn.load_weights, path, trust=False)
    assert not TRAP.exists()
    if not edits:
        assert (weights is None) == (attack is not None)


@cases
@given(st.text(max_size=30) | edits.map(
    lambda edits: mutated(b"model = dict(a=[1, 'b'], **{'c': (None, 1.5)})\nlr = -1e-3\n", edits)
    .decode('utf-8', 'replace')
))  # fmt: skip
def test_config_in_a_checkpoint(text):
    answers(config_of, dict(meta=dict(cfg=text)), 'a.pth')
