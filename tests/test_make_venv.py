"""`make venv`: what it refuses, what it repairs, where it goes on."""

import os
import re
import subprocess
import sys
from pathlib import Path

from helpers.oracle import ROOT
from helpers.shell import run, script

PINNED_TORCH = re.search(
    r'^torch==([\d.]+)$', (ROOT / 'requirements' / 'build.txt').read_text(), re.MULTILINE
).group(1)


def make_venv(folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """Runs the script on ``folder``, without the index and cache of the user's pip settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(('PIP_', 'TORCH', 'MAKE', 'OPS'))}
    offline = {'PIP_INDEX_URL': 'http://127.0.0.1:9/simple', 'PIP_RETRIES': '0'}
    env |= {'PYTHON': sys.executable, 'PIP_CONFIG_FILE': os.devnull, 'VENV': str(folder), **offline}
    return run('bash', ROOT / 'tools/misc/make_venv.sh', env={**env, **variables}, timeout=120)


def test_make_venv_refuses_another_python_and_no_compiler(tmp_path):
    old = script(tmp_path / 'python3.9', 'echo "Python 3.9.18"; exit 1')
    done = make_venv(tmp_path / 'venv', PYTHON=old)
    assert done.returncode == 1
    assert f'PYTHON={old} is Python 3.9.18' in done.stderr
    assert 'Python 3.10, 3.11 or 3.12' in done.stderr
    assert not (tmp_path / 'venv').exists()
    done = make_venv(tmp_path / 'venv', OPS='1', CXX=str(tmp_path / 'no-compiler'))
    assert done.returncode == 1
    assert f"no C++17 compiler: '{tmp_path / 'no-compiler'}' does not run" in done.stderr
    assert not (tmp_path / 'venv').exists()
    done = make_venv(tmp_path / 'venv', CXX=str(tmp_path / 'no-compiler'))
    assert 'compiler' not in done.stderr and '[2/7] torch' in done.stdout
    assert 'the package index cannot be reached' in done.stderr


def test_make_venv_leaves_other_folders_and_tells_when_the_disk_is_full(tmp_path):
    (tmp_path / 'venv').mkdir()
    (tmp_path / 'venv' / 'thesis.tex').write_text('years of work')
    done = make_venv(tmp_path / 'venv')
    assert done.returncode == 1
    assert 'exists and is no virtual environment' in done.stderr
    assert (tmp_path / 'venv' / 'thesis.tex').read_text() == 'years of work'
    script(tmp_path / 'df', 'echo header; echo "/dev/x 100 99 1048576 99% /"')
    path = os.pathsep.join([str(tmp_path), os.environ['PATH']])
    done = make_venv(tmp_path / 'another', PATH=path)
    assert done.returncode == 1
    assert f'1024 MB are free at {tmp_path}, 4 GB are needed' in done.stderr


def test_make_venv_replaces_a_half_made_environment_and_tells_about_the_network(tmp_path):
    venv = tmp_path / 'venv'
    venv.mkdir()
    (venv / 'pyvenv.cfg').write_text('home = /nowhere\n')  # killed while it was made
    done = make_venv(venv)
    assert done.returncode == 1
    assert 'the package index cannot be reached' in done.stderr
    assert run(venv / 'bin' / 'python', '-m', 'pip', '--version').returncode == 0
    assert (venv / '.stamps' / 'base').is_file()
    assert not (venv / '.stamps' / 'torch').exists()  # the step that failed is not taken for done
    (site,) = venv.glob('lib/python3*/site-packages')
    (site / 'torch-2.13.0.dist-info').mkdir()  # killed before pip wrote its INSTALLER
    (site / 'torch-2.13.0.dist-info' / 'METADATA').write_text('Name: torch\nVersion: 2.13.0\n')
    again = make_venv(venv)
    assert not (site / 'torch-2.13.0.dist-info').exists()
    assert list(site.glob('pip-*.dist-info'))
    assert '[1/7]' not in again.stdout  # it goes on from there
    assert f'[2/7] torch {PINNED_TORCH} ' in again.stdout


def test_make_venv_remembers_the_torch_that_was_asked_for(tmp_path):
    """Otherwise `make test` would put the pinned torch over it."""
    venv = tmp_path / 'venv'
    first = make_venv(venv, TORCH='2.12.0', TORCH_INDEX='http://127.0.0.1:9/cpu')
    assert '[2/7] torch 2.12.0 ' in first.stdout
    assert (venv / '.stamps' / 'choice').read_text() == '2.12.0\nhttp://127.0.0.1:9/cpu\n'
    assert '[2/7] torch 2.12.0 ' in make_venv(venv).stdout
    assert '[2/7] torch 2.11.0 ' in make_venv(venv, TORCH='2.11.0').stdout
