"""The converter of published checkpoints, on real files with the published names and shapes."""

import os
import pickle
from collections import OrderedDict
from functools import cache
from pathlib import Path

import pytest
import torch
from helpers import oracle, tiny_run
from helpers.files import cut
from helpers.malicious import Call
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from torch import Tensor

from mmpfcn.commands import detectron2_to_mmpfcn as converter

TOOL = oracle.ROOT / 'tools' / 'model_converters' / 'detectron2_to_mmpfcn.py'
CONFIGS = oracle.ROOT / 'configs' / 'panoptic_fcn'
ENTRIES = {False: 346, True: 352}

converter.build_model = cache(converter.build_model)  # a model takes a second


@pytest.fixture(scope='module')
def published() -> dict[bool, dict[str, Tensor]]:
    """Weights of both variants (star or not) under their published names."""
    return {star: oracle.published_weights(star) for star in (False, True)}


@pytest.fixture
def run(capsys):
    """The command line in this process: exit code and what it printed."""

    def call(*argv) -> tuple[int, str]:
        try:
            code = converter.main([str(arg) for arg in argv])
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        assert 'Traceback' not in err
        return code, out + err

    return call


SUFFIXES = pytest.mark.parametrize('suffix', ['pkl', 'pth'])


def write(content: object, path: Path) -> Path:
    """As detectron2 or as PyTorch does, by the suffix."""
    if path.suffix == '.pkl':
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    return path


def as_detectron2(weights: dict[str, Tensor]) -> dict:
    """What its pickles hold."""
    arrays = {name: weight.numpy() for name, weight in weights.items()}
    return dict(model=arrays, __author__='published', matching_heuristics=True)


def as_training_checkpoint(weights: dict[str, Tensor]) -> dict:
    optimizer = dict(state={0: dict(momentum_buffer=torch.ones(3))}, param_groups=[dict(lr=0.01)])
    return dict(model=OrderedDict(weights), optimizer=optimizer, iteration=89999)


def test_from_the_shell(published, tmp_path):
    source = write(as_detectron2(published[True]), tmp_path / 'published.pkl')
    target = tmp_path / 'ours' / 'weights.pth'
    output = tiny_run.run(TOOL, source, target, '--star', cwd=tmp_path)
    assert f'352 entries of {source} converted to {target}' in output
    assert [path.name for path in target.parent.iterdir()] == ['weights.pth']
    assert_loads_strictly(target, 'r50_star_coco_3x.py', published[True])


def assert_loads_strictly(path: Path, config_name: str, published: dict[str, Tensor]) -> None:
    """As a user loads it: into a model of the config, by mmengine."""
    config = Config.fromfile(CONFIGS / config_name)
    config.model.backbone.init_cfg = None
    init_default_scope('mmdet')
    model = MODELS.build(config.model)
    load_checkpoint(model, str(path), map_location='cpu', strict=True)
    kernels = model.panoptic_head.kernel_generator.kernel_out.weight
    assert torch.equal(kernels, published['kernel_head.out_conv.weight'])


@pytest.mark.parametrize('star', [False, True])
def test_every_entry_is_accounted_for(published, star):
    """Each published entry has its own place, and only counters of batches have none."""
    expected = converter.build_model(star).state_dict()
    places = {name: converter.rename(name) for name in published[star]}
    assert len(places) == len(set(places.values())) == ENTRIES[star]
    without = expected.keys() - set(places.values())
    assert all(name.endswith('num_batches_tracked') for name in without), without
    converted = converter.convert(published[star], expected)
    assert converted.keys() == expected.keys()
    for name, place in places.items():  # the same numbers, if in another layout
        for power in (1, 2):
            theirs = published[star][name].double().pow(power).sum()
            ours = converted[place].double().pow(power).sum()
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9, msg=name)


def test_all_containers_give_the_same(published, run, tmp_path):
    weights = published[False]
    golden = converter.convert(weights, converter.build_model(False).state_dict())
    for suffix, content in (
        ('pth', weights), ('pth', as_training_checkpoint(weights)), ('pkl', as_detectron2(weights)),
    ):  # fmt: skip
        source = write(content, tmp_path / f'published.{suffix}')
        code, output = run(source, tmp_path / 'ours.pth')
        assert code == 0 and f'346 entries of {source}' in output, output
        result = torch.load(tmp_path / 'ours.pth', weights_only=True)['state_dict']
        assert result.keys() == golden.keys()
        assert all(torch.equal(result[name], golden[name]) for name in golden)
    assert_loads_strictly(tmp_path / 'ours.pth', 'r50_coco.py', weights)
    # Older checkpoints of detectron2 hold the normalisation, which is in our config.
    statistics = dict(pixel_mean=torch.zeros(3, 1, 1), pixel_std=torch.ones(3, 1, 1))
    source = write(published[False] | statistics, tmp_path / 'a.pth')
    assert run(source, tmp_path / 'b.pth')[0] == 0


NAME, OURS = 'kernel_head.out_conv.bias', 'panoptic_head.kernel_generator.kernel_out.bias'
ROI = 'roi_head.mask.weight'
MISFITS = {
    # weights that are other or (None) left out, and what the message must name
    'extra': ({ROI: torch.zeros(2, 5)}, [f'{ROI} (2, 5)', '1 entries do not fit']),
    'missing': ({NAME: None}, [f'{OURS} (256,)', '1 entries do not fit']),
    'misshaped': ({NAME: torch.zeros(255)}, [f'{NAME} (255,)', f'{OURS} (256,)', '1 entries do not fit']),
    'all three': (
        {NAME: torch.zeros(255), 'kernel_head.out_conv.weight': None, ROI: torch.zeros(2, 5)},
        ['kernel_out.weight', f'{NAME} (255,)', 'roi_head', '3 entries do not fit'],
    ),
}


@pytest.mark.parametrize('change', MISFITS)
@pytest.mark.parametrize('star', [False, True])
def test_every_misfit_is_named(published, run, change, star, tmp_path):
    changes, messages = MISFITS[change]
    weights = {k: v for k, v in (published[star] | changes).items() if v is not None}
    source = write(weights, tmp_path / 'published.pth')
    code, output = run(source, tmp_path / 'ours.pth', *(['--star'] if star else []))
    assert code == 1
    for message in (*messages, 'Nothing was written'):
        assert message in output
    assert [path.name for path in tmp_path.iterdir()] == ['published.pth']


@pytest.mark.parametrize('star', [False, True])
def test_the_other_variant_is_suggested(published, run, star, tmp_path):
    source = write(published[star], tmp_path / 'published.pth')
    code, output = run(source, tmp_path / 'ours.pth', *([] if star else ['--star']))
    assert code == 1
    assert f'Try {"with" if star else "without"} --star' in output
    assert 'feature_encoder' in output


@SUFFIXES
def test_code_in_a_file_is_refused(run, suffix, tmp_path):
    touched = tmp_path / 'touched'
    evil = dict(model={}, evil=Call(os.system, f'touch {touched}'))
    source = write(evil, tmp_path / f'a.{suffix}')
    code, output = run(source, tmp_path / 'ours.pth')
    assert code == 1
    assert not touched.exists()
    assert 'posix.system' in output and '--trust' in output and str(source) in output
    assert not (tmp_path / 'ours.pth').exists()


@SUFFIXES
def test_trust_loads_other_objects(published, run, suffix, tmp_path):
    weights = published[False]
    content = as_detectron2(weights) if suffix == 'pkl' else as_training_checkpoint(weights)
    source = write(content | dict(folder=Path('work')), tmp_path / f'a.{suffix}')
    code, output = run(source, tmp_path / 'ours.pth')
    assert code == 1 and 'pathlib' in output and '--trust' in output
    code, output = run(source, tmp_path / 'ours.pth', '--trust')
    assert code == 0 and '346 entries' in output
    assert (tmp_path / 'ours.pth').is_file()


NO_CHECKPOINTS = {
    'text': b'Not weights, but a page that says: 404\n',
    'page': b'<!doctype html>\n<html></html>\n', 'picture': b'\x89PNG\r\n\x1a\n' + bytes(100),
    'archive': b'PK\x03\x04' + bytes(100), 'zeros': bytes(100), 'empty': b'',
}  # fmt: skip


@SUFFIXES
@pytest.mark.parametrize('flaw', ['truncated', *NO_CHECKPOINTS])
def test_no_checkpoint(published, run, suffix, flaw, tmp_path):
    source = tmp_path / f'published.{suffix}'
    if flaw == 'truncated':
        weights = dict(list(published[False].items())[:5])
        write(weights if suffix == 'pth' else as_detectron2(weights), source)
        cut(source)
    else:
        source.write_bytes(NO_CHECKPOINTS[flaw])
    code, output = run(source, tmp_path / 'ours.pth')
    assert code == 1
    assert f'{source} could not be read as a weight file: ' in output
    assert 'Nothing was written' in output
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize('content', [[1, 2], dict(), dict(model={}), dict(epoch=3, lr=0.1)], ids=str)
def test_a_file_without_weights(run, content, tmp_path):
    code, output = run(write(content, tmp_path / 'a.pth'), tmp_path / 'b.pth')
    assert code == 1
    assert 'holds no weights, neither at its top level nor under "model"' in output


def test_wrong_paths(run, tmp_path):
    code, output = run(tmp_path / 'none.pth', tmp_path / 'ours.pth')
    assert code == 2
    assert f'SRC {tmp_path / "none.pth"} is not a file' in output
    source = write(dict(a=torch.ones(1)), tmp_path / 'a.pth')
    before = source.read_bytes()
    code, output = run(source, tmp_path / '..' / tmp_path.name / 'a.pth')
    assert code == 2 and 'is SRC, which would be lost' in output
    assert source.read_bytes() == before


@pytest.fixture
def source(published, tmp_path) -> Path:
    return write(published[False], tmp_path / 'published.pth')


def test_folders_are_made_and_a_full_disk_is_a_message(run, source, tmp_path, monkeypatch):
    assert run(source, tmp_path / 'a' / 'b' / 'ours.pth')[0] == 0
    assert (tmp_path / 'a' / 'b' / 'ours.pth').is_file()

    def full(content, file) -> None:
        file.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(converter.torch, 'save', full)
    code, output = run(source, tmp_path / 'ours.pth')
    assert code == 1 and 'No space left on device' in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'published.pth']


@pytest.mark.parametrize('obstacle', ['a file as folder', 'a folder as file', 'no permission'])
def test_a_target_that_can_not_be_written(run, source, obstacle, tmp_path):
    target = tmp_path / 'place' / 'ours.pth'
    if obstacle == 'a file as folder':
        target.parent.write_text('a file')
    elif obstacle == 'a folder as file':
        target.mkdir(parents=True)
    elif os.geteuid() == 0:  # whom permissions do not bind
        target = Path('/proc/place/ours.pth')
    else:
        target.parent.mkdir(mode=0o500)
    code, output = run(source, target)
    assert code == 1
    assert str(target) in output and 'could not be written' in output
    assert not list(tmp_path.rglob('*.partial'))


def test_an_interrupted_save_leaves_the_old_file(run, source, tmp_path, monkeypatch):
    target = tmp_path / 'ours.pth'
    target.write_bytes(b'the older one')
    save = torch.save

    def interrupted(content, file) -> None:
        save(content, file)
        file.truncate(1000)
        raise KeyboardInterrupt

    monkeypatch.setattr(converter.torch, 'save', interrupted)
    with pytest.raises(KeyboardInterrupt):
        converter.main([str(source), str(target)])
    assert target.read_bytes() == b'the older one'
    assert {path.name for path in tmp_path.iterdir()} == {'ours.pth', 'published.pth'}
