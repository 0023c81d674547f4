"""Kernels that look at what they draw: a new update changes nothing, and each image is its own."""

import pytest
import torch
from helpers import tiny

from mmpfcn import KernelUpdate
from mmpfcn.models.kernel_update import with_level_mean, with_mean
from mmpfcn.models.layers import convolve

UPDATE = dict(kernel_update=dict(type='KernelUpdate', channels=16))
RELATIVE = dict(
    kernel_generator=dict(type='RelativeKernelGenerator'),
    feature_encoder=dict(type='RelativeFeatureEncoder'),
)
HEADS = [
    UPDATE,
    dict(kernel_update=dict(type='KernelUpdate', channels=16, class_embedding=True), **RELATIVE),
]
EVERYTHING = dict(center_thr=0.0, region_thr=0.0, score_thr=0.0, similarity_thr=0.999)


def build(head: dict, trained: bool = True) -> torch.nn.Module:
    """A model that finds something, with an update as after some training."""
    model = tiny.build(panoptic_head=head, test_cfg=EVERYTHING)
    update = model.panoptic_head.kernel_update
    for part in update.rounds if update and trained else ():
        torch.nn.init.normal_(part.change.weight, std=0.1)
        torch.nn.init.normal_(part.class_out.bias)
    if update and trained and update.class_embed:
        torch.nn.init.normal_(update.class_embed.weight, std=0.1)
    return model


def predict(model: torch.nn.Module, images: torch.Tensor) -> list:
    """Things and regions of each image."""
    model.eval()
    with torch.no_grad():
        return list(zip(*model.panoptic_head.predict(model.extract_feat(images), []), strict=True))


def assert_equal_kernels(ours, theirs, atol: float = 0, names=('scores', 'kernels', 'mask_logits')) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert len(a) and a.labels.tolist() == b.labels.tolist()
        for name in names:
            assert torch.allclose(a[name], b[name], atol=atol, rtol=atol), name


@pytest.mark.parametrize('head', HEADS)
def test_a_new_model_begins_as_the_old_one(head):
    """The same losses, kernels and masks, to the bit; the classes are the only thing that is new."""
    plain = build({key: part for key, part in head.items() if key != 'kernel_update'})
    model = build(head, trained=False)
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and all('.kernel_update.' in name for name in missing)
    before, after = (tiny.losses(m, tiny.sample()) for m in (plain, model))
    assert set(before) < set(after) and all(torch.equal(before[name], after[name]) for name in before)
    assert {name for name in after if 'update1' in name} == {
        'update1.loss_class', 'update1.loss_stuff', 'update1.loss_thing'
    }  # fmt: skip
    images = torch.randn(1, 3, 64, 96)
    (old,), (new,) = predict(plain, images), predict(model, images)
    assert_equal_kernels(old, new, names=('kernels', 'num_kernels', 'mask_logits'))


@pytest.mark.parametrize('head', HEADS)
def test_an_image_of_a_batch_has_what_it_has_alone(head):
    """Also beside one of many more kernels; and the masks are those of the updated kernels."""
    model = build(head)
    images = torch.randn(3, 3, 64, 96)
    images[0] = 0
    together = predict(model, images)
    for i, image in enumerate(together):
        assert_equal_kernels(image, predict(model, images[i : i + 1])[0], atol=1e-4)
    with torch.no_grad():
        mask_feats = model.panoptic_head(model.extract_feat(images))[1]
    for image, feats in zip(together, mask_feats, strict=True):
        for part in image:
            assert torch.allclose(part.mask_logits, convolve(part.kernels, feats), atol=1e-3)


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('content', [dict(), dict(boxes=[]), dict(boxes=[], stuff=False)])
def test_every_parameter_is_trained(head, content):
    model = build(head)
    sum(tiny.losses(model, tiny.sample(**content)).values()).backward()
    for name, parameter in model.panoptic_head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('head', HEADS)
def test_the_network_learns_nothing_of_it(head):
    model = build(head)
    losses = tiny.losses(model, tiny.sample())
    sum(loss for name, loss in losses.items() if name.startswith('update')).backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {name for name, _ in model.named_parameters() if '.kernel_update.' in name}


@pytest.mark.parametrize('num_place_channels', [0, 4])
def test_the_gradient_in_float64(num_place_channels):
    torch.manual_seed(0)
    update = KernelUpdate(6, 3, num_place_channels, num_rounds=2, channels=4).double()
    for part in update.rounds:
        torch.nn.init.normal_(part.change.weight, std=0.1)
    kernels, feats = torch.randn(4, 6).double(), torch.randn(6, 4, 6).double()
    if num_place_channels:
        a, place = torch.rand(4, 1) + 0.2, torch.rand(4, 2) * 4
        constant = 1 - a * place.square().sum(1, keepdim=True)
        kernels[:, -4:] = torch.cat([-a, 2 * a * place, constant], 1)
        ys, xs = torch.meshgrid(torch.arange(4.0), torch.arange(6.0), indexing='ij')
        feats[-4:] = torch.stack([xs**2 + ys**2, xs, ys, torch.ones(4, 6)])

    labels = torch.tensor([0, 3, 2, 0])

    def run(kernels, feats):
        return [x for result in update(kernels, labels, feats) for x in result]

    inputs = kernels.requires_grad_(), feats.requires_grad_()
    assert torch.autograd.gradcheck(run, inputs, atol=1e-6)


def test_a_round_by_hand():
    """Pooling at stride 8 over the pixels that the kernel draws; a kernel without any is no case."""
    update = KernelUpdate(2, 3, num_rounds=1, channels=4)
    (part,) = update.rounds
    seen = []
    part.features.register_forward_hook(lambda module, inputs, output: seen.extend(inputs))
    feats = torch.tensor([[[1.0, 3], [5, 7]], [[-1, -1], [-1, -1]]]).repeat_interleave(2, 1)
    feats = feats.repeat_interleave(2, 2) + 0.25 * torch.tensor([[1.0, -1], [-1, 1]]).repeat(2, 2)
    kernels = torch.tensor([[1.0, 4], [0, 0], [-1, 0], [1, 0]])
    update(kernels, torch.zeros(4, dtype=torch.int64), feats)
    assert seen[0].tolist() == [[6, -1], [0, 0], [0, 0], [4, -1]]  # 1 x - 4 > 0 at 5 and 7


def test_a_kernel_changes_by_as_much_as_it_is():
    """By its own root mean square, here 2 and 0.5, for the same features."""
    update = KernelUpdate(2, 3, num_rounds=1, channels=4)
    torch.nn.init.constant_(update.rounds[0].change.bias, 0.1)
    kernels = torch.tensor([[2.0, -2], [0.5, -0.5], [0, 0]])
    changed = update(kernels, torch.zeros(3, dtype=torch.int64), torch.randn(2, 8, 8))[-1].kernels
    expected = [[0.2, 0.2], [0.05, 0.05], [0, 0]]
    assert torch.allclose(changed - kernels, torch.tensor(expected), atol=1e-6)


def test_scores_are_geometric_means_with_the_probability_of_the_class():
    update = KernelUpdate(2, 3, num_rounds=1, channels=4)
    torch.nn.init.zeros_(update.rounds[0].class_out.weight)
    update.rounds[0].class_out.bias.data = torch.tensor([0.2, 0.5, 0.8]).logit()
    labels, scores = torch.tensor([0, 1, 2, 3]), torch.tensor([0.2, 0.5, 0.2, 0.25])
    _, updated = update.predict(torch.randn(4, 2), labels, scores, torch.randn(2, 8, 8))
    assert updated.tolist() == pytest.approx([0.2, 0.5, 0.4, 0.5])  # the last one is "any thing"


def test_kernels_of_a_class_get_what_is_learned_for_it():
    """Also those of "any thing", but never in the channels of places."""
    update = KernelUpdate(6, 2, num_place_channels=4, channels=4, class_embedding=True)
    update.class_embed.weight.data = torch.tensor([[1.0, 2], [3, 4], [5, 6]])
    kernels, labels = torch.randn(4, 6), torch.tensor([1, 0, 2, 1])
    updated = update(kernels, labels, torch.randn(6, 4, 4))[-1].kernels
    expected = [[3, 4, 0, 0, 0, 0], [1, 2, 0, 0, 0, 0], [5, 6, 0, 0, 0, 0], [3, 4, 0, 0, 0, 0]]
    assert torch.allclose(updated - kernels, torch.tensor(expected).float(), atol=1e-5)


def test_the_means_of_candidates_and_of_levels():
    kernels = torch.tensor([[[1.0], [3.0]], [[5.0], [6.0]]])
    candidates, weights = with_mean(kernels, torch.tensor([[0.25, 0.75], [0, 0]]))
    assert candidates.tolist() == [[[1], [3], [2.5]], [[5], [6], [0]]]
    assert weights.tolist() == [[0.125, 0.375, 0.5], [0, 0, 0]]
    kernels, weights = with_level_mean(torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([0, 1, 0]))
    assert kernels.tolist() == [[[1], [3]], [[2], [2]], [[5], [3]]] and weights.sum() == 3


def test_no_rounds():
    with pytest.raises(ValueError, match='num_rounds=0, expected at least 1'):
        KernelUpdate(2, 3, num_rounds=0)


def test_in_float32_under_mixed_precision():
    head = build(UPDATE).panoptic_head.eval()
    torch.manual_seed(0)
    with torch.no_grad():
        levels, feats = head([torch.randn(1, 16, 64 >> i, 96 >> i) for i in range(6)])
        expected, _ = head.predict_by_feat(levels, feats)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            found, _ = head.predict_by_feat(levels, feats)
    assert_equal_kernels(found, expected)
