"""Runs that are killed, run out of disk or lose their work dir."""

import resource
import shutil
from pathlib import Path

import kill_and_resume
import pytest
import torch
from helpers import tiny_run
from kill_and_resume import SEED, differences, finish, prepare, run_killed, run_whole, start

from mmpfcn.commands.publish_model import main as publish
from mmpfcn.engine import newest_whole_checkpoint

STEPS = 6


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('resume')
    prepare(folder, STEPS)
    run_whole(folder)
    return folder


def test_killed_runs_end_with_the_same_weights(folder):
    run_killed(folder, kills=2, seed=1)
    last = f'iter_{STEPS}.pth'
    assert differences(folder / 'killed' / last, folder / 'whole' / last) == []
    assert [path.name for path in (folder / 'killed').glob('*.pth')] == [last]


@pytest.mark.parametrize('workers', [0, 2])
def test_a_second_run_with_the_seed_ends_with_the_same_weights(folder, workers):
    """The first run has one worker: the number of workers makes no difference either."""
    name = f'workers_{workers}'
    loader = ('num_workers', workers), ('persistent_workers', workers > 0)
    options = [f'train_dataloader.{key}={value}' for key, value in loader]
    process = start(folder, f'{name}.log', f'--work-dir={name}', *SEED, *options)
    finish(process, folder, f'{name}.log')
    last = f'iter_{STEPS}.pth'
    assert differences(folder / name / last, folder / 'whole' / last) == []


def test_the_average_is_what_is_tested_and_published(folder):
    """Its place in a checkpoint is that of the weights, which with NaN nothing could go on from."""
    options = ['default_hooks.checkpoint.max_keep_ckpts=-1', 'optim_wrapper.optimizer.lr=10.0']
    process = start(folder, 'each.log', '--work-dir=each', *SEED, *options, 'train_cfg.max_iters=3')
    finish(process, folder, 'each.log')
    saved = [torch.load(folder / 'each' / f'iter_{i}.pth', weights_only=False) for i in (1, 2, 3)]
    name = 'panoptic_head.kernel_generator.kernel_out.weight'
    average, *others = (content['ema_state_dict'][f'module.{name}'] for content in saved)
    for weight in others:  # the first step's weights, then a tenth of each step's
        average = average + 0.1 * (weight - average)
    last = saved[-1]
    torch.testing.assert_close(last['state_dict'][name], average)
    assert not torch.allclose(average, others[-1])
    for weight in last['ema_state_dict'].values():
        if weight.is_floating_point():
            weight.fill_(torch.nan)
    torch.save(last, folder / 'last.pth')
    assert publish([str(folder / 'last.pth'), str(folder / 'published.pth')]) == 0
    [published] = folder.glob('published-*.pth')
    assert torch.equal(torch.load(published)['state_dict'][name], last['state_dict'][name])
    figures = []
    for checkpoint in ('last.pth', published):
        work_dir = folder / f'test_{len(figures)}'
        tiny_run.run('test.py', 'tiny.py', checkpoint, f'--work-dir={work_dir}', cwd=folder)
        figures.append(tiny_run.figures(work_dir))
    assert figures[0] == figures[1] and len(figures[0]) > 3


def train_with_little_disk(folder: Path, *arguments: str) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # bytes a file
    kill_and_resume.train(folder, 'full.log', *arguments)


def test_a_full_disk_ends_the_run_and_the_checkpoint_stays(folder):
    shutil.copytree(folder / 'whole', folder / 'full')
    (folder / 'full' / 'last_checkpoint').write_text('full/iter_6.pth')
    options = ('--work-dir=full', '--resume', '--cfg-options', f'train_cfg.max_iters={STEPS + 2}')
    arguments = dict(target=train_with_little_disk, args=(folder, *options))
    process = kill_and_resume.CONTEXT.Process(**arguments)
    process.start()
    process.join(timeout=300)
    assert process.exitcode == 1
    log = (folder / 'full.log').read_text()
    assert 'OSError: checkpoint' in log.splitlines()[-1]
    assert 'iter_7.pth could not be written ([Errno 27] File too large)' in log
    assert log.count('Error: checkpoint') == 1
    assert [path.name for path in (folder / 'full').glob('*.pth')] == ['iter_6.pth']
    assert newest_whole_checkpoint(folder / 'full').name == 'iter_6.pth'
    assert not list((folder / 'full').glob('.iter*'))


def test_a_vanished_work_dir_is_named(folder):
    options = ('--cfg-options', 'train_cfg.max_iters=1000', 'default_hooks.logger.interval=1000')
    process = start(folder, 'gone.log', '--work-dir=gone', *options)
    while not (folder / 'gone' / 'iter_1.pth').exists():
        assert process.is_alive(), (folder / 'gone.log').read_text()
    (folder / 'gone').rename(folder / 'moved')
    process.join(timeout=300)
    last = (folder / 'gone.log').read_text().splitlines()[-1]
    assert process.exitcode == 1
    # from the hook, or from whatever of mmengine wrote to the folder first: each names it
    assert 'gone' in last
    assert last.startswith('FileNotFoundError: ') or 'could not be written' in last
    assert newest_whole_checkpoint(folder / 'moved') is not None


def test_the_newest_whole_checkpoint_is_found(tmp_path):
    """Whatever last_checkpoint says: it may be empty, or name a file that was cut off."""
    assert newest_whole_checkpoint(tmp_path / 'none') is None
    (tmp_path / 'last_checkpoint').write_text('')
    assert newest_whole_checkpoint(tmp_path) is None
    for i in (5, 10, 15):
        torch.save(dict(x=torch.zeros(1000)), tmp_path / f'iter_{i}.pth')
    content = bytearray((tmp_path / 'iter_15.pth').read_bytes())
    (tmp_path / 'iter_15.pth').write_bytes(content[:-10])
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_15.pth'))
    assert newest_whole_checkpoint(tmp_path).name == 'iter_10.pth'
    content[len(content) // 2] ^= 1
    (tmp_path / 'iter_15.pth').write_bytes(content)
    assert newest_whole_checkpoint(tmp_path).name == 'iter_10.pth'
