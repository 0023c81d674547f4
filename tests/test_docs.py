"""Every command and every piece of Python in README.md and docs/.

What is neither listed in :data:`ELSEWHERE` nor in :data:`NOT_RUN` is run here, as it stands, in a folder
with drawn data and an untrained r18_shapes. Whatever runs where, scripts, configs and options must exist,
and command lines of train.py and test.py must be ones that the tools accept.
"""

import importlib
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tiny
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from oracle import ROOT
from PIL import Image

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
OTHER_LANGUAGES = {'', 'text', 'json', 'nginx', 'bibtex', '{toctree}', '{eval-rst}'}
TOOL = re.compile(r'(?:python|bash|torchrun .*?) (tools/\S+\.(?:py|sh))')

# Patterns of commands, and of the first lines of Python, that another test runs. The first one counts.
ELSEWHERE = {
    r'pip install -e \.': 'test_packaging.py::test_editable_install_uses_the_sources_and_adds_nothing_to_them',
    r'dist_(train|test)\.sh': 'test_tools/test_train_test_cli.py::test_dist',
    r'slurm_(train|test)\.sh': 'test_tools/test_train_test_cli.py::test_slurm',
    r'train\.py configs/panoptic_fcn/r18_shapes\.py$': 'test_end_to_end.py::test_train_leaves_checkpoint_config_and_log',
    r'train\.py configs/panoptic_fcn/r18_shapes\.py --resume': 'test_end_to_end.py::test_resume_goes_on_after_the_checkpoint',
    r'train\.py configs/panoptic_fcn/mine\.py': 'test_docs_datasets.py::test_the_config_trains_and_tests',
    r'dataset_converters/cityscapes': 'test_street_scenes.py::test_from_the_raw_folders_to_figures',
    r'dataset_converters/\w+_panoptic\.py data/mine': 'test_docs_datasets.py::test_each_command_of_a_converter',
    r'browse_dataset\.py configs/panoptic_fcn/mine': 'test_tools/test_browse_dataset.py::test_the_page_needs_nothing_but_its_pictures',
    r'check_dataset\.py data/mine': 'test_tools/test_check_dataset.py::test_a_right_data_set_is_counted',
    r'detectron2_to_mmpfcn\.py': 'test_tools/test_detectron2_to_mmpfcn.py::test_from_the_shell',
    r'tools/web_demo\.py': 'test_tools/test_web_demo.py::test_a_moved_threshold_does_not_run_the_network',
    r'tools/analysis_tools/explain\.py': 'test_tools/test_explain.py::test_the_page_in_a_browser',
    r'from mmpfcn\.apis import Fate': 'test_apis/test_explanation.py::test_fates_are_what_the_thresholds_say',
    r'torchrun .*tools/demo\.py': 'test_tools/test_demo.py::test_two_processes_share_the_images',
    r'tools/deployment/': 'test_deployment/test_onnx.py::test_tool_without_torch',
    r'import OnnxInferencer': 'test_deployment/test_onnx.py::test_same_results_at_any_size',
    r'colors = \{': 'test_docs_datasets.py::test_the_lines_for_masks_in_colours',
}

NOT_RUN = {
    r'make (venv|test|demo)|source \S+/activate': 'builds the environment, or runs for minutes',
    r'docker ': 'needs Docker; tests/test_dockerfile.py compares the steps',
    r'--amp': 'needs a GPU',
    r'configs/panoptic_fcn/(r50|r18_coco)\w*\.py': 'needs COCO, Cityscapes or their weights: a download',
    r'(tools/analysis_tools/(benchmark|plot_benchmark)\w*\.py|^\$B |^[BCDP]=)': 'minutes of measuring',
    r'configs/panoptic_fcn/mine\.py': 'the config of the reader',
}  # fmt: skip


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        fenced = re.findall(r'^( *)```(\S*)\n(.*?)^\1```$', page.read_text(), re.M | re.S)
        for indent, language, text in fenced:
            yield Block(page.name, language, re.sub(f'^{indent}', '', text, flags=re.M))


def commands(page: str) -> list[str]:
    """Command lines without comments, continued lines joined."""
    text = ''.join(b.text for b in blocks() if (b.page, b.language) == (page, 'sh'))
    lines = [re.sub(r' +#.*|^#.*', '', line) for line in text.replace('\\\n', ' ').splitlines()]
    return [' '.join(line.split()) for line in lines if line.strip()]


def reason(text: str) -> str | None:
    """Where else it runs, or why it does not; None: here."""
    listed = {**ELSEWHERE, **NOT_RUN}
    return next((why for pattern, why in listed.items() if re.search(pattern, text)), None)


ALL = [(page.name, command) for page in PAGES for command in commands(page.name)]
PYTHON = [block for block in blocks() if block.language == 'python']


def test_every_block_has_a_known_language():
    assert {block.language for block in blocks()} <= OTHER_LANGUAGES | {'sh', 'python'}
    fences = sum(len(re.findall(r'^ *```', page.read_text(), re.M)) for page in PAGES)
    assert fences == 2 * len(list(blocks()))  # none is left open


@pytest.mark.parametrize('where', sorted(set(ELSEWHERE.values())))
def test_the_other_test_is_there(where):
    file, name = where.split('::')
    assert f'def {name}(' in (ROOT / 'tests' / file).read_text()


@pytest.mark.parametrize('pattern', [*ELSEWHERE, *NOT_RUN])
def test_nothing_is_listed_in_vain(pattern):
    texts = [command for _, command in ALL] + [block.text for block in PYTHON]
    assert any(re.search(pattern, text) for text in texts)


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
    """The options that the tool, its package or the common parser define."""
    path = ROOT / script
    files = [path, *path.parent.glob('*/*.py'), *path.parent.glob('_*.py'), ROOT / 'tools/_cli.py']
    return {name for file in files for name in re.findall(r"'(--[\w-]+)'", file.read_text())}


# ---- running ----


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
    model = MODELS.build(Config.fromfile(tiny.CONFIGS / 'r18_shapes.py').model)
    model.init_weights()
    checkpoint = folder / 'work_dirs' / 'r18_shapes' / 'iter_800.pth'
    checkpoint.parent.mkdir(parents=True)
    torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
    pixels = np.random.default_rng(0).integers(0, 256, (192, 256, 3), np.uint8)
    Image.fromarray(pixels).save(folder / 'photo.jpg')
    return folder


FEWER = {'make_shapes.py': ['--train', '2', '--val', '2', '--workers', '1']}
"""Added to a command, to be quick."""


def execute(command: str) -> None:
    """A `python ...` line, without starting Python."""
    words = shlex.split(command)
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


RUNS = sorted(
    {c for _, c in ALL if re.match(r'python tools/(train|test)\.py', c) and '--amp' not in c}
)


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
    monkeypatch.syspath_prepend(ROOT / 'tools')
    words = shlex.split(command.replace('$R', 'data/elsewhere'))
    for name in re.findall(r'\S+\.pth|CHECKPOINT', command.replace('=', ' ')):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    tool = importlib.import_module(Path(words[1]).stem)
    result = tool.train_config(words[2:]) if tool.__name__ == 'train' else tool.test_config(words[2:])
    cfg = result if isinstance(result, Config) else result[0]
    for option in words[words.index('--cfg-options') + 1 :] if '--cfg-options' in words else ():
        if '=' in option:
            look_up(cfg, option.split('=')[0])


def look_up(cfg: object, key: str) -> object:
    """The value of a dotted key; numbers are indices of lists."""
    for part in key.split('.'):
        cfg = cfg[int(part)] if part.isdigit() else cfg[part]
    return cfg


# ---- Python ----

CONFIG_SNIPPETS = [block for block in PYTHON if re.search(r'^_base_ =', block.text, re.M)]


@pytest.mark.parametrize('block', CONFIG_SNIPPETS, ids=lambda block: block.page)
def test_the_configs_build(block, tmp_path):
    """Every key of a model is one that its class takes."""
    text = re.sub(r"'\./(\w+\.py)'", lambda m: repr(str(tiny.CONFIGS / m[1])), block.text)
    (tmp_path / 'snippet.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'snippet.py')
    with torch.device('meta'):
        MODELS.build(cfg.model)


def prelude() -> dict:
    """What the pages say is there: maps of segments, features, kernels."""
    gt = np.full((8, 8), 7)
    return dict(
        torch=torch,
        gt=gt,
        pred=np.where(gt == 7, 1000, 0),
        feats=[torch.rand(1, 256, 32 // 2**i, 48 // 2**i) for i in range(4)],
        kernels=torch.rand(3, 64),
        labels=torch.zeros(3, dtype=torch.long),
        scores=torch.tensor([0.9, 0.8, 0.7]),
    )


RUN_HERE = [b for b in PYTHON if b not in CONFIG_SNIPPETS and reason(b.text) is None]


@pytest.mark.parametrize('page', sorted({block.page for block in RUN_HERE}))
def test_the_python_runs(user, monkeypatch, page):
    """The blocks of a page one after the other, as a reader would type them."""
    monkeypatch.chdir(user)
    names = prelude()
    for block in RUN_HERE:
        if block.page == page:
            exec(compile(block.text, page, 'exec'), names)


# ---- migration ----


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table after a heading of migration.md, without its head."""
    part = (ROOT / 'docs' / 'migration.md').read_text().split(f'{heading}\n')[1]
    table = re.search(r'(?:^\|.*\n)+', part, re.M)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip('|').split(' | ')] for row in table]


def names_in(cell: str) -> list[str]:
    return re.findall(r'`([a-z_]+(?:\.\w+)*)`', cell)


NOT_IN_THE_CONFIG = {
    'optim_wrapper.accumulative_counts', 'randomness.seed',
    'model.panoptic_head.kernel_generator.position_conv_cfg',
    'model.panoptic_head.separate_thing_regions',
}  # fmt: skip
"""Arguments that have a default; those of ours are looked up in the classes."""


@pytest.mark.parametrize('heading', ['### Keys', "## From mmdet's MaskFormer"])
def test_our_keys_of_the_migration_are_real(heading):
    import inspect

    import mmpfcn

    cfg = Config.fromfile(tiny.CONFIGS / 'r50_coco.py')
    keys = [key for row in rows(heading) for key in names_in(row[1])]
    assert len(keys) > 8
    for key in keys:
        if key not in NOT_IN_THE_CONFIG:
            look_up(cfg, key)
    for owner, name in (
        (mmpfcn.KernelGenerator, 'position_conv_cfg'), (mmpfcn.PanopticFCNHead, 'separate_thing_regions'),
    ):  # fmt: skip
        assert name in inspect.signature(owner).parameters


def test_keys_of_maskformer_are_real(tmp_path):
    (tmp_path / 'maskformer.py').write_text(
        "_base_ = 'mmdet::maskformer/maskformer_r50_ms-16xb1-75e_coco.py'"
    )
    cfg = Config.fromfile(tmp_path / 'maskformer.py')
    for row in rows("## From mmdet's MaskFormer"):
        for key in names_in(row[0]):
            if row[0].startswith('no '):
                assert key.split('.')[-1] not in cfg.model
            else:
                look_up(cfg, key)


def test_renamed_weights_are_real():
    """As the converter renames them, and in our model."""
    sys.path.insert(0, str(ROOT / 'tools' / 'model_converters'))
    converter = importlib.import_module('detectron2_to_mmpfcn')
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(tiny.CONFIGS / 'r50_coco.py').model)
    table = rows('### Weights')
    assert len(table) > 8
    for published, ours, *_ in table:
        before, after = names_in(published)[0], names_in(ours)[0]
        assert converter.rename(f'{before}.weight') == f'{after}.weight'
        assert f'{after}.weight' in model.state_dict()
