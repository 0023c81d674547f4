"""dist_*.sh, torchrun on two nodes and Slurm, on the CPU as a user types them."""

import json
import re
from pathlib import Path

import pytest
import torch
from helpers import tiny
from helpers.shell import free_port
from helpers.tiny_run import ENVIRONMENT, draw_data, figures, finish, run, start, write_config
from mmdet.registry import DATASETS
from mmengine.config import Config

from mmpfcn.engine.training_statistics_hook import Watch

FAKE_SRUN = """#!/usr/bin/env bash
# Starts every task as Slurm does, on this machine.
while [[ $1 == -* ]]; do
    [[ $1 == --ntasks=* ]] && tasks=${1#*=}
    [[ $1 == -p ]] && shift
    shift
done
for ((i = 0; i < tasks; i++)); do
    SLURM_PROCID=$i SLURM_LOCALID=$i SLURM_NTASKS=$tasks SLURM_NODELIST=node "$@" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """5 images for training and 3 for validation, which two processes can not share evenly: in the
    second step one has a last batch of one image, the other starts anew with two."""
    folder = tmp_path_factory.mktemp('distributed')
    draw_data(folder, train=5, val=3)
    sampler = dict(type='DefaultSampler', shuffle=True, round_up=False)
    write_config(folder, train_dataloader__sampler=sampler)
    for name, program in (('srun', FAKE_SRUN), ('scontrol', '#!/bin/sh\necho 127.0.0.1\n')):
        (folder / name).write_text(program)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope='module')
def trained(folder) -> Path:
    """The work dir of two groups of torchrun, one for each node, that meet at one address."""
    node = dict(NNODES='2', MASTER_ADDR='127.0.0.1', PORT=free_port(), cwd=folder)
    command = ('dist_train.sh', 'tiny.py', 1, '--work-dir=nodes')
    for process in [start(*command, NODE_RANK=str(rank), **node) for rank in range(2)]:
        finish(process)
    return folder / 'nodes'


def test_two_nodes_train_and_measure(trained):
    log = max(trained.glob('*/*.log')).read_text()
    assert 'Distributed launcher: pytorch' in log and 'GPU number: 2' in log
    assert 'Iter(train) [2/2]' in log and 'Iter(val) [2/2]' in log
    assert re.search(r'coco_panoptic/PQ: \d', log)


def test_the_training_statistics_are_of_the_first_process(folder, trained):
    """Objects and regions of the first step; two more images are with the other process."""
    [file] = trained.glob('*/vis_data/scalars.json')
    first_step = json.loads(file.read_text().splitlines()[0])
    loader = dict(Config.fromfile(folder / 'tiny.py').train_dataloader)
    dataset = DATASETS.build(dict(loader['dataset'], data_root=str(folder / 'data/shapes')))
    order = torch.randperm(5, generator=torch.Generator().manual_seed(0)).tolist()
    found = []
    for images in (order[0:4:2], order[1:4:2]):
        model = tiny.build()
        watch = Watch(model.panoptic_head)
        tiny.losses(model, *(dataset[i] for i in images))
        found.append(watch.finish())
    names = ('things_p3', 'things_p4', 'stuff_p3', 'positives_per_object')
    mine, others = ([statistics[name] for name in names] for statistics in found)
    assert [first_step[name] for name in names] == pytest.approx(mine)
    assert mine != others


def test_slurm_trains_like_torchrun(folder, trained):
    """The weights are the same to the bit."""
    path = f'{folder}:{ENVIRONMENT["PATH"]}'
    task = ('part', 'job', 'tiny.py', 'slurm')
    run('slurm_train.sh', *task, cwd=folder, GPUS='2', PATH=path, MASTER_PORT=free_port())
    files = folder / 'slurm' / 'iter_2.pth', trained / 'iter_2.pth'
    ours, theirs = (torch.load(path, weights_only=False)['state_dict'] for path in files)
    for name, weight in theirs.items():
        assert torch.equal(ours[name], weight), name


def test_two_processes_measure_like_one(folder):
    """PQ, AP and mIoU of a model that has learned something about the images it trained with; the
    sampler gives one of the three to both processes."""
    split = dict(
        val_dataloader__dataset__ann_file='annotations/panoptic_train.json',
        val_dataloader__dataset__data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        val_dataloader__dataset__indices=3,
        val_evaluator__1__ann_file='data/shapes/annotations/instances_train.json',
    )
    split |= {name.replace('val', 'test', 1): value for name, value in split.items()}
    write_config(
        folder, 'measured.py', train_cfg__max_iters=60, train_dataloader__dataset__indices=3,
        train_dataloader__batch_size=3, optim_wrapper__optimizer__lr=0.006, param_scheduler=[], **split,
    )  # fmt: skip
    run('train.py', 'measured.py', '--work-dir=one', cwd=folder)
    expected = figures(folder / 'one')
    for name in ('coco_panoptic/PQ', 'coco/segm_mAP', 'mIoU'):
        assert expected[name] > 0
    weights = folder / 'one' / 'iter_60.pth'
    run('dist_test.sh', 'measured.py', weights, 2, '--work-dir=two', cwd=folder, PORT=free_port())
    measured = figures(folder / 'two')
    assert measured == pytest.approx({name: expected[name] for name in measured}, abs=1e-9)
