"""The package as users get it: wheel, editable install, pins, Makefile, CI."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from helpers.oracle import ROOT
from helpers.shell import run, script
from PIL import Image

COMPAT = runpy.run_path(str(ROOT / 'mmpfcn' / 'compat.py'))
PIP = (sys.executable, '-m', 'pip', '--disable-pip-version-check')
ALONE = ('--no-deps', '--no-build-isolation', '--no-index')


def pins(name: str) -> dict[str, str]:
    """Distribution -> pinned version of requirements/``name``.txt."""
    text = (ROOT / 'requirements' / f'{name}.txt').read_text()
    return dict(re.findall(r'^([\w-]+)==([\w.]+)', text, re.MULTILINE))


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """A copy of what packaging reads, so that building leaves nothing in the repository."""
    target = tmp_path_factory.mktemp('source')
    ignore = shutil.ignore_patterns('__pycache__')
    for folder in ('mmpfcn', 'configs', 'tools', 'tests', 'requirements'):
        shutil.copytree(ROOT / folder, target / folder, ignore=ignore)
    for file in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / file, target)
    shutil.copy(ROOT / 'model-index.yml', target)
    (target / 'data').mkdir()
    (target / 'data' / 'image.png').write_bytes(b'png')
    return target


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp('wheel')
    built = run(*PIP, 'wheel', *ALONE, '-w', out, source)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = out.glob('*.whl')
    return zipfile.ZipFile(file)


def test_wheel_has_the_package_and_its_mim_files_and_nothing_else(wheel, source):
    names = {name for name in wheel.namelist() if '.dist-info/' not in name}
    expected = {
        f'{prefix}{file.relative_to(source).as_posix()}'
        for folder, prefix in (('mmpfcn', ''), ('configs', 'mmpfcn/.mim/'), ('tools', 'mmpfcn/.mim/'))
        for file in (source / folder).rglob('*')
        if file.is_file()
    } | {'mmpfcn/.mim/model-index.yml'}
    assert names == expected
    assert 'mmpfcn/.mim/tools/train.py' in names
    assert 'mmpfcn/.mim/configs/panoptic_fcn/r18_shapes.py' in names


@pytest.fixture(scope='module')
def sdist(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('sdist')
    code = 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])'
    built = run(sys.executable, '-c', code, out, cwd=source)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = out.glob('*.tar.gz')
    return file


def test_sdist_gives_the_wheel_of_the_checkout_and_has_no_data(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        names = [name.partition('/')[2] for name in archive.getnames()]
    assert not [name for name in names if name.startswith(('data/', 'tests/', 'work_dirs/'))]
    built = run(*PIP, 'wheel', *ALONE, '-w', tmp_path, sdist)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = tmp_path.glob('*.whl')
    contents = [
        {name: archive.read(name) for name in archive.namelist() if 'dist-info' not in name}
        for archive in (zipfile.ZipFile(file), wheel)
    ]
    assert contents[0] == contents[1]


def empty_environment(folder: Path, file: object) -> Path:
    """Site-packages of one that borrows torch and the like, but not the mmpfcn of this one."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob('lib/python3*/site-packages')
    (site / 'borrowed.pth').write_text(sysconfig.get_path('purelib') + '\n')
    python = folder / 'bin' / 'python'
    done = run(*PIP, '--python', python, 'install', *ALONE, '--ignore-installed', file)
    assert done.returncode == 0, done.stdout + done.stderr
    return site


@pytest.mark.parametrize('kind', ['wheel', 'sdist'])
def test_installed_in_an_empty_environment_it_finds_configs_and_tools(kind, wheel, sdist, tmp_path):
    site = empty_environment(tmp_path / 'venv', wheel.filename if kind == 'wheel' else sdist)
    python = tmp_path / 'venv' / 'bin' / 'python'
    code = """
from pathlib import Path
import mmpfcn
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
init_default_scope('mmdet')
mim = Path(mmpfcn.__file__).with_name('.mim')
model = MODELS.build(Config.fromfile(mim / 'configs/panoptic_fcn/r18_shapes.py').model)
print(mim)
print(type(model).__name__)
"""
    found = run(python, '-I', '-W', 'ignore', '-c', code, cwd=tmp_path)
    assert found.stdout.splitlines()[-2:] == [str(site / 'mmpfcn/.mim'), 'PanopticFCN'], found
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    train = site / 'mmpfcn' / '.mim' / 'tools' / 'train.py'
    done = run(python, train, '--help', cwd=tmp_path, env=env)
    assert done.returncode == 0 and '--work-dir' in done.stdout, done.stderr


USER = """
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmpfcn.apis.configs import read_config
init_default_scope('mmdet')
cfg = read_config('mine.py')
cfg.model.backbone.pop('init_cfg', None)
meta = dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=list('abcdefghij')))
torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta=meta), 'mine.pth')
print(cfg.model.test_cfg.max_per_img, cfg.model.backbone.depth)
"""


def test_a_user_of_the_wheel_without_a_clone(wheel, tmp_path):
    """A config that inherits by name, a published model of it, and a photo, in another folder."""
    site = empty_environment(tmp_path / 'venv', wheel.filename)
    user = tmp_path / 'user'
    user.mkdir()
    base = "_base_ = ['mmpfcn::r18_shapes']\nmodel = dict(test_cfg=dict(max_per_img=7))\n"
    (user / 'mine.py').write_text(base)
    Image.new('RGB', (96, 64), 'green').save(user / 'photo.jpg')
    programs = tmp_path / 'venv' / 'bin'
    env = {'PATH': str(programs), 'OMP_NUM_THREADS': '1', 'HOME': str(user)}  # no compiler
    built = run(programs / 'python', '-W', 'ignore', '-c', USER, cwd=user, env=env)
    assert built.stdout.splitlines()[-1] == '7 18', built.stderr
    done = run('mmpfcn', 'publish', 'mine.pth', 'model', cwd=user, env=env)
    assert done.returncode == 0, done.stderr
    done = run('mmpfcn', 'predict', 'photo.jpg', '--model', 'model', cwd=user, env=env)
    assert done.returncode == 0, done.stderr
    assert (user / 'results' / 'vis' / 'photo.jpg').is_file()
    assert not (site / 'configs').exists()


def test_installing_pulls_no_torch_and_no_openmmlab_package(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
    metadata = message_from_bytes(wheel.read(name))
    requires = metadata.get_all('Requires-Dist')
    assert sorted(r for r in requires if 'extra ==' not in r) == ['numpy', 'pillow']
    names = ('onedl', 'openmmlab', 'hub')
    extras = {e: [r for r in requires if f'extra == "{e}"' in r] for e in names}
    hub = {re.match(r'[\w-]+', requirement)[0] for requirement in extras['hub']}
    assert hub == {'huggingface_hub', 'safetensors'}
    names = {e: [re.match(r'[\w-]+', r)[0] for r in listed] for e, listed in extras.items()}
    assert names['onedl'] == ['torch', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection']
    assert names['openmmlab'] == ['torch', 'mmengine', 'mmcv', 'mmdet']
    assert metadata['Version'] == runpy.run_path(str(ROOT / 'mmpfcn/version.py'))['__version__']
    assert set(metadata['Requires-Python'].split(',')) == {'>=3.10', '<3.13'}


def test_editable_install_uses_the_sources_and_adds_nothing_to_them(source, tmp_path):
    before = set((source / 'mmpfcn').rglob('*'))
    # without --ignore-installed pip removes the mmpfcn of the environment that runs the tests
    done = run(*PIP, 'install', *ALONE, '--ignore-installed', '--prefix', tmp_path, '-e', source)
    assert done.returncode == 0, done.stdout + done.stderr
    (site,) = tmp_path.glob('lib/python3*/site-packages')
    code = f'import importlib.util, site; site.addsitedir({str(site)!r})\n'
    code += "print(importlib.util.find_spec('mmpfcn').origin)"
    found = run(sys.executable, '-ES', '-c', code, cwd=tmp_path)
    assert found.stdout.strip() == str(source / 'mmpfcn' / '__init__.py'), found.stderr
    assert set((source / 'mmpfcn').rglob('*')) == before


def test_pins_are_those_of_the_check_and_of_pre_commit():
    pinned = {**pins('openmmlab'), 'torch': pins('build')['torch']}
    packages = COMPAT['SUPPORTED']['onedl (the maintained distribution)']
    found = {name: pinned[distribution] for name, (distribution, _, _) in packages.items()}
    assert COMPAT['misfits'](found, packages) == []
    text = (ROOT / '.pre-commit-config.yaml').read_text()
    revisions = dict(re.findall(r'github\.com/[\w-]+/([\w-]+)\n +rev: v([\d.]+)', text))
    assert revisions['ruff-pre-commit'] == pins('tests')['ruff']
    assert revisions['codespell'] == pins('tests')['codespell']


@pytest.mark.parametrize('name', ['build', 'runtime', 'openmmlab', 'tests', 'docs', 'onnx'])
def test_every_requirement_is_pinned(name):
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    requirements = [line for line in lines if line and not line.startswith('#')]
    assert len(requirements) == len(pins(name))


def test_make_without_a_target_lists_all_targets():
    done = run('make', cwd=ROOT)
    listed = re.findall(r'^  make ([\w-]+) ', done.stdout, re.MULTILINE)
    assert listed == ['help', 'venv', 'test', 'demo', 'docs', 'lint', 'clean']


def ci(folder: Path, path: str, counts: str = '3 passed', **exits: int) -> subprocess.CompletedProcess:
    """The real .ci/run with a Makefile whose targets only report, with a PATH."""
    (folder / '.ci').mkdir()
    shutil.copy(ROOT / '.ci' / 'run', folder / '.ci')
    (folder / 'Makefile').write_text(
        f'test:\n\t@echo "$(if $(OPS),4 passed,{counts}) in 0.10s, CI=$(CI)" $(TESTS); '
        f'exit $(if $(OPS),{exits.get("ops", 0)},{exits.get("tests", 0)})\n'
        f'docs:\n\t@echo built; exit {exits.get("docs", 0)}\n'
        f'lint:\n\t@echo linted; exit {exits.get("lint", 0)}\n'
    )
    env = {**os.environ, 'PATH': path}
    env.pop('MAKELEVEL', None)  # a make within a make tells which folders it enters
    return run('bash', folder / '.ci' / 'run', env=env)


@pytest.mark.parametrize('tests, ops, docs, lint, code', [
    (0, 0, 0, 0, 0), (1, 0, 0, 0, 1), (0, 1, 0, 0, 1), (0, 0, 1, 0, 1), (0, 0, 0, 1, 1), (2, 2, 2, 2, 1),
])  # fmt: skip
def test_ci_runs_all_and_fails_when_one_fails(tmp_path, tests, ops, docs, lint, code):
    script(tmp_path / 'bin' / 'chromium')
    path = os.pathsep.join([str(tmp_path / 'bin'), os.environ['PATH']])
    done = ci(tmp_path, path, tests=tests, ops=ops, docs=docs, lint=lint)
    assert done.returncode == code
    assert '\ntests: 3 passed in 0.10s, CI=true\n' in done.stdout
    assert 'operators, in .venv-ops: 4 passed in 0.10s, CI=true -m ops\n' in done.stdout
    assert 'built\nlinted\n' in done.stdout


def test_ci_fails_when_a_test_is_skipped(tmp_path):
    script(tmp_path / 'bin' / 'chromium')
    path = os.pathsep.join([str(tmp_path / 'bin'), os.environ['PATH']])
    done = ci(tmp_path, path, counts='3 passed, 1 skipped')
    assert done.returncode == 1 and 'Nothing may be skipped here' in done.stdout


@pytest.mark.parametrize('user', [0, 1000])
def test_ci_installs_chromium_where_it_can(tmp_path, user):
    """With a PATH of a few programs, an apt-get that notes its arguments, and either user."""
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name in ('bash', 'cat', 'dirname', 'grep', 'make', 'mktemp', 'rm', 'sh', 'tail', 'tee'):
        (programs / name).symlink_to(shutil.which(name))
    script(programs / 'id', f'echo {user}')
    script(programs / 'apt-get', f'echo "$@" >> {tmp_path}/arguments')
    done = ci(tmp_path, str(programs))
    assert done.returncode == 0, done.stderr
    if user == 0:
        arguments = (tmp_path / 'arguments').read_text()
        assert arguments == 'update -q\ninstall -qy --no-install-recommends chromium\n'
        assert 'chromium' not in done.stderr
    else:
        assert not (tmp_path / 'arguments').exists()
        assert 'there is no chromium' in done.stderr and 'apt-get install chromium' in done.stderr
