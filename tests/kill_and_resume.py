"""Kill a training run at random moments, resume it, and compare it with one left in peace.

    python tests/kill_and_resume.py --kills 20

The weights, optimizer, schedule and moving average at the end must be equal to the bit.
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path

import torch
from helpers import tiny_run
from helpers.forked import CONTEXT, run_file
from mmengine.registry import init_default_scope

from mmpfcn.engine import newest_whole_checkpoint

SEED = ('--cfg-options', 'randomness.seed=7')


def prepare(folder: Path, max_iters: int, **changes) -> None:
    """A data set and a config with a moving average and a worker, saving after every step; without a seed:
    a resumed run must go on with that of the checkpoint."""
    init_default_scope('mmdet')
    tiny_run.draw_data(folder, train=5, val=2)
    average = dict(type='EMAHook', momentum=0.1, update_buffers=True)
    tiny_run.write_config(
        folder, randomness=dict(seed=None), train_cfg__max_iters=max_iters,
        train_cfg__val_interval=3, train_dataloader__num_workers=1,
        train_dataloader__persistent_workers=True, default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=1,
        custom_hooks=[dict(type='ExactResumeHook'), average], **changes,
    )  # fmt: skip


def train(folder: Path, log: str, *arguments: str) -> None:
    """tools/train.py in this process, its output in a file."""
    run_file(tiny_run.TOOLS / 'train.py', ('tiny.py', *arguments), folder, {}, log)


def start(folder: Path, log: str, *arguments: str) -> multiprocessing.Process:
    process = CONTEXT.Process(target=train, args=(folder, log, *arguments))
    process.start()
    return process


def finish(process: multiprocessing.Process, folder: Path, log: str) -> None:
    process.join(timeout=600)
    assert process.exitcode == 0, (folder / log).read_text()[-3000:]


def resume(folder: Path, log: str) -> multiprocessing.Process:
    """A run that has saved nothing yet starts with the seed."""
    seed = () if newest_whole_checkpoint(folder / 'killed') else SEED
    return start(folder, log, '--work-dir=killed', '--resume', *seed)


def kill_somewhere(folder: Path, log: str, rng: random.Random) -> None:
    """Resume, and kill -9 after a few more steps: while one is computed, saved or measured."""
    process = resume(folder, log)
    steps = rng.randint(0, 2)
    before = (folder / log).read_text().count('Iter(train)') if (folder / log).exists() else 0
    while process.is_alive():
        text = (folder / log).read_text() if (folder / log).exists() else ''
        if text.count('Iter(train)') - before >= steps:
            break
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.5))
    process.kill()
    process.join()


def differences(ours: Path, theirs: Path) -> list[str]:
    """What two checkpoints do not have in common, to the bit."""
    keys = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')
    one, other = (torch.load(path, weights_only=False) for path in (ours, theirs))
    return [name for key in keys for name in _unequal(key, one[key], other[key])]


def _unequal(name: str, one: object, other: object) -> list[str]:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), name
        return [x for key in one for x in _unequal(f'{name}.{key}', one[key], other[key])]
    if isinstance(one, list):
        pairs = zip(one, other, strict=True)
        return [x for i, pair in enumerate(pairs) for x in _unequal(f'{name}.{i}', *pair)]
    equal = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    return [] if equal else [name]


def run_whole(folder: Path) -> None:
    finish(start(folder, 'whole.log', '--work-dir=whole', *SEED), folder, 'whole.log')


def run_killed(folder: Path, kills: int, seed: int) -> None:
    """At last the run is left to come to its end."""
    rng = random.Random(seed)
    for i in range(kills):
        kill_somewhere(folder, 'killed.log', rng)
        saved = sorted(path.name for path in (folder / 'killed').glob('*.pth'))
        print(f'kill {i + 1}: {", ".join(saved) or "nothing saved yet"}', flush=True)
    finish(resume(folder, 'killed.log'), folder, 'killed.log')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--max-iters', type=int, default=30)
    parser.add_argument('--seed', type=int, default=0, help='of the moments of the kills')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, args.max_iters)
        run_whole(folder)
        run_killed(folder, args.kills, args.seed)
        last = f'iter_{args.max_iters}.pth'
        found = differences(folder / 'killed' / last, folder / 'whole' / last)
        print('equal to the bit' if not found else f'different: {found}')
        sys.exit(bool(found))


if __name__ == '__main__':
    main()
