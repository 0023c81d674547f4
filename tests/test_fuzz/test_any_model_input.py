"""Assigner, sampling, fusion, merge and metric on anything that their types allow."""

import numpy as np
import torch
from helpers import tiny
from helpers.fuzzing import cases, seeds
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmpfcn import KernelFusion, PanopticFCNAssigner, PanopticFCNFusionHead
from mmpfcn.evaluation.panoptic_quality import count_pairs
from mmpfcn.models.sampling import find_peaks, pool_regions, sample_positives

RANGES = ((1, 64), (32, 128), (64, 256))
THINGS, STUFF = 2, 3
VOID = THINGS + STUFF
sides = st.integers(1, 70)
coordinates = st.floats(-(2.0**99), 2.0**99, width=32)
logits = st.floats(-1e4, 1e4, width=32)


@cases
@given(
    st.lists(st.tuples(st.integers(0, THINGS - 1), st.lists(coordinates, min_size=4, max_size=4),
                       st.sampled_from([0, 0.001, 0.1, 0.6, 1])), max_size=5),
    sides, sides, seeds, st.booleans(),
)  # fmt: skip
def test_assigner(objects, height, width, seed, separate):
    generator = torch.Generator().manual_seed(seed)
    masks = [torch.rand(height, width, generator=generator) < share for *_, share in objects]
    masks = torch.stack(masks) if masks else torch.zeros(0, height, width)
    sem_seg = torch.randint(VOID + 1, (height, width), generator=generator)
    padded = [-(-side // 32) * 32 for side in (height, width)]
    sizes = [tuple(side // stride for side in padded) for stride in (8, 16, 32)]
    labels = torch.tensor([label for label, *_ in objects], dtype=torch.long)
    boxes = torch.tensor([box for _, box, _ in objects]).view(-1, 4)
    truth = InstanceData(masks=masks.to(torch.uint8), labels=labels, bboxes=boxes)
    sem_seg = sem_seg.masked_fill(sem_seg == VOID, 255)
    assigner = PanopticFCNAssigner(THINGS, STUFF, RANGES, separate)
    targets = assigner.assign(truth, sem_seg, sizes, tuple(side // 4 for side in padded))
    assert len(targets.masks) == len(targets.labels) <= len(objects)
    for values in (targets.masks, targets.region_masks):
        assert ((values >= 0) & (values <= 1)).all()
    for level, size in zip(targets.levels, sizes, strict=True):
        assert level.centers.shape == (THINGS, *size)
        assert ((level.centers >= 0) & (level.centers <= 1)).all()
        assert ((level.regions >= 0) & (level.regions <= 1)).all()
        # every object of the level has a centre, and no other class has one
        peaks = (level.centers == 1).flatten(1).any(1).nonzero()[:, 0].tolist()
        assert peaks == sorted(set(targets.labels[level.objects].tolist()))


@cases
@given(arrays(np.float32, st.tuples(st.just(2), sides, sides), elements=logits, fill=logits), seeds)
def test_sampling(centers, seed):
    centers = torch.from_numpy(centers)
    masks = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(seed)) - 0.5
    cells, scores = sample_positives(centers, torch.tensor([0, 1, 1]), masks.clamp(min=0), 7)
    num_cells = centers[0].numel()
    assert cells.shape == scores.shape == (3, 7)
    assert ((cells >= 0) & (cells < num_cells)).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    peaks = find_peaks(centers[None], 3, 50)
    assert ((peaks.scores >= 0) & (peaks.scores <= 1)).all()
    assert (peaks.scores.diff() <= 0).all() and (peaks.cells < num_cells).all()
    scores, kernels = pool_regions(centers[None], centers[None])
    assert scores.isfinite().all() and kernels.isfinite().all()


@st.composite
def kernels(draw):
    shape = draw(array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8))
    values = st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-(2.0**60), 2.0**60, width=32))
    # some are equal, or none is there
    x = torch.from_numpy(draw(arrays(np.float32, shape, elements=values)))
    x = x[draw(st.lists(st.integers(0, shape[0] - 1), max_size=12))]
    labels = draw(st.lists(st.integers(0, 3), min_size=len(x), max_size=len(x)))
    scores = torch.linspace(1, 0.1, len(x))
    return InstanceData(kernels=x, labels=torch.tensor(labels, dtype=torch.long), scores=scores)


@cases
@given(kernels(), st.none() | st.floats(-1, 1), seeds)
def test_kernel_fusion(kernels, similarity_thr, seed):
    fusion = KernelFusion()
    groups = fusion.group(fusion.related(kernels, similarity_thr))
    fused = fusion(kernels, similarity_thr)
    assert fused.kernels.isfinite().all() and fused.scores.isfinite().all()
    members = groups.members
    assert (members.sum(0) <= 1).all()  # no kernel counts twice
    assert members[torch.arange(len(members)), groups.first].all()
    assert (fused.num_kernels == members.sum(1)).all() and (fused.num_kernels > 0).all()
    assert all((kernels.labels[row] == fused.labels[i]).all() for i, row in enumerate(members))
    # classes know nothing of each other: only the order inside a class counts
    order = torch.from_numpy(np.random.default_rng(seed).permutation(4))
    order = order[kernels.labels].argsort(stable=True)
    other = fusion(kernels[order], similarity_thr)
    for label in range(4):
        one, two = fused[fused.labels == label], other[other.labels == label]
        torch.testing.assert_close(one.kernels, two.kernels, rtol=1e-5, atol=1e13)
        assert torch.equal(one.num_kernels, two.num_kernels)
    if similarity_thr is None:  # a class has one kernel, and stays so
        again = fusion(fused)
        assert torch.equal(again.kernels, fused.kernels)
        assert torch.equal(again.scores, fused.scores)


@st.composite
def mask_logits(draw, count):
    generator = torch.Generator().manual_seed(draw(seeds))
    height, width = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    scale = draw(st.sampled_from([0, 1, 10, 1e4]))
    return [torch.randn(n, height, width, generator=generator) * scale for n in count]


@cases
@given(st.data(), st.integers(0, 6), sides, sides, seeds)
def test_panoptic_merge(data, num_things, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    thing_logits, region_logits = data.draw(mask_logits((num_things, STUFF + 1)))
    h, w = (4 * side for side in thing_logits.shape[1:])
    things, regions = (
        InstanceData(labels=labels, mask_logits=mask_logits, num_kernels=torch.ones_like(labels))
        for labels, mask_logits in (
            (torch.randint(THINGS, (num_things,), generator=generator), thing_logits),
            (torch.arange(THINGS, VOID + 1), region_logits),
        )
    )
    for kernels in (things, regions):
        kernels.scores = torch.rand(len(kernels), generator=generator)
    shape = (int(torch.randint(1, h + 1, (), generator=generator)), w)
    sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=(height, width)))
    settings = dict(tiny.config().test_cfg, score_thr=0.0, panoptic_score_thr=0.1)
    settings.update(stuff_area_limit=seed % 50, instance_on=True)
    head = PanopticFCNFusionHead(THINGS, STUFF, settings)
    result, again = (head.predict([things], [regions], [sample])[0] for _ in range(2))
    ids, areas = result['pan_results'].sem_seg.unique(return_counts=True)
    segments = result['pan_results'].segments_info
    assert result['pan_results'].sem_seg.shape == (1, height, width)
    assert len({segment['id'] for segment in segments}) == len(segments)
    found = dict(zip(ids.tolist(), areas.tolist(), strict=True))
    found.pop(VOID, None)
    assert found == {segment['id']: segment['area'] for segment in segments}
    for segment in segments:
        assert segment['id'] % INSTANCE_OFFSET == segment['label']
        assert (segment['id'] >= INSTANCE_OFFSET) == segment['isthing'] and segment['area'] > 0
        assert 0 <= segment['score'] <= 1
    instances = result['ins_results']
    assert instances.bboxes.isfinite().all() and instances.scores.isfinite().all()
    assert torch.equal(result['pan_results'].sem_seg, again['pan_results'].sem_seg)
    order = torch.randperm(num_things, generator=generator)
    other = head.predict([things[order]], [regions], [sample])[0]
    if len(things.scores.unique()) == len(set(instances.scores.tolist())) == num_things:
        assert torch.equal(result['pan_results'].sem_seg, other['pan_results'].sem_seg)


@cases
@given(array_shapes(min_dims=2, max_dims=2, max_side=30), seeds, st.integers(1, 2**31 - 1))
def test_pairs_of_the_metric(shape, seed, limit):
    generator = np.random.default_rng(seed)
    gt, pred = generator.integers(0, limit, shape), generator.integers(-limit, limit, shape)
    gt, pred = gt // (limit // 3 + 1), pred // (limit // 2 + 1)  # few values, often
    pairs, pixels = count_pairs(gt, pred)
    expected = np.unique(np.stack([gt.ravel(), pred.ravel()], 1), axis=0, return_counts=True)
    assert np.array_equal(pairs, expected[0]) and np.array_equal(pixels, expected[1])
