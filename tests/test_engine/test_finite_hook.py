"""A NaN or infinity in a loss or gradient never reaches the weights."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import shell, tiny, tiny_run
from helpers.shell import environment, free_port
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper

from mmpfcn.engine import FiniteHook

NAN, INF = float('nan'), float('inf')
EMBED = 'panoptic_head.kernel_generator.thing_embed.weight'


def batch(img_id: int) -> dict:
    data = tiny.batch(tiny.sample(boxes=[(8, 8, 60, 60)]))
    data['data_samples'][0].set_metainfo(dict(img_id=img_id, img_path=f'{img_id}.jpg'))
    return data


def sgd(model: torch.nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def clipped(model: torch.nn.Module, **settings) -> OptimWrapper:
    """By value: it would make 35 of an infinity."""
    return OptimWrapper(sgd(model), clip_grad=dict(type='value', clip_value=35), **settings)


def with_hook(skip: bool, wrapper: OptimWrapper, model: torch.nn.Module) -> None:
    runner = SimpleNamespace(model=model.train(), optim_wrapper=wrapper, iter=11)
    FiniteHook(skip).before_train(runner)


@pytest.fixture
def scaled(monkeypatch):
    """A model, and a wrapper with a loss scale."""
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    model = tiny.build()
    wrapper = AmpOptimWrapper(optimizer=sgd(model), dtype='bfloat16')
    wrapper.loss_scaler = torch.amp.GradScaler('cpu')
    return model, wrapper


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def poison_loss(model: torch.nn.Module, factor: float) -> None:
    loss = model.panoptic_head.loss
    model.panoptic_head.loss = lambda *args, **kwargs: {
        name: value * factor if name == 'loss_thing' else value
        for name, value in loss(*args, **kwargs).items()
    }


def poison_gradient(model: torch.nn.Module, factor: float) -> None:
    model.get_parameter(EMBED).register_hook(lambda gradient: gradient * factor)


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights and statistics."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(model: torch.nn.Module, before: dict[str, torch.Tensor]) -> list[str]:
    now = model.state_dict()
    return [name for name, value in before.items() if not torch.equal(now[name], value)]


@pytest.mark.parametrize('value', [NAN, INF])
@pytest.mark.parametrize('poison', [poison_loss, poison_gradient])
def test_the_run_stops_with_the_iteration_the_losses_and_the_images(poison, value):
    model = tiny.build()
    poison(model, value)
    wrapper = clipped(model)
    with_hook(False, wrapper, model)
    with pytest.raises(FloatingPointError) as error:
        model.train_step(batch(37), wrapper)
    message = str(error.value)
    assert 'in iteration 12: process 0: loss' in message and 'images: 37 (37.jpg)' in message
    assert (f'loss_thing={value:.4g}' if poison is poison_loss else EMBED) in message
    assert all(weight.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize('poison', [poison_loss, poison_gradient])
def test_a_step_that_is_left_out_changes_neither_weight_nor_statistics(poison):
    model = tiny.build()
    poison(model, NAN)
    wrapper = clipped(model)
    with_hook(True, wrapper, model)
    before = state(model)
    model.train_step(batch(37), wrapper)
    assert changed(model, before) == []
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_steps_that_are_finite_and_accumulated():
    torch.manual_seed(0)
    model = tiny.build()
    other = tiny.build()
    other.load_state_dict(model.state_dict())
    wrapper, bare = clipped(model), clipped(other)
    with_hook(True, wrapper, model)
    for net, optim in ((model, wrapper), (other, bare)):
        torch.manual_seed(0)
        net.train().train_step(batch(37), optim)
    assert changed(model, state(other)) == []
    model = tiny.build()
    wrapper = clipped(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    with_hook(True, wrapper, model)
    before = state(model)
    bad = batch(37)
    bad['inputs'] = [image.float().fill_(NAN) for image in bad['inputs']]
    model.train_step(bad, wrapper)
    model.train_step(batch(38), wrapper)
    assert changed(model, before) == []
    with_hook(False, wrapper, model)
    model.train_step(batch(39), wrapper)
    bad['data_samples'][0].set_metainfo(dict(img_id=40))
    with pytest.raises(FloatingPointError, match=r'images: 39 \(39.jpg\), 40 \(37.jpg\)'):
        model.train_step(bad, wrapper)


@pytest.mark.parametrize('enabled', [True, False])
def test_infinite_gradients_belong_to_a_loss_scale(scaled, enabled):
    """With a scaler it leaves the step out by itself; a disabled one (bfloat16) does not."""
    model, wrapper = scaled
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', enabled=enabled)
    poison_gradient(model, INF)
    with_hook(False, wrapper, model)
    weights = weights_of(model)
    if enabled:
        model.train_step(batch(37), wrapper)
        assert wrapper.loss_scaler.get_scale() == 2.0**15  # half of that at the start
    else:
        with pytest.raises(FloatingPointError, match=EMBED):
            model.train_step(batch(37), wrapper)
    assert changed(model, weights) == []


def test_a_loss_is_checked_under_a_loss_scale(scaled):
    model, wrapper = scaled
    poison_loss(model, NAN)
    with_hook(False, wrapper, model)
    with pytest.raises(FloatingPointError, match='loss_thing=nan'):
        model.train_step(batch(37), wrapper)


def test_gradients_that_no_loss_scale_makes_finite_stop_the_run(scaled):
    """The scaler leaves out two steps, at 2 and 1; below 1 it is not the scale's doing."""
    model, wrapper = scaled
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=2.0)
    poison_gradient(model, NAN)
    with_hook(False, wrapper, model)
    weights = weights_of(model)
    for _ in range(2):
        model.train_step(batch(37), wrapper)
    with pytest.raises(FloatingPointError, match=rf'images: 37 \(37.jpg\); .*{EMBED}'):
        model.train_step(batch(37), wrapper)
    assert changed(model, weights) == []


TRANSFORM = """from mmdet.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

@TRANSFORMS.register_module()
class Poison(BaseTransform):
    def transform(self, results):
        if results['img_id'] == {img_id}:
            results['img'] = results['img'] * float('nan')
        return results
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Four images, one of which becomes NaN; every step is saved."""
    folder = tmp_path_factory.mktemp('not_finite')
    tiny_run.draw_data(folder, train=4, val=1)
    images = json.loads((folder / 'data/shapes/annotations/panoptic_train.json').read_text())
    (folder / 'poison.py').write_text(TRANSFORM.format(img_id=images['images'][3]['id']))
    return folder


def pipeline() -> list[dict]:
    steps = tiny_run.Config.fromfile(tiny.CONFIGS / 'r18_shapes.py').train_dataloader.dataset
    return [*steps.pipeline[:-1], dict(type='Poison'), steps.pipeline[-1]]


def all_finite(checkpoint: Path) -> bool:
    content = torch.load(checkpoint, weights_only=False)
    states = content['state_dict'], content.get('ema_state_dict', {})
    return all(value.isfinite().all() for state in states for value in state.values())


def test_a_run_with_an_absurd_learning_rate_stops(folder):
    tiny_run.write_config(
        folder, 'absurd.py', optim_wrapper__optimizer__lr=1e30, param_scheduler=[],
        train_cfg__max_iters=5, default_hooks__checkpoint__interval=1,
    )  # fmt: skip
    process = tiny_run.start('train.py', 'absurd.py', '--work-dir=absurd', cwd=folder)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    last = output.strip().splitlines()[-1]
    assert last.startswith('FloatingPointError: a loss or gradient is not finite in iteration 2: ')
    assert re.search(r'images: \d+ \(.*\.jpg\), \d+ \(.*\.jpg\);', last)
    assert [path.name for path in (folder / 'absurd').glob('*.pth')] == ['iter_1.pth']
    assert all_finite(folder / 'absurd' / 'iter_1.pth')


def test_two_processes_decide_together_about_the_bad_image_of_one(folder):
    """First they leave its step out, then another run stops at it."""
    for skip in (True, False):
        average = dict(type='EMAHook', momentum=0.1, priority='NORMAL')
        tiny_run.write_config(
            folder, f'skip_{skip}.py', train_dataloader__batch_size=1,
            train_dataloader__dataset__pipeline=pipeline(), train_cfg__max_iters=4,
            train_cfg__val_begin=5,  # no validation
            custom_imports=dict(imports=['mmpfcn', 'poison'], allow_failed_imports=False),
            custom_hooks=[dict(type='FiniteHook', skip=skip), average],
            default_hooks__checkpoint=dict(interval=1, max_keep_ckpts=-1),
        )  # fmt: skip
    launcher = '-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={free_port()}'
    runs = 'skip_True.py', free_port(), 'skip_False.py', free_port()
    env = environment(PYTHONPATH=f'{folder}:{tiny.ROOT}', PYTHON=sys.executable)
    script = tiny.ROOT / 'tests' / 'helpers' / 'train_each.py'
    process = shell.start(sys.executable, *launcher, script, *runs, cwd=folder, env=env)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0, output[-3000:]
    assert (folder / 'skip_False').exists()  # the first run ended well
    found = re.findall(r'not finite in iteration (\d): process 0: (.*); process 1: (.*)', output)
    assert len(found) >= 2 and 'FloatingPointError' in output, output[-3000:]
    for _, *reports in found:
        bad = [re.search('loss=(nan|inf)', report) is not None for report in reports]
        assert sorted(bad) == [False, True]
    for skip, count in ((True, 4), (False, int(found[0][0]) - 1)):
        saved = [*(folder / f'skip_{skip}').glob('iter_*.pth')]
        assert len(saved) == count
        assert all(all_finite(path) for path in saved)
