"""What the log says about targets and kernels, counted by hand and in real runs."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from helpers import tiny, tiny_run
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmpfcn.engine import TrainingStatisticsHook
from mmpfcn.engine.training_statistics_hook import Watch, mean_cosines


def statistics(model, *samples) -> dict[str, float]:
    watch = Watch(model.panoptic_head)
    tiny.losses(model, *samples)
    return watch.finish()


def test_targets_and_positives_are_those_of_the_images():
    """Objects of 32 and 40 pixels belong to P3 and P4; stuff is two halves of the image."""
    found = statistics(tiny.build(), tiny.sample())
    assert [found[f'things_p{i}'] for i in range(3, 8)] == [2, 2, 0, 0, 0]
    assert found['stuff_p3'] == 2
    assert found['positives_per_object'] == 14  # k = 7 on each level
    assert found['unguided_objects'] == 0
    assert 0.05 < found['positive_score'] < 0.2  # 0.1 before training
    found = statistics(tiny.build(), tiny.sample(boxes=[], stuff=False))
    assert found['things_p3'] == found['stuff_p3'] == 0
    assert math.isnan(found['unguided_objects']) and math.isnan(found['thing_kernel_norm'])
    one, other = tiny.sample(), tiny.sample(boxes=[(4, 4, 30, 30)])  # 26 pixels: P3 alone
    model = tiny.build()
    found = statistics(model, one, other)
    assert found['things_p3'] == 3
    assert found['positives_per_object'] == pytest.approx((14 + 14 + 7) / 3)
    ranges = [(0, 36), (500, 600), (500, 600), (500, 600), (500, 600)]  # 32 fits, 40 does not
    model = tiny.build(train_cfg=dict(assigner=dict(scale_ranges=ranges)))
    found = statistics(model, tiny.sample())
    assert found['unguided_objects'] == 0.5
    assert found['positives_per_object'] == 3.5


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_equal_kernels_have_cosine_one(dtype):
    """A bias and no weights: every kernel is the same; under mixed precision too."""
    model = tiny.build()
    embed = model.panoptic_head.kernel_generator.thing_embed
    torch.nn.init.zeros_(embed.weight)
    torch.nn.init.constant_(embed.bias, 0.5)  # 8 numbers: length sqrt(2)
    with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
        found = statistics(model, tiny.sample())
    assert found['thing_kernel_norm'] == pytest.approx(math.sqrt(2))
    assert found['thing_cosine_same'] == pytest.approx(1)
    assert found['thing_cosine_other'] == pytest.approx(1)


def test_cosines_of_drawn_kernels():
    kernels = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    same, other = mean_cosines([kernels, kernels], [torch.tensor([0, 0, 1])] * 2)
    assert (same, other) == (1, 0)
    same, other = mean_cosines([kernels], [torch.tensor([0, 1, 1])])
    assert (same, other) == (0, 0.5)


def test_the_losses_are_the_same_and_nothing_stays():
    model = tiny.build(panoptic_head=dict(separate_thing_regions=True))
    before = tiny.losses(model, tiny.sample())
    watch = Watch(model.panoptic_head)
    during = tiny.losses(model, tiny.sample())
    watch.finish()
    assert all(torch.equal(before[name], during[name]) for name in before)
    assert 'get_targets' not in vars(model.panoptic_head)
    assert model.panoptic_head.observer is None
    assert not any(module._forward_hooks for module in model.modules())
    model = tiny.build()
    parts, hub = torch.nn.ModuleDict(dict(student=model)), MessageHub.get_instance('own')
    runner = SimpleNamespace(model=parts, hooks=[LoggerHook(interval=1)], message_hub=hub)
    hook = TrainingStatisticsHook()
    hook.before_train_iter(runner, 0)
    tiny.losses(model, tiny.sample())
    hook.after_train_iter(runner, 0)
    assert runner.message_hub.get_scalar('train/things_p3').current() == 2


def test_a_step_has_the_batches_of_one_head():
    """As in a model with labelled and pseudo-labelled images."""
    model = tiny.build()
    watch = Watch(model.panoptic_head)
    for _ in range(2):
        tiny.losses(model, tiny.sample())
    found = watch.finish()
    assert found['things_p3'] == 4
    assert found['positives_per_object'] == 14
    assert Watch(tiny.build().panoptic_head).finish() == {}


def test_log_json_and_tensorboard(tmp_path):
    """Every second step is logged."""
    init_default_scope('mmdet')
    tiny_run.draw_data(tmp_path, train=4, val=2)
    tiny_run.write_config(tmp_path, train_cfg__max_iters=4, default_hooks__logger__interval=2)
    log = tiny_run.run('train.py', 'tiny.py', '--tensorboard', '--work-dir=with', cwd=tmp_path)
    assert log.count('unguided_objects') == 2
    [file] = (tmp_path / 'with').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    steps = [line for line in lines if 'unguided_objects' in line]
    [events] = (tmp_path / 'with').glob('*/vis_data/events*')
    board = EventAccumulator(str(events)).Reload()
    shown = [event.value for event in board.Scalars('thing_kernel_norm')]
    assert shown == pytest.approx([line['thing_kernel_norm'] for line in steps])
