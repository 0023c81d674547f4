"""A training run of the tiny model on a drawn data set, by the tools as a user types them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

from helpers import tiny
from helpers.forked import Program
from helpers.oracle import ROOT

TOOLS = ROOT / 'tools'
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable}


def draw_data(folder: Path, train: int, val: int) -> None:
    """data/shapes, where the config looks for it."""
    script = str(TOOLS / 'dataset_converters' / 'make_shapes.py')
    counts = [f'--train={train}', f'--val={val}', '--workers=1', '--size', '64', '96']
    command = [sys.executable, script, '--out=data/shapes', *counts]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def write_config(folder: Path, name: str = 'tiny.py', **changes) -> None:
    """r18_shapes, tiny, for two steps; dots in the names of changes are written ``__``."""
    cfg = Config.fromfile(tiny.CONFIGS / 'r18_shapes.py')
    cfg.model = tiny.config()
    # even an untrained model has something for every metric
    cfg.model.test_cfg.update(center_thr=0.0, region_thr=0.0, score_thr=0.0, stuff_area_limit=64)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.update(max_iters=2, val_interval=1000)
    cfg.default_hooks.logger.interval = 1
    cfg.randomness = dict(seed=0)
    cfg.merge_from_dict({name.replace('__', '.'): value for name, value in changes.items()})
    settings = cfg.to_dict().items()  # cfg.dump takes a second to make them pretty
    (folder / name).write_text('\n'.join(f'{key} = {value!r}' for key, value in settings))


def start(*command, cwd: Path, **environment) -> subprocess.Popen | Program:
    """A tool (.py) or a script (.sh) of tools/, its output together."""
    path = TOOLS / command[0]
    if path.suffix == '.py':
        return Program(path, *command[1:], cwd=cwd, **environment)
    arguments = ['bash', str(path), *map(str, command[1:])]
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.Popen(arguments, **streams, cwd=cwd, env={**ENVIRONMENT, **environment})


def finish(process: subprocess.Popen | Program, timeout: float = 300) -> str:
    """The output of a program that must succeed, and soon: nothing may hang."""
    try:
        output, _ = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == 0, output[-4000:]
    return output


def run(*command, cwd: Path, **environment) -> str:
    return finish(start(*command, cwd=cwd, **environment))


def figures(work_dir: Path) -> dict[str, float]:
    """What the only run of a work dir measured at its end: train.py or test.py."""
    [file] = [*work_dir.glob('*/vis_data/scalars.json'), *work_dir.glob('*/*.json')]
    measured = json.loads(file.read_text().splitlines()[-1])
    return {name: value for name, value in measured.items() if not name.endswith(('time', 'step'))}
