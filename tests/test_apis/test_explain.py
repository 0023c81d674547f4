"""The explanation of an image agrees with its result, and every kernel has one outcome."""

from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import oracle, tiny_inferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config

from mmpfcn import KernelUpdate, PanopticInferencer
from mmpfcn.apis import Outcome, explain
from mmpfcn.commands import detectron2_to_mmpfcn as converter
from mmpfcn.formats import list_inputs
from mmpfcn.structures import LevelMaps, NetworkOutput

DROPPED_BEFORE_FUSION = (Outcome.CENTER_THR, Outcome.REGION_THR)


def random_output(inferencer: PanopticInferencer, seed: int) -> NetworkOutput:
    """What some network might say about an image of 50 x 83 pixels: blobs with noise."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (50, 83, 3), np.uint8)
    output = inferencer.run_network(image)

    def draw(maps: torch.Tensor, scale: float, shift: float = 0.0) -> torch.Tensor:
        coarse = torch.randn(*maps.shape[:2], 3, 4) * scale + shift
        blobs = F.interpolate(coarse, maps.shape[-2:], mode='bilinear')
        return blobs + 0.3 * torch.randn_like(maps)

    torch.manual_seed(seed)
    output.levels = [
        LevelMaps(draw(level.centers, 2, -2), draw(level.regions, 2), draw(level.kernels, 3))
        for level in output.levels
    ]
    output.mask_feats = draw(output.mask_feats, 2)
    return output


def random_thresholds(seed: int) -> dict:
    """Every fourth time every score is enough, and the first time no pixel is."""
    rng = np.random.default_rng(seed)
    all_scores = seed % 4 == 0
    return dict(
        center_thr=rng.uniform(0, 0.3),
        region_thr=rng.uniform(0.4, 0.8),
        similarity_thr=rng.uniform(0.2, 0.95),
        mask_thr_binary=rng.uniform(0.3, 0.8) if seed else 1.0,
        score_thr=0.0 if all_scores else rng.uniform(0, 0.25),
        max_per_img=300 if all_scores else int(rng.integers(4, 60)),
        panoptic_score_thr=0.0 if all_scores else rng.uniform(0.05, 0.4),
        mask_overlap=rng.choice([rng.uniform(0, 1), 1.0]),
        stuff_area_limit=int(rng.integers(0, 600)),
    )


@cache
def random_case(inferencer, seed):
    output, thresholds = random_output(inferencer, seed), random_thresholds(seed)
    return output, thresholds, explain(inferencer, output, **thresholds)


@pytest.mark.parametrize('seed', range(12))
def test_kept_kernels_are_the_segments_of_the_result(inferencer, seed):
    output, thresholds, explanation = random_case(inferencer, seed)
    result = inferencer.finish(output, **thresholds)
    assert np.array_equal(explanation.result.panoptic_seg, result.panoptic_seg)
    segments = {s['id']: s for s in result.segments_info}
    kept = [kernel for kernel in explanation.kernels if kernel.outcome is Outcome.SEGMENT]
    assert sorted(kernel.segment_id for kernel in kept) == sorted(segments)
    for kernel in kept:
        segment = segments[kernel.segment_id]
        assert (kernel.label, kernel.name) == (segment['label'], segment['name'])
        assert kernel.isthing == segment['isthing'] and kernel.visible == segment['area']
        assert len(kernel.members) == segment['num_kernels']
        score = kernel.rescored if kernel.isthing else kernel.score
        assert round(score, 6) == pytest.approx(segment['score'], abs=2e-6)


def test_updated_kernels_are_followed(tmp_path):
    """Scores and masks are those of the update, the rest is that of the fusion before it."""
    inferencer = tiny_inferencer.inferencer(tmp_path)
    torch.manual_seed(0)
    update = inferencer.model.panoptic_head.kernel_update = KernelUpdate(8, 10, channels=16)
    for part in update.rounds:
        torch.nn.init.normal_(part.change.weight, std=0.3)
        torch.nn.init.constant_(part.class_out.bias, 3.0)
    for seed in (1, 4):
        test_kept_kernels_are_the_segments_of_the_result(inferencer, seed)
        test_every_candidate_has_exactly_one_outcome(inferencer, seed)
    explanation = explain(inferencer, random_output(inferencer, 1), similarity_thr=0.9)
    candidates = {c.key: c for c in explanation.candidates}
    for kernel in explanation.kernels:
        if len(kernel.members) == 1 and kernel.label < 10:
            candidate = candidates[kernel.members[0]]
            assert candidate.score / 2 < kernel.score**2 <= candidate.score
            assert not np.allclose(kernel.prob, candidate.prob, atol=2e-3)


@pytest.mark.parametrize('seed', range(12))
def test_every_candidate_has_exactly_one_outcome(inferencer, seed):
    output, thresholds, explanation = random_case(inferencer, seed)
    kernels = {kernel.key: kernel for kernel in explanation.kernels}
    candidates = {candidate.key: candidate for candidate in explanation.candidates}
    assert len(kernels) == len(explanation.kernels)
    assert len(candidates) == len(explanation.candidates)
    members = [key for kernel in kernels.values() for key in kernel.members]
    assert len(set(members)) == len(members)
    for key, candidate in candidates.items():
        if key in members:
            kernel = kernels[candidate.kernel]
            assert key in kernel.members and candidate.outcome is kernel.outcome
            assert (candidate.label, candidate.isthing) == (kernel.label, kernel.isthing)
            assert (candidate.taken_by is None) == (key == kernel.members[0])
        elif candidate.outcome is Outcome.LOST:
            # the one that took it was itself taken, which is why both are in no group of its own
            taker = candidates[candidate.taken_by]
            assert taker.taken_by is not None and taker.label == candidate.label
            assert candidate.similarity >= thresholds['similarity_thr']
        else:
            threshold = 'center_thr' if candidate.isthing else 'region_thr'
            assert candidate.outcome in DROPPED_BEFORE_FUSION
            assert candidate.score <= thresholds[threshold]
    for candidate in candidates.values():
        if candidate.outcome not in DROPPED_BEFORE_FUSION:
            threshold = 'center_thr' if candidate.isthing else 'region_thr'
            assert candidate.score > thresholds[threshold]


@pytest.mark.parametrize('seed', range(12))
def test_outcomes_are_what_the_thresholds_say(inferencer, seed):
    _, thresholds, explanation = random_case(inferencer, seed)
    things = [kernel for kernel in explanation.kernels if kernel.isthing]
    ranks = sorted(things, key=lambda kernel: -kernel.rescored)
    best = ranks[: thresholds['max_per_img']]
    for kernel in things:
        share = kernel.taken / max(kernel.area or 0, 1)
        if kernel not in best:
            expected = Outcome.MAX_PER_IMG
        elif kernel.rescored < thresholds['score_thr']:
            expected = Outcome.SCORE_THR
        elif kernel.rescored < thresholds['panoptic_score_thr']:
            expected = Outcome.PANOPTIC_SCORE
        elif kernel.area == 0:
            expected = Outcome.EMPTY
        elif share > thresholds['mask_overlap']:
            expected = Outcome.OVERLAP
        else:
            expected = Outcome.COVERED if kernel.taken == kernel.area else Outcome.SEGMENT
            assert kernel.visible == kernel.area - kernel.taken
        assert kernel.outcome is expected, kernel
        assert kernel.visible == 0 or kernel.outcome is Outcome.SEGMENT
    for kernel in explanation.kernels[len(things) :]:
        is_stuff = kernel.name != 'any thing'
        large = kernel.area >= max(thresholds['stuff_area_limit'], 1)
        expected = Outcome.SEGMENT if large else Outcome.STUFF_AREA
        assert kernel.outcome is (expected if is_stuff else Outcome.NO_STUFF)


@torch.no_grad()
def test_better_things_took_what_is_taken(inferencer):
    """By full-size masks, one after the other."""
    for seed in range(12):
        output, thresholds, explanation = random_case(inferencer, seed)
        head, fusion = inferencer.heads({**thresholds, 'instance_on': True})
        kernels = [k[0] for k in head.predict_by_feat(output.levels, output.mask_feats)]
        masks = fusion.predict(*([k] for k in kernels), [output.data_sample])[0]['ins_results']
        reached = [k for k in explanation.kernels if k.isthing and k.area is not None]
        reached.sort(key=lambda kernel: -kernel.rescored)
        owner = np.full(masks.masks.shape[1:], '', object)
        for kernel, mask in zip(reached, masks.masks.numpy(), strict=True):
            assert kernel.area == mask.sum()
            keys, counts = np.unique(owner[mask].astype(str), return_counts=True)
            taken = dict(zip(keys.tolist(), counts.tolist(), strict=True))
            taken.pop('', None)
            assert dict(kernel.taken_by) == taken
            if kernel.outcome is Outcome.SEGMENT:
                owner[mask & (owner == '')] = kernel.key


def test_nothing_at_all_and_every_outcome(inferencer):
    outcomes = set()
    for seed in range(12):
        outcomes |= {c.outcome for c in random_case(inferencer, seed)[2].candidates}
    assert outcomes == set(Outcome)
    output = random_output(inferencer, 0)
    explanation = explain(inferencer, output, center_thr=1.0, region_thr=1.0)
    assert explanation.kernels == [] and explanation.result.segments_info == []
    assert {c.outcome for c in explanation.candidates} == set(DROPPED_BEFORE_FUSION)
    with pytest.raises(ValueError, match="did you mean 'center_thr'"):
        explain(inferencer, output, centre_thr=0.3)


def test_regions_of_thing_classes(tmp_path):
    """As on Cityscapes: they are the best somewhere, but never a segment."""
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    config.model.panoptic_head.separate_thing_regions = True
    with pytest.warns(UserWarning):
        inferencer = PanopticInferencer(config, None, 'cpu', show_progress=False)
    explanation = explain(inferencer, random_output(inferencer, 2), center_thr=1.0)
    num_things = inferencer.model.num_things_classes
    regions = {kernel.label: kernel for kernel in explanation.kernels}
    assert len(regions) == len(inferencer.dataset_meta['classes'])
    segments = {s['label'] for s in explanation.result.segments_info}
    assert segments
    for label, kernel in regions.items():
        if label < num_things:
            assert kernel.outcome is Outcome.NO_STUFF
        else:
            assert kernel.outcome is (Outcome.SEGMENT if label in segments else Outcome.STUFF_AREA)
    assert any(regions[label].area for label in range(num_things))
    assert sum(kernel.area for kernel in regions.values()) == 50 * 83


@torch.no_grad()
def test_places_of_the_candidates(inferencer):
    """Smoothed centres at the cells of peaks, mean probabilities of regions, sizes of masks."""
    output = random_output(inferencer, 1)
    explanation = explain(inferencer, output)
    head = inferencer.model.panoptic_head
    for candidate in explanation.candidates:
        level = output.levels[candidate.level]
        if candidate.isthing:
            p = level.centers[0, candidate.label].sigmoid()[None]
            size = head.test_cfg.pool_sizes[candidate.level]
            smooth = (p + F.avg_pool2d(p, size, 1, size // 2)) / 2
            assert candidate.score == pytest.approx(smooth[0][candidate.cell].item(), abs=1e-6)
        else:
            p, channel = level.regions[0].sigmoid(), head.region_labels.index(candidate.label)
            cells = p.argmax(0) == channel
            assert candidate.num_cells == cells.sum() > 0
            assert candidate.score == pytest.approx(p[channel][cells].mean().item(), abs=1e-5)
    h, w = output.data_sample.img_shape
    masks = [x.prob for x in [*explanation.kernels, *explanation.candidates] if x.prob is not None]
    assert {mask.shape for mask in masks} == {(-(-h // 4), -(-w // 4))}


def test_a_kernel_alone_keeps_its_mask(inferencer):
    explanation = explain(inferencer, random_output(inferencer, 1), similarity_thr=0.9)
    candidates = {c.key: c for c in explanation.candidates}
    alone = [k for k in explanation.kernels if len(k.members) == 1]
    assert len(alone) > 3
    for kernel in alone:
        prob = candidates[kernel.members[0]].prob
        np.testing.assert_allclose(kernel.prob, prob, atol=2e-3)


@pytest.fixture(scope='module')
def published():
    """The stored maps of the oracle's first image and the oracle's weights, explained."""
    arrays, info = oracle.case('infer_r50_img1')
    config = Config.fromfile(oracle.ROOT / 'configs' / 'panoptic_fcn' / 'r50_coco.py')
    with pytest.warns(UserWarning):
        inferencer = PanopticInferencer(config, None, 'cpu', show_progress=False)
    model = inferencer.model
    weights = converter.convert(oracle.published_weights(False), model.state_dict())
    model.load_state_dict(weights)
    (item,) = list_inputs(np.zeros((*info['output_hw'], 3), np.uint8))

    def stored(key):
        return torch.from_numpy(arrays[key]).reshape(info['stats'][key]['shape'])

    kinds = 'centers', 'regions', 'weights'
    levels = [LevelMaps(*(stored(f'pred_{kind}.{i}') for kind in kinds)) for i in range(5)]
    levels = [maps._replace(regions=oracle.any_thing_last(maps.regions)) for maps in levels]
    shapes = dict(img_shape=tuple(info['input_hw']), ori_shape=tuple(info['output_hw']))
    sample = DetDataSample(metainfo=shapes)
    output = NetworkOutput(item, item.source, levels, stored('encode_feat'), sample)
    return explain(inferencer, output)


def count(explanation, outcome, isthing=True):
    return sum(k.outcome is outcome and k.isthing == isthing for k in explanation.kernels)


def test_numbers_of_the_published_image(published):
    peaks = [c for c in published.candidates if c.isthing and c.outcome is not Outcome.CENTER_THR]
    assert [sum(p.level == i for p in peaks) for i in range(5)] == [50, 30, 8, 3, 1]
    assert len(peaks) == 92 and sum(k.isthing for k in published.kernels) == 89
    assert sum(not k.isthing for k in published.kernels) == 23
    reached = [k for k in published.kernels if k.isthing and k.area is not None]
    assert len(reached) == 38
    assert count(published, Outcome.SEGMENT) == 3 and count(published, Outcome.SEGMENT, False) == 2
    (dropped,) = (k for k in published.kernels if k.outcome is Outcome.OVERLAP)
    assert dropped.taken / dropped.area == pytest.approx(0.84, abs=0.005)
    better = {k.key for k in reached if k.outcome is Outcome.SEGMENT}
    assert {key for key, _ in dropped.taken_by} <= better
    assert count(published, Outcome.PANOPTIC_SCORE) == 38 - 4
