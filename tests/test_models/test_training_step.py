"""The cost of a training step: what it may depend on, and activation checkpointing."""

from collections import Counter

import numpy as np
import pytest
import torch
from helpers import tiny
from torch.utils._python_dispatch import TorchDispatchMode

from mmpfcn.ops import chunks
from mmpfcn.structures import SegmentMasks


def squares(count: int) -> list[tuple[int, int, int, int]]:
    """Boxes of 16 pixels, apart."""
    places = [(x, y) for y in range(2, 110, 18) for x in range(2, 150, 18)]
    return [(x, y, x + 16, y + 16) for x, y in places[:count]]


class CountOperators(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[str(function)] += 1
        return function(*args, **(kwargs or {}))


def test_operators_do_not_depend_on_the_number_of_objects():
    """Neither kernel launches nor synchronisations happen per object, backward included."""
    model = tiny.build()

    def counts(num_objects):
        model.zero_grad()
        sample = tiny.sample((128, 160), squares(num_objects), labels=[0] * num_objects)
        data = model.train().data_preprocessor(tiny.batch(sample), training=True)
        head, samples = model.panoptic_head, data['data_samples']
        levels, mask_feats = head(model.extract_feat(data['inputs']))
        with CountOperators() as operators:
            targets = head.get_targets(levels, mask_feats, samples)
            assert sum(len(level.objects) for level in targets[0].levels) == num_objects
            sum(head.loss_by_feat(levels, mask_feats, targets).values()).backward()
        return operators.counts

    assert counts(3) == counts(40)


def test_chunks_and_segment_masks_change_nothing(monkeypatch):
    model = tiny.build()
    bitmaps, segments = tiny.sample((60, 90)), tiny.sample((60, 90))
    gt = segments['data_samples'].gt_instances
    stack = gt.masks.masks.copy()
    stack[0][stack[1] > 0] = 0  # the masks of a panoptic map do not overlap
    bitmaps['data_samples'].gt_instances.masks.masks[:] = stack
    gt.masks = SegmentMasks((stack * np.array([3, 1])[:, None, None]).sum(0).astype('u2'), [3, 1])
    expected, ours = tiny.losses(model, bitmaps), tiny.losses(model, segments)
    for name, loss in expected.items():
        torch.testing.assert_close(ours[name], loss)
    model = tiny.build()
    sample = tiny.sample((128, 160), squares(20))
    whole = tiny.losses(model, sample)
    gradients = torch.autograd.grad(sum(whole.values()), trained(model))
    monkeypatch.setattr(chunks, 'CHUNK_SIZE', 1)  # one object or image at a time
    parts = tiny.losses(model, sample)
    for name, loss in whole.items():
        torch.testing.assert_close(parts[name], loss)
    found = torch.autograd.grad(sum(parts.values()), trained(model))
    for ours, golden in zip(found, gradients, strict=True):
        torch.testing.assert_close(ours, golden, rtol=1e-4, atol=1e-5)


def trained(model) -> list[torch.Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


@pytest.mark.filterwarnings('ignore:torch.utils.checkpoint')  # mmdet does not choose a variant
@pytest.mark.parametrize('part', ['head', 'backbone'])
def test_checkpointing_changes_no_gradient_and_keeps_less(part):
    changes = {'train_cfg' if part == 'head' else part: dict(with_cp=True)}
    plain, checkpointed = tiny.build(), tiny.build(**changes)
    checkpointed.load_state_dict(plain.state_dict())
    gradients, kept = [], []
    for model in (plain, checkpointed):
        with tiny.saved_for_backward() as sizes:
            total = sum(tiny.losses(model, tiny.sample()).values())
        kept.append(sum(sizes.values()))
        total.backward()  # mmdet's checkpoints know no torch.autograd.grad
        gradients.append([p.grad for p in trained(model)])
    for ours, golden in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(ours, golden)
    assert kept[1] < 0.9 * kept[0]
