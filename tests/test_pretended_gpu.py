"""Network, losses and post-processing on a pretended GPU: no tensor is left on the CPU, no wait."""

import pytest
import torch
from helpers import tiny
from helpers.pretended_gpu import GPU, PretendedGPU

PLAIN = dict(kernel_generator=dict(position_conv_cfg=None))


def put(mode: PretendedGPU, model: torch.nn.Module) -> torch.nn.Module:
    mode.put([*model.parameters(), *model.buffers()])
    return model


def test_what_it_finds():
    with PretendedGPU() as mode:
        x = mode.put(torch.ones(3))
        assert x.device == GPU and (x + 1)[1:].device == GPU and x.new_zeros(2).is_cuda
        assert torch.zeros(3, device=x.device).device == GPU and torch.zeros(3).device.type == 'cpu'
        assert torch.arange(3).to(x).device == GPU and x.cpu().device.type == 'cpu'
        assert not mode.wrong
        x + torch.zeros(3)
        x * torch.tensor(2.0)  # a number may come from anywhere
        torch.cat([x, torch.zeros(1, device=x.device), torch.ones(1)])
        assert [text.split()[0] for text in mode.wrong] == ['add', 'cat']
        assert mode.waits == ['cpu']
        if (x > 0).all():
            x[x > 0].sum().item()
        assert mode.waits == ['cpu', '__bool__', 'boolean index', 'item']


def build() -> torch.nn.Module:
    thresholds = dict(center_thr=0.0, region_thr=0.0, score_thr=0.0, panoptic_score_thr=0.0)
    return tiny.build(panoptic_head=PLAIN, test_cfg=thresholds)


@pytest.mark.parametrize('training', [False, True])
def test_the_network_waits_for_nothing(training):
    model = build().train(training)
    with PretendedGPU() as mode:
        images = put(mode, model) and mode.put(torch.rand(2, 3, 64, 96))
        levels, mask_feats = model.panoptic_head(model.extract_feat(images))
        assert [x.device for x in (*levels[0], mask_feats)] == [GPU] * 4
    assert mode.wrong == mode.waits == []


def test_losses():
    model = build()
    data = model.train().data_preprocessor(tiny.batch(tiny.sample(), tiny.sample((96, 64), seed=1)), True)
    expected = model(**data, mode='loss')
    with PretendedGPU() as mode:
        put(mode, model)
        mode.put(data['inputs'])
        for sample in data['data_samples']:
            mode.put([sample.gt_instances.bboxes, sample.gt_instances.labels, sample.gt_sem_seg.sem_seg])
        losses = model(**data, mode='loss')
        assert [loss.device for loss in losses.values()] == [GPU] * 4
    assert mode.wrong == []
    assert all(torch.equal(losses[name], expected[name]) for name in expected)


def test_results():
    model = build().eval()
    data = model.data_preprocessor(tiny.batch(tiny.sample(), tiny.sample(seed=1)), False)
    with torch.no_grad(), PretendedGPU() as mode:
        put(mode, model)
        mode.put(data['inputs'])
        (sample, _) = model(**data, mode='predict')
        found = sample.pred_instances
        maps = sample.pred_panoptic_seg.sem_seg, sample.pred_sem_seg.sem_seg
        assert len(found) > 0 and sample.pred_panoptic_seg.metainfo['segments_info']
        assert {x.device for x in (found.masks, found.bboxes, found.scores, *maps)} == {GPU}
    assert mode.wrong == []
