"""The golden numbers of the published implementation, read and brought into our conventions.

The folder is ``MMPFCN_ORACLE``, by default ``../shared/oracle`` beside the repository, and where
that is missing tests/data/oracle, which has fewer cases. The models run on
``MMPFCN_ORACLE_DEVICE``, by default the CPU, on which the numbers were made.
"""

import importlib.util
import json
import os
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
LARGE = Path(os.environ.get('MMPFCN_ORACLE', ROOT.parent / 'shared' / 'oracle'))
FOLDER = LARGE if (LARGE / 'units.npz').is_file() else ROOT / 'tests' / 'data' / 'oracle'
DEVICE = torch.device(os.environ.get('MMPFCN_ORACLE_DEVICE', 'cpu'))
torch.backends.cudnn.allow_tf32 = False
NUM_THINGS, NUM_STUFF = 80, 53


def require_case(name: str) -> None:
    """Skip for a stranger, who has the small oracle alone; fail in CI."""
    require(FOLDER / f'{name}.json', f'no {name} in {FOLDER}: set MMPFCN_ORACLE')


def coco200() -> Path:
    """The folder of 200 COCO photos in panoptic format; skip for a stranger, fail in CI."""
    folder = os.environ.get('MMPFCN_COCO200', ROOT.parent / 'shared' / 'data' / 'coco200')
    folder = Path(folder).resolve()
    require(folder / 'annotations' / 'panoptic_val2017.json', f'no {folder}: set MMPFCN_COCO200')
    return folder


def vistas_categories() -> list[dict]:
    """The categories of Mapillary Vistas v1.2, in its own order."""
    path = ROOT.parent / 'shared' / 'data' / 'mapillary' / 'vistas_v1.2_panoptic_categories.json'
    require(path, f'no {path}')
    return json.loads(path.read_text())


def require(path: Path, message: str) -> None:
    """Skip the test when ``path`` is missing; fail in CI, where everything has to be there."""
    if path.exists():
        return
    if os.environ.get('CI', '').lower() == 'true':
        pytest.fail(message)
    pytest.skip(message)


def import_file(path: Path) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def case(name: str) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and facts of a case; the facts of the inputs are of no use here."""
    if name != 'inputs':
        require_case(name)
    with np.load(FOLDER / f'{name}.npz') as arrays:
        return dict(arrays), facts(name) if name != 'inputs' else {}


def facts(name: str) -> dict:
    require_case(name)
    return json.loads((FOLDER / f'{name}.json').read_text())


def published_weights(star: bool) -> dict[str, Tensor]:
    """The oracle's weights under their published names."""
    shapes = facts('shapes_star_r50' if star else 'shapes_r50')
    weights = import_file(FOLDER / 'make_weights.py').make_state_dict(shapes)
    return {name: torch.from_numpy(weight) for name, weight in weights.items()}


def sample(image: str, ground_truth: str | None = None, ori_shape: tuple | None = None) -> dict:
    """One image of inputs.npz as the data preprocessor takes it; the ground truth 'nothings' has no
    instances."""
    inputs, _ = case('inputs')
    pixels = torch.from_numpy(inputs[f'{image}_bgr']).permute(2, 0, 1)
    shape = tuple(pixels.shape[1:])
    item = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=ori_shape or shape))
    if ground_truth:
        instances = inputs.get(f'{ground_truth}_inst', np.zeros(shape, np.uint8))
        labels = inputs.get(f'{ground_truth}_classes', np.zeros(0, np.int64))
        masks = instances == np.arange(1, len(labels) + 1)[:, None, None]
        add_ground_truth(item, masks, labels, our_semantic_labels(inputs[f'{ground_truth}_sem'])[None])
    return dict(inputs=pixels, data_samples=item)


def add_ground_truth(item: DetDataSample, masks: np.ndarray, labels: np.ndarray, sem_seg: Tensor) -> None:
    """As PackPanopticInputs has it; masks (G, H, W), labels (G,), sem_seg (1, H, W)."""
    masks = BitmapMasks(masks.astype(np.uint8), *masks.shape[1:])
    boxes = boxes_around(masks.masks)
    labels = torch.as_tensor(labels, dtype=torch.long)
    item.gt_instances = InstanceData(masks=masks, labels=labels, bboxes=boxes)
    item.gt_sem_seg = PixelData(sem_seg=sem_seg)


def batch(samples: list[dict]) -> dict:
    return {key: [item[key] for item in samples] for key in ('inputs', 'data_samples')}


def boxes_around(masks: np.ndarray | Tensor) -> Tensor:
    """x1, y1 = first pixel, x2, y2 = last pixel + 1; (G, 4)."""
    return BitmapMasks(np.asarray(masks), *masks.shape[1:]).get_bboxes('hbox').tensor


def our_semantic_labels(sem: np.ndarray) -> Tensor:
    """Published: 0 any thing, 1..53 stuff, 255 void. Ours: thing labels < 80, stuff 80..132."""
    sem = torch.from_numpy(sem).long()
    ours = torch.where(sem == 0, 0, sem - 1 + NUM_THINGS)
    return ours.where(sem != 255, 255)


def our_region_labels(classes: np.ndarray) -> Tensor:
    """Labels of published region classes, "any thing" 133."""
    classes = torch.from_numpy(np.asarray(classes)).long()
    return torch.where(classes == 0, NUM_THINGS + NUM_STUFF, classes - 1 + NUM_THINGS)


def any_thing_last(x, dim: int = 1) -> Tensor:
    """Region channels from the published order to ours."""
    return torch.as_tensor(x).roll(-1, dim)


def any_thing_first(x: Tensor, dim: int = 1) -> Tensor:
    """Region channels from our order to the published one, in which arrays are subsampled."""
    return x.roll(1, dim)


def unpack(masks: np.ndarray, shape: list[int]) -> Tensor:
    n, h, w = shape
    return torch.from_numpy(np.unpackbits(masks, axis=1)[:, : h * w].reshape(n, h, w)).bool()


def on_cpu(value):
    """What a model gave, with every tensor in it brought to the CPU."""
    if isinstance(value, dict):
        return {name: on_cpu(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        items = [on_cpu(item) for item in value]
        return type(value)(*items) if hasattr(value, '_fields') else type(value)(items)
    return value.cpu() if hasattr(value, 'cpu') else value


def assert_close(actual: Tensor, golden, atol: float, name: str = '') -> None:
    golden = torch.as_tensor(golden)
    assert actual.shape == golden.shape, f'{name}: {tuple(actual.shape)} != {tuple(golden.shape)}'
    if golden.numel():
        difference = (actual.double() - golden.double()).abs().max().item()
        assert difference <= atol, f'{name}: differs by {difference:.3g}, allowed {atol:.3g}'


def assert_stored(actual: Tensor, name: str, key: str, atol: float) -> None:
    """Compare a tensor with an array that may be stored subsampled."""
    arrays, info = case(name)
    step = info['stats'][key]['step']
    assert list(actual.shape) == info['stats'][key]['shape'], f'{key}: {tuple(actual.shape)}'
    golden = torch.from_numpy(arrays[key])
    if step == 1:
        golden = golden.reshape(actual.shape)
    else:
        actual = actual.reshape(-1)[::step]
    assert_close(actual.detach(), golden, atol, f'{name} {key}')
