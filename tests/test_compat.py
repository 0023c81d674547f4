"""The version check that runs when mmpfcn is imported."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.oracle import ROOT
from helpers.shell import environment, run

COMPAT = runpy.run_path(str(ROOT / 'mmpfcn' / 'compat.py'))
ONEDL = {'torch': '2.13.0+cpu', 'mmengine': '0.10.12', 'mmcv': '2.3.6', 'mmdet': '3.5.1'}
UPSTREAM = {'torch': '2.1.2', 'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmdet': '3.3.0'}


def fake_packages(folder: Path, versions: dict[str, str | None]) -> Path:
    """Importable packages with these versions; mmcv with operators that load."""
    for name, version in versions.items():
        if version is not None:
            (folder / name).mkdir(parents=True)
            (folder / name / '__init__.py').write_text('')
            (folder / name / 'version.py').write_text(f"__version__ = '{version}'\n")
    if versions.get('mmcv'):
        (folder / 'mmcv' / 'ops.py').write_text('')
    return folder


def check(folder: Path, code: str = 'compat.check_versions()') -> subprocess.CompletedProcess:
    """Runs the check where only ``folder`` is importable beside the standard library."""
    return run(
        sys.executable, '-S', '-c',
        f'import runpy, sys, types; sys.path[:0] = [{str(folder)!r}]\n'
        f'compat = types.SimpleNamespace(**runpy.run_path({str(ROOT / "mmpfcn/compat.py")!r}))\n'
        + code,
        env={'PATH': os.environ['PATH']},
    )  # fmt: skip


@pytest.mark.parametrize('versions', [ONEDL, UPSTREAM, {**UPSTREAM, 'mmcv': '2.0.0rc4'}])
def test_both_sets_are_accepted(tmp_path, versions):
    done = check(fake_packages(tmp_path, versions))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('versions, message', [
    ({**ONEDL, 'mmdet': None}, r'mmdet is not installed \(onedl-mmdetection>=3.5.0,<3.6\)'),
    ({**ONEDL, 'mmdet': '3.2.0'}, r'mmdet 3.2.0 does not fit \(onedl-mmdetection>=3.5.0,<3.6'),
    ({**ONEDL, 'mmdet': '3.3.0'}, r'mmcv 2.3.6 does not fit \(mmcv>=2.0.0,<2.2.0\)'),
    ({**ONEDL, 'mmengine': '0.10.7'}, r'mmengine 0.10.7 does not fit \(onedl-mmengine>=0.10'),
    ({**ONEDL, 'torch': None}, r'torch is not installed \(torch>=2.4\)'),
    ({**UPSTREAM, 'mmcv': '2.2.0'}, r'mmcv 2.2.0 does not fit \(mmcv>=2.0.0,<2.2.0\)'),
    ({**UPSTREAM, 'torch': '2.6.0+cu124'}, r'torch 2.6.0\+cu124 does not fit \(torch>=2.0,<2'),
    ({}, r'found: torch not found, mmengine not found, mmcv not found, mmdet not found'),
])  # fmt: skip
def test_a_wrong_package_is_named_with_the_commands(tmp_path, versions, message):
    done = check(fake_packages(tmp_path, versions))
    assert done.returncode == 1
    assert 'ImportError: mmpfcn needs torch and one of two sets' in done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert (
        'pip install --no-build-isolation "onedl-mmengine>=0.10.12,<0.11" '
        '"onedl-mmcv>=2.3.0,<2.4" "onedl-mmdetection>=3.5.0,<3.6"\n' in done.stderr
    )
    assert 'mim install "mmengine>=0.10.4,<0.11" "mmcv>=2.0.0,<2.2.0" "mmdet>=3.3.0,<3.4"\n' in done.stderr


@pytest.mark.parametrize(
    'ops', [None, 'raise ImportError("undefined symbol: _ZN3c10")'], ids=['mmcv-lite', 'broken']
)
def test_mmcv_without_operators_is_named(tmp_path, ops):
    folder = fake_packages(tmp_path, ONEDL)
    if ops is None:
        (folder / 'mmcv' / 'ops.py').unlink()
    else:
        (folder / 'mmcv' / 'ops.py').write_text('from . import _ext\n')
        (folder / 'mmcv' / '_ext.py').write_text(ops)
    done = check(folder)
    assert done.returncode == 1
    assert 'mmcv 2.3.6 has no operators that load with torch 2.13.0+cpu' in done.stderr
    assert '--no-cache-dir "onedl-mmcv>=2.3.0,<2.4"' in done.stderr


def test_an_opencv_that_needs_a_screen_is_named(tmp_path):
    folder = fake_packages(tmp_path, ONEDL)
    error = 'raise ImportError("libGL.so.1: cannot open shared object file")'
    (folder / 'mmcv' / '__init__.py').write_text(error)
    done = check(folder)
    assert done.returncode == 1
    assert 'ImportError: OpenCV does not load (libGL.so.1: cannot open shared' in done.stderr
    assert 'pip install opencv-python-headless==' in done.stderr


CALLS_AN_OPERATOR = """
from mmcv import _ext
class RegionHead:
    def forward(self):
        return _ext.roi_align_forward(1, 2)
"""


@pytest.mark.parametrize(
    ('versions', 'wanted'), [(ONEDL, '"onedl-mmcv>=2.3.0,<2.4"'), (UPSTREAM, '"mmcv>=2.0.0,<2.2.0"')]
)
def test_an_operator_that_is_missing_is_named_when_it_is_called(tmp_path, versions, wanted):
    """With the class that called it and the command; what only looks for the names is served."""
    folder = fake_packages(tmp_path, versions)
    (folder / 'mmcv' / 'ops.py').write_text('from . import _ext\nassert hasattr(_ext, "nms")\n')
    (folder / 'heads.py').write_text(CALLS_AN_OPERATOR)
    done = check(
        folder,
        'compat.check_versions()\ncompat.check_versions()\n'
        'import importlib.util, inspect, heads, mmcv\n'
        'print(compat.has_operators(), importlib.util.find_spec("mmcv._ext").name)\n'
        'print(inspect.getmodule(heads.RegionHead).__name__, heads._ext.get_compiler_version())\n'
        'heads.RegionHead().forward()',
    )
    assert done.stdout == 'False mmcv._ext\nheads none, mmcv is not compiled\n', done.stderr
    assert done.returncode == 1
    message = "RuntimeError: mmcv's operator roi_align_forward is not compiled, and RegionHead of "
    assert message + 'heads called it.' in done.stderr
    options = '--no-build-isolation --no-deps --force-reinstall --no-cache-dir'
    assert f'{options} {wanted}' in done.stderr


def test_nothing_is_replaced_where_the_operators_are(tmp_path):
    folder = fake_packages(tmp_path, ONEDL)
    (folder / 'mmcv' / '_ext.py').write_text('def nms():\n    return 7\n')
    done = check(
        folder,
        'compat.check_versions()\nimport mmcv._ext\n'
        'print(compat.has_operators(), mmcv._ext.nms(), hasattr(mmcv._ext, "softnms"))',
    )
    assert done.stdout == 'True 7 False\n', done.stderr


def test_the_version_that_is_found(tmp_path):
    folder = fake_packages(tmp_path, ONEDL)
    (folder / 'mmdet' / 'version.py').unlink()
    info = folder / 'onedl_mmdetection-3.4.9.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: onedl-mmdetection\nVersion: 3.4.9')
    assert check(folder, "print(compat.find_version('mmdet'))").stdout == '3.4.9\n'
    import mmcv
    import mmdet
    import mmengine
    import torch

    for package in (torch, mmengine, mmcv, mmdet):
        assert COMPAT['find_version'](package.__name__) == package.__version__
    # A wrong mmdet gives our message, not the AttributeError of some name it does not have.
    wrong = tmp_path / 'wrong'
    wrong.mkdir()
    fake_packages(wrong, {'mmdet': '2.28.2'})
    path = os.pathsep.join([str(wrong), str(ROOT)])
    done = run(sys.executable, '-c', 'import mmpfcn', env={**os.environ, 'PYTHONPATH': path})
    assert done.returncode == 1
    assert 'mmdet 2.28.2 does not fit (onedl-mmdetection>=3.5.0,<3.6)' in done.stderr


def test_importing_says_nothing():
    """What a command prints can be read by another; mmdet speaks of packages that are optional."""
    done = run(sys.executable, '-c', 'import mmpfcn', env=environment(PYTHONPATH=ROOT))
    assert (done.returncode, done.stdout) == (0, '')
    assert 'faster_coco_eval' not in done.stderr
