"""Every command and every piece of Python in README.md and docs/.

What docs_pages.py lists neither as run elsewhere nor as not run is run here, as it stands, in a
folder with drawn data and an untrained lite0_plus_shapes. Whatever runs where, scripts, configs and
options must exist, and command lines of train.py and test.py must be ones that the tools accept.
"""

import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.docs_pages import ELSEWHERE, NOT_RUN, OTHER_LANGUAGES, PAGES, blocks, commands, look_up, reason
from helpers.oracle import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mmpfcn.__main__ import main as mmpfcn_command
from mmpfcn.apis.configs import read_config
from mmpfcn.commands import test as test_command
from mmpfcn.commands import train
from mmpfcn.commands.convert.own_data import OPTIONS
from mmpfcn.formats.video_file import VideoFile

COMMANDS = ROOT / 'mmpfcn' / 'commands'
ALL = [(page.name, command) for page in PAGES for command in commands(page.name)]
PYTHON = [block for block in blocks() if block.language == 'python']


def test_the_lists_of_blocks_and_tests_are_right():
    assert {block.language for block in blocks()} <= OTHER_LANGUAGES | {'sh', 'python'}
    fences = sum(len(re.findall(r'^ *```', page.read_text(), re.M)) for page in PAGES)
    assert fences == 2 * len(list(blocks()))  # none is left open
    for place in ELSEWHERE.values():
        file, name = place.split('::')
        assert f'def {name}(' in (ROOT / 'tests' / file).read_text(), f'{file}::{name}'
    texts = [command for _, command in ALL] + [block.text for block in PYTHON]
    for pattern in [*ELSEWHERE, *NOT_RUN]:
        assert any(re.search(pattern, text) for text in texts), pattern


def test_scripts_configs_and_options_exist():
    for page, command in ALL:
        words = shlex.split(command)
        scripts = [word for word in words if re.fullmatch(r'tools/\S+\.(py|sh)', word)]
        configs = re.findall(r'configs/\S+?\.py', command)
        missing = [p for p in scripts + configs if not (ROOT / p).is_file()]
        assert set(missing) <= {'configs/panoptic_fcn/mine.py'}, f'{page}: {command}'
        for script in scripts:
            if script.endswith('.py'):
                known = known_options(script)
                for word in words[words.index(script) :]:
                    assert not word.startswith('--') or word in known, f'{page}: {command}'


def known_options(script: str) -> set[str]:
    """The options that the tool, the room of its command or the common parser define."""
    path = ROOT / script
    files = [path, *path.parent.glob('*/*.py'), COMMANDS / 'options.py']
    command = re.search(r'^from mmpfcn\.commands\.([\w.]+) import main$', path.read_text(), re.M)
    if command:
        module = COMMANDS.joinpath(*command[1].split('.')).with_suffix('.py')
        files += [module] if module.parent == COMMANDS else module.parent.glob('*.py')
    shared = {f'--{name.replace("_", "-")}' for name in OPTIONS}  # of the converters
    return shared.union(*(re.findall(r"'(--[\w-]+)'", file.read_text()) for file in files))


@pytest.fixture(scope='module')
def user(tmp_path_factory) -> Path:
    """A checkout with drawn data, checkpoints and a photo, as after `make demo`."""
    folder = tmp_path_factory.mktemp('user')
    for name in ('tools', 'configs'):
        (folder / name).symlink_to(ROOT / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        execute('python tools/dataset_converters/make_shapes.py --out data/shapes')
    torch.manual_seed(0)
    init_default_scope('mmdet')
    cfg = Config.fromfile(tiny.CONFIGS / 'lite0_plus_shapes.py')
    model = MODELS.build(cfg.model)
    checkpoint = folder / 'work_dirs' / 'lite0_plus_shapes' / 'iter_500.pth'
    checkpoint.parent.mkdir(parents=True)
    meta = dict(cfg=cfg.pretty_text)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    pixels = np.random.default_rng(0).integers(0, 256, (192, 256, 3), np.uint8)
    Image.fromarray(pixels).save(folder / 'photo.jpg')
    with VideoFile(folder / 'clip.mp4', 10) as video:
        video.add(pixels)
        video.add(pixels[::-1])
    return folder


FEWER = {
    'make_shapes.py': ['--train', '2', '--val', '2', '--workers', '1'],
    'moving_shapes.py': ['--clips', '1', '--frames', '4'],
}
"""Added to a command, to be quick."""


def execute(command: str) -> None:
    """A `python ...` or `mmpfcn ...` line, without starting Python."""
    words = shlex.split(command)
    if words[0] == 'mmpfcn':
        assert mmpfcn_command(words[1:]) in (None, 0), command
        return
    assert words[0] == 'python', f'{command}: not known how to run it here; list it'
    if words[1] == '-c':
        exec(words[2], {})
        return
    script = ROOT / words[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(script.parent)
        patch.setattr(sys, 'argv', [*words[1:], *FEWER.get(script.name, [])])
        try:
            runpy.run_path(str(script), run_name='__main__')
        except SystemExit as end:
            assert end.code in (None, 0), f'{command}: exit code {end.code}'


@pytest.mark.parametrize('page', sorted({p for p, c in ALL if reason(c) is None}))
def test_the_commands_run(user, monkeypatch, page):
    monkeypatch.chdir(user)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    for command in commands(page):
        if reason(command) is None:
            execute(command)


RUNS = sorted({c for _, c in ALL if re.match(r'python tools/(train|test)\.py', c) and '--amp' not in c})


@pytest.mark.parametrize('command', RUNS)
def test_the_command_lines_of_runs_are_accepted(command, tmp_path, monkeypatch):
    """Parsed by the tools and merged into the configs that they name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'tools').symlink_to(ROOT / 'tools')
    (tmp_path / 'configs').mkdir()
    for name in ('_base_', 'panoptic_fcn'):
        (tmp_path / 'configs' / name).mkdir()
        for path in (ROOT / 'configs' / name).iterdir():
            (tmp_path / 'configs' / name / path.name).symlink_to(path)
    (tmp_path / 'configs/panoptic_fcn/mine.py').write_text("_base_ = './r50_coco.py'")
    words = shlex.split(command.replace('$R', 'data/elsewhere'))
    weights = 'work_dirs/tf_efficientnet_lite0.pth'  # the command before it on the page makes them
    for name in [weights, *re.findall(r'\S+\.pth|CHECKPOINT', command.replace('=', ' '))]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    make = {'train': train.train_config, 'test': test_command.test_config}[Path(words[1]).stem]
    cfg = make(words[2:])
    for option in words[words.index('--cfg-options') + 1 :] if '--cfg-options' in words else ():
        if '=' in option:
            look_up(cfg, option.split('=')[0])


CONFIG_SNIPPETS = [block for block in PYTHON if re.search(r'^_base_ =', block.text, re.M)]


@pytest.mark.parametrize('block', CONFIG_SNIPPETS, ids=lambda block: block.page)
def test_the_configs_build(block, tmp_path):
    """Every key of a model is one that its class takes."""
    text = re.sub(r"'\./(\w+\.py)'", lambda m: repr(str(tiny.CONFIGS / m[1])), block.text)
    (tmp_path / 'snippet.py').write_text(text)
    cfg = read_config(str(tmp_path / 'snippet.py'))
    with torch.device('meta'):
        MODELS.build(cfg.model)


RUN_HERE = [b for b in PYTHON if b not in CONFIG_SNIPPETS and reason(b.text) is None]


@pytest.mark.parametrize('page', sorted({block.page for block in RUN_HERE}))
def test_the_python_runs(user, monkeypatch, page):
    """The blocks of a page one after the other, as a reader would type them."""
    monkeypatch.chdir(user)
    gt = np.full((8, 8), 7)
    names = dict(torch=torch, gt=gt, pred=np.where(gt == 7, 1000, 0))  # what the pages say is there
    names['feats'] = [torch.rand(1, 256, 32 // 2**i, 48 // 2**i) for i in range(4)]
    names |= dict(kernels=torch.rand(3, 64), labels=torch.zeros(3, dtype=torch.long))
    names['scores'] = torch.tensor([0.9, 0.8, 0.7])
    for block in RUN_HERE:
        if block.page == page:
            exec(compile(block.text, page, 'exec'), names)
