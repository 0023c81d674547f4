"""From maps to mask logits: the inference half of the head."""

import warnings

import pytest
import torch
from helpers import tiny

from mmpfcn import LevelMaps
from mmpfcn.models.layers import convolve
from mmpfcn.models.sampling import select


def test_select_and_convolve():
    keep = torch.tensor([[True, False, True, True], [False, False, False, False]])
    kernels = torch.arange(16.0).view(2, 4, 2)
    labels, scores = torch.arange(8).view(2, 4), torch.rand(2, 4)
    first, second = select(keep, kernels=kernels, labels=labels, scores=scores)
    assert first.labels.tolist() == [0, 2, 3]
    assert first.kernels.tolist() == [[0, 1], [4, 5], [6, 7]]
    assert first.scores.tolist() == scores[0, [0, 2, 3]].tolist()
    assert len(second) == 0 and second.kernels.shape == (0, 2)
    kernels, feats = torch.randn(2, 5, 3), torch.randn(2, 3, 4, 6)
    logits = convolve(kernels, feats)
    for i in range(2):
        expected = (kernels[i, :, :, None, None] * feats[i]).sum(1)
        torch.testing.assert_close(logits[i], expected)
        torch.testing.assert_close(convolve(kernels[i], feats[i]), expected)


def maps_with_peaks(counts: list[int]) -> tuple[list[LevelMaps], torch.Tensor]:
    """One image for each count, with so many isolated peaks, all on the first level."""
    num_images = len(counts)
    levels = []
    for size in (16, 8, 4, 2, 1):
        centers = torch.full((num_images, tiny.NUM_THINGS, size, size), -9.0)
        regions = torch.randn(num_images, tiny.NUM_STUFF + 1, size, size)
        levels.append(LevelMaps(centers, regions, torch.randn(num_images, 16, size, size)))
    for image, count in enumerate(counts):
        for number in range(count):
            y, x = divmod(number, 5)
            levels[0].centers[image, number % tiny.NUM_THINGS, 3 * y + 1, 3 * x + 1] = 3.0
    return levels, torch.randn(num_images, 8, 32, 32)


def predict(levels: list[LevelMaps], mask_feats: torch.Tensor):
    head = tiny.build(test_cfg=dict(region_thr=0.0)).panoptic_head.eval()
    torch.manual_seed(0)
    for embed in (head.kernel_generator.thing_embed, head.kernel_generator.stuff_embed):
        torch.nn.init.normal_(embed.weight)
    head.forward = lambda feats: (levels, mask_feats)
    with torch.no_grad():
        return head.predict([], [])


def test_batches_and_half_precision():
    counts = [7, 0, 20]
    levels, mask_feats = maps_with_peaks(counts)
    things, regions = predict(levels, mask_feats)
    assert [len(image) for image in things] == counts
    for i, images in enumerate(zip(things, regions, strict=True)):
        for image in images:
            assert image.mask_logits.shape == (len(image), 32, 32)
            torch.testing.assert_close(image.mask_logits, convolve(image.kernels, mask_feats[i]))
    assert all(len(image) for image in regions)
    levels, mask_feats = maps_with_peaks([6])
    levels = [LevelMaps(*(x.bfloat16() for x in level)) for level in levels]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = predict(levels, mask_feats.bfloat16())
    levels = [maps.float() for maps in levels]
    single = predict(levels, mask_feats.bfloat16().float())
    for images, expected in zip(half, single, strict=True):
        assert images[0].labels.tolist() == expected[0].labels.tolist()
        for name in ('scores', 'kernels', 'mask_logits'):
            assert torch.equal(images[0][name], expected[0][name]), name


@pytest.mark.parametrize('max_per_img, warned', [(2, True), (1000, False)])
def test_too_many_candidates_of_a_level_are_said(max_per_img, warned):
    model = tiny.build(test_cfg=dict(center_thr=0.0, panoptic_score_thr=0.0, max_per_img=max_per_img)).eval()
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter('always')
        model(torch.randn(1, 3, 64, 96), [tiny.sample()['data_samples']], mode='predict')
    found = [str(w.message) for w in caught if 'max_per_img=2 allows' in str(w.message)]
    assert bool(found) == warned
