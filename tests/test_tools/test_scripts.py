"""train.py and test.py from the shell, and the scripts that start them for many processes."""

import os
import sys
from pathlib import Path

import pytest
from helpers import tiny_run
from helpers.shell import environment, run
from helpers.shell import script as write_script
from helpers.tiny_run import TOOLS

SCRIPTS = {
    'dist_train.sh': ['c.py', '4'],
    'dist_test.sh': ['c.py', 'w.pth', '4'],
    'slurm_train.sh': ['part', 'job', 'c.py', 'dir'],
    'slurm_test.sh': ['part', 'job', 'c.py', 'w.pth'],
}


def run_script(script, arguments, bin_dir, **env):
    path = f'{bin_dir}:{os.environ["PATH"]}'
    return run('bash', TOOLS / script, *arguments, env=environment(PATH=path, **env))


@pytest.fixture
def bin_dir(tmp_path):
    """A folder with programs that print their arguments one a line."""
    for name in ('srun', 'args'):
        write_script(tmp_path / name, 'printf "%s\\n" "$@"')
    return tmp_path


@pytest.mark.parametrize('script', SCRIPTS)
def test_usage(script, bin_dir):
    result = run_script(script, SCRIPTS[script][:-1], bin_dir)
    assert result.returncode == 2
    assert result.stderr.startswith('usage: ') and result.stdout == ''


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh'])
def test_dist(script, bin_dir):
    options = ['--cfg-options', 'key="[a b]"']
    result = run_script(script, [*SCRIPTS[script], *options], bin_dir, PYTHON='args', PORT='1234')
    lines = result.stdout.splitlines()
    assert lines[:2] == ['-m', 'torch.distributed.run']
    assert {'--nproc_per_node=4', '--nnodes=1', '--node_rank=0', '--master_port=1234'} <= set(lines)
    tool = str(TOOLS / script.replace('dist_', '').replace('.sh', '.py'))
    start = lines.index(tool)
    assert lines[start + 1 :] == [*SCRIPTS[script][:-1], '--launcher', 'pytorch', *options]


@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh'])
def test_slurm(script, bin_dir):
    arguments = [*SCRIPTS[script], '--cfg-options', 'a=1']
    more = dict(GPUS='4', SRUN_ARGS='--mem=8G --exclusive')
    result = run_script(script, arguments, bin_dir, **more)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    options = '--job-name=job --gres=gpu:4 --ntasks=4 --ntasks-per-node=4 --mem=8G --exclusive'
    assert set(options.split()) <= set(lines)
    assert lines[-3:] == ['--launcher=slurm', '--cfg-options', 'a=1']
    last = SCRIPTS[script][-1]
    assert lines[-4] == (f'--work-dir={last}' if 'train' in script else last)


def test_shellcheck_has_nothing_to_say():
    scripts = [str(path) for path in sorted(TOOLS.rglob('*.sh'))]
    assert len(scripts) >= 5
    checker = Path(sys.executable).with_name('shellcheck')
    result = run(checker, *scripts)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize('script, rest', [('train.py', []), ('test.py', [__file__])])
def test_missing_config_from_the_shell(script, rest, tmp_path):
    process = tiny_run.start(script, 'none.py', *rest, cwd=tmp_path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert f'config is not a file: none.py (looked for in {tmp_path})' in output
    assert 'Traceback' not in output
    assert not list(tmp_path.iterdir())
