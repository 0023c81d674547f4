"""The output folder: whose results it holds, and which of the processes this one is."""

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import torch

from mmpfcn.formats.panoptic_png import write_atomic

RECORDS = 'records'
RUN = 'run.json'


class Output(NamedTuple):
    """Where results go, and this process's share of the work."""

    folder: Path
    instances: bool
    pictures: bool
    alpha: float
    rank: int
    world_size: int


def open_output(folder: Path, settings: dict, overwrite: bool) -> Output:
    """Make the folder, or go on in one that the same model and options have begun.

    ``settings`` are everything on which the results depend; ValueError where the folder has some of
    others, unless it is begun anew with ``overwrite``.
    """
    rank, world_size = process_of_run()
    folder.mkdir(parents=True, exist_ok=True)
    begun = folder / RECORDS / RUN
    if overwrite and world_size > 1:
        raise ValueError('--overwrite: empty the folder before you start several processes')
    if overwrite:
        shutil.rmtree(folder / RECORDS, ignore_errors=True)
    try:
        before = dict(json.loads(begun.read_bytes())) if begun.is_file() else settings
    except (TypeError, ValueError) as error:
        raise ValueError(f'{begun} is damaged ({error}): --overwrite begins anew') from error
    changed = [key for key in settings if before.get(key) != settings[key]]
    if changed:
        raise ValueError(
            f'{folder} holds results with another {" and ".join(changed)}: choose another '
            '--out-dir, or --overwrite'
        )
    write_atomic(begun, json.dumps(settings).encode())
    return Output(
        folder, settings['instances'], settings['pictures'], settings['alpha'], rank, world_size
    )


def process_of_run() -> tuple[int, int]:
    """(number of this process, number of processes), from what torchrun or Slurm's srun set.

    The processes never wait for each other, so one that is killed stops no other. (A batch script
    of Slurm has SLURM_NTASKS as well, but is one process.)
    """
    for rank, world_size in (('RANK', 'WORLD_SIZE'), ('SLURM_PROCID', 'SLURM_STEP_NUM_TASKS')):
        if rank in os.environ and world_size in os.environ:
            return int(os.environ[rank]), int(os.environ[world_size])
    return 0, 1


def device_of_process() -> str | None:
    """The GPU that belongs to this process of several on a machine; None leaves the choice."""
    local_rank = os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID'))
    if process_of_run()[1] == 1 or local_rank is None or not torch.cuda.is_available():
        return None
    return f'cuda:{int(local_rank) % torch.cuda.device_count()}'
