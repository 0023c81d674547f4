"""What the kernels of one image are taught on the features of the other."""

import math
from types import SimpleNamespace

import pytest
import torch
from helpers import tiny
from mmdet.models.losses import CrossEntropyLoss, FocalLoss

from mmpfcn.models.intra_batch import build_intra_batch_loss, intra_batch_loss
from mmpfcn.models.sampling import TrainingKernels
from mmpfcn.ops import chunks

LOSS = dict(type='FocalLoss', alpha=0.25, gamma=2.0, loss_weight=4.0)
PAIR = tiny.sample(seed=0), tiny.sample(boxes=[(10, 4, 60, 50)], seed=1)


def images(counts, size=(4, 5), sizes=None):
    """Kernels, targets with nothing but sizes, and mask_feats, in double."""
    kernels = [
        TrainingKernels(torch.randn(n, 3, 6).double(), torch.rand(n, 3).double(), torch.zeros(0, 6).double())
        for n in counts
    ]
    sizes = sizes or [size] * len(counts)
    targets = [SimpleNamespace(size=s) for s in sizes]
    return kernels, targets, torch.randn(len(counts), 6, *size).double()


def plainly(kernels, targets, mask_feats, avg_factor):
    """Pixel by pixel, candidate by candidate: 0.75 p^2 (-ln(1 - p))."""
    total = 0.0
    for i, image in enumerate(kernels):
        other = i + 1 if i % 2 == 0 else i - 1
        h, w = targets[other].size
        for candidates, scores in zip(image.things, image.scores, strict=True):
            for kernel, score in zip(candidates, scores, strict=True):
                for y in range(h):
                    for x in range(w):
                        p = 1 / (1 + math.exp(-float(kernel @ mask_feats[other, :, y, x])))
                        term = 0.75 * p**2 * -math.log1p(-p)
                        total += float(score / scores.sum()) * term / (h * w)
    return total / avg_factor


@pytest.mark.parametrize('chunk', [2**20, 1])
def test_equals_the_sum_by_hand(monkeypatch, chunk):
    """Of four images, the first and second pair, one without objects, one partly padding."""
    monkeypatch.setattr(chunks, 'CHUNK_SIZE', chunk)
    kernels, targets, feats = images([2, 1, 0, 3], sizes=[(4, 5), (3, 2), (1, 5), (4, 5)])
    loss = intra_batch_loss(FocalLoss(), kernels, targets, feats, 7)
    assert loss.item() == pytest.approx(plainly(kernels, targets, feats, 7), rel=1e-6)
    # padding of an image is seen by nobody
    feats[1, :, 3:] = feats[1, :, :, 2:] = 1e3
    assert intra_batch_loss(FocalLoss(), kernels, targets, feats, 7).item() == loss.item()


def test_nothing_and_all_wrong():
    kernels, targets, feats = images([0, 0])
    assert intra_batch_loss(FocalLoss(), kernels, targets, feats.requires_grad_(), 1) == 0
    # any loss of elements: ln 2 of every pixel at p = 0.5, whatever the candidates' scores
    kernels, targets, feats = images([2, 3])
    loss = intra_batch_loss(CrossEntropyLoss(use_sigmoid=True), kernels, targets, 0 * feats, 5)
    assert loss.item() == pytest.approx(math.log(2))


def test_gradients_by_finite_differences():
    kernels, targets, feats = images([2, 1], sizes=[(4, 5), (2, 3)])
    inputs = [x.requires_grad_() for k in kernels for x in (k.things, k.scores)]

    def loss(feats, *flat):
        pairs = zip(flat[::2], flat[1::2], kernels, strict=True)
        given = [TrainingKernels(things, scores, k.stuff) for things, scores, k in pairs]
        return intra_batch_loss(FocalLoss(), given, targets, feats, 3)

    assert torch.autograd.gradcheck(loss, (feats.requires_grad_(), *inputs))


def test_a_slot_of_the_head_that_is_off():
    plain = tiny.build()
    taught = tiny.build(panoptic_head=dict(loss_intra_batch=LOSS))
    assert plain.state_dict().keys() == taught.state_dict().keys()
    taught.load_state_dict(plain.state_dict())
    before, after = tiny.losses(plain, *PAIR), tiny.losses(taught, *PAIR)
    added = after.pop('loss_intra_batch')
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)
    # p is about 0.5 in the beginning: weight 4 * 0.75 * 0.25 * ln 2 of every object and level
    assert added.item() == pytest.approx(3 * 0.25 * math.log(2), rel=0.05)
    added.backward()
    generator = taught.panoptic_head.kernel_generator
    assert generator.thing_embed.weight.grad.ne(0).any()
    assert taught.panoptic_head.feature_encoder.convs[0].conv.weight.grad.ne(0).any()


def test_objects_of_one_image_vanish_from_the_other():
    """The loss goes down by a third in ten steps, and the sizes of the images may differ."""
    model = tiny.build(panoptic_head=dict(loss_intra_batch=LOSS))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    found = []
    for _ in range(10):
        loss = tiny.losses(model, PAIR[0], tiny.sample((40, 70), seed=2))['loss_intra_batch']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.67 * found[0]


def test_an_odd_batch_is_named():
    model = tiny.build(panoptic_head=dict(loss_intra_batch=LOSS))
    with pytest.raises(ValueError, match='in pairs, but the batch has 3: set train_dataloader'):
        tiny.losses(model, *PAIR, PAIR[0])


@pytest.mark.parametrize('name', ['DiceLoss', 'WeightedDiceLoss'])
def test_a_loss_of_masks_is_refused(name):
    with pytest.raises(ValueError, match=f'loss_intra_batch is a {name}, expected .* use FocalLoss'):
        build_intra_batch_loss(dict(type=name))
