"""The network compiles without a graph break and computes the same."""

from types import SimpleNamespace

import pytest
import torch
from helpers import tiny

from mmpfcn import CompileNetworkHook
from mmpfcn.engine.training_statistics_hook import Watch


@pytest.fixture
def compiled():
    """PyTorch's graphs without code generation, which would take minutes."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model = tiny.build(test_cfg=dict(center_thr=0.0, score_thr=0.0))
    CompileNetworkHook(backend='eager').before_run(SimpleNamespace(model=model))
    return model


def test_the_whole_network_predicts_the_same(compiled):
    plain = tiny.build(test_cfg=dict(center_thr=0.0, score_thr=0.0))
    plain.load_state_dict(compiled.state_dict(), strict=True)  # names are as they were
    item = tiny.sample((32, 32), boxes=[(4, 4, 28, 28)])
    theirs, ours = (tiny.predict(model, item)[0] for model in (plain, compiled))
    assert torch.equal(ours.pred_panoptic_seg.sem_seg, theirs.pred_panoptic_seg.sem_seg)
    assert torch.equal(ours.pred_instances.scores, theirs.pred_instances.scores)
    counters = torch._dynamo.utils.counters
    assert counters['stats']['unique_graphs'] == 4  # backbone, neck, both parts of the head
    assert not counters['graph_break']


def test_a_trained_level_has_the_same_gradients(compiled):
    """The deformable convolutions recompute their columns, which must not break the graph."""
    generator = compiled.panoptic_head.kernel_generator.train()
    feat = torch.randn(2, 16, 8, 8)
    gradients = []
    for run in (generator, generator.forward):  # compiled, and not
        generator.zero_grad()
        sum(level.centers.square().sum() for level in run([feat])).backward()
        gradients.append(generator.position_convs[0].conv.weight.grad.clone())
    torch.testing.assert_close(*gradients)
    assert not torch._dynamo.utils.counters['graph_break']


def test_watching_a_step_compiles_nothing_anew():
    """The part whose layers are watched is compiled alone here, which saves time."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    plain, compiled = tiny.build(), tiny.build()
    compiled.load_state_dict(plain.state_dict())
    compiled.panoptic_head.kernel_generator.compile(backend='eager', fullgraph=True)
    found = []
    for model in (plain, compiled, compiled):
        watch = Watch(model.panoptic_head)
        tiny.losses(model, tiny.sample())
        found.append(watch.finish())
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] == 1
    for statistics in found[1:]:
        assert statistics == pytest.approx(found[0], rel=1e-4, nan_ok=True)


def test_unknown_backend():
    with pytest.raises(ValueError, match="backend='inductr', expected one of"):
        CompileNetworkHook('inductr').before_run(SimpleNamespace(model=tiny.build()))
