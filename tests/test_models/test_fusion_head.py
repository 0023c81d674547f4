"""Hand-drawn panoptic maps with the expected ids."""

import pytest
import tiny
import torch
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmpfcn import PanopticFCNFusionHead
from mmpfcn.models import fusion_head as module
from mmpfcn.models.fusion_head import resize_masks

THINGS, STUFF = 2, 2
VOID = ANY = THINGS + STUFF


def head(**changes) -> PanopticFCNFusionHead:
    return PanopticFCNFusionHead(
        THINGS, STUFF, {**tiny.config().test_cfg, 'stuff_area_limit': 2, **changes}
    )


def merge(things: list[tuple], stuff: list[str], **changes):
    """Things as (label, score, rows of '#' and '.'); stuff as rows of 'a', 'b' and '.'."""
    masks = torch.tensor(
        [[[cell == '#' for cell in row] for row in rows] for _, _, rows in things], dtype=torch.bool
    )
    instances = InstanceData(
        labels=torch.tensor([label for label, _, _ in things], dtype=torch.long),
        scores=torch.tensor([score for _, score, _ in things]),
    )
    codes = {'a': THINGS, 'b': THINGS + 1, '.': ANY, 't': 0}
    sem_seg = torch.tensor([[codes[cell] for cell in row] for row in stuff], dtype=torch.int16)
    regions = InstanceData(labels=torch.tensor([2, 3, 4]), scores=torch.tensor([0.5, 0.6, 0.7]))
    fusion, instance = head(**changes), torch.zeros_like(sem_seg)
    fusion._take_free_pixels(instance, masks, instances.scores, 0)
    return fusion._merge(instance, instances, sem_seg, regions)


def ids(result, names: dict[int, str]) -> list[str]:
    return [''.join(names[i] for i in row) for row in result.sem_seg[0].tolist()]


NAMES = {VOID: '.', 2: 'a', 3: 'b', INSTANCE_OFFSET + 0: '1', INSTANCE_OFFSET + 1: '1',
         2 * INSTANCE_OFFSET + 0: '2', 2 * INSTANCE_OFFSET + 1: '2'}  # fmt: skip


def test_things_cover_stuff_and_each_other_in_score_order():
    result = merge(
        [(0, 0.9, ['##..', '##..', '....']), (1, 0.5, ['.##.', '.##.', '.##.'])],
        ['aaab', 'aaab', 'aaab'],
        stuff_area_limit=2,  # 'a' has one pixel left
    )
    assert ids(result, NAMES) == ['112b', '112b', '.22b']
    assert result.segments_info == [
        dict(id=INSTANCE_OFFSET, label=0, isthing=True, score=pytest.approx(0.9), area=4),
        dict(id=2 * INSTANCE_OFFSET + 1, label=1, isthing=True, score=0.5, area=4),
        dict(id=3, label=3, isthing=False, score=pytest.approx(0.6), area=3),
    ]


def test_more_than_half_taken_is_left_out_and_half_is_not():
    first = (0, 0.9, ['###.', '###.'])
    half = (0, 0.8, ['..##', '..##'])
    more = (0, 0.8, ['.###', '.##.'])
    assert ids(merge([first, half], ['....', '....']), NAMES) == ['1112', '1112']
    assert ids(merge([first, more], ['....', '....']), NAMES) == ['111.', '111.']


def test_a_left_out_thing_takes_no_number():
    result = merge(
        [(0, 0.9, ['##..']), (1, 0.8, ['##..']), (1, 0.1, ['..##']), (1, 0.7, ['..##'])],
        ['aaaa'],
    )
    assert ids(result, NAMES) == ['1122']


def test_things_below_the_score_and_empty_masks():
    result = merge([(0, 0.19, ['##..']), (1, 0.9, ['....']), (0, 0.2, ['..##'])], ['aaaa'],
                   panoptic_score_thr=0.2)  # fmt: skip
    assert ids(result, NAMES) == ['aa11']


def test_stuff_area_counts_only_free_pixels():
    thing = [(0, 0.9, ['###.', '....'])]
    assert ids(merge(thing, ['aaaa', 'bbbb'], stuff_area_limit=2), NAMES) == ['111.', 'bbbb']
    assert ids(merge(thing, ['aaaa', 'bbbb'], stuff_area_limit=1), NAMES) == ['111a', 'bbbb']


def test_any_thing_is_never_a_segment():
    result = merge([], ['..aa', '....'])
    assert ids(result, NAMES) == ['..aa', '....']
    assert [segment['label'] for segment in result.segments_info] == [2]


def test_nothing_at_all():
    result = merge([], ['....'])
    assert result.segments_info == [] and result.sem_seg.dtype == torch.int32


def test_a_region_of_a_thing_class_is_never_a_segment():
    result = merge([(0, 0.9, ['##..', '....'])], ['tttt', 'ttaa'])
    assert ids(result, NAMES) == ['11..', '..aa']
    assert [segment['id'] for segment in result.segments_info] == [INSTANCE_OFFSET, 2]


def predict(things=(), regions=(), img_shape=(16, 16), ori_shape=(16, 16), rescale=True, **changes):
    """Things and regions as (labels, logits)."""
    sample = DetDataSample(metainfo=dict(img_shape=img_shape, ori_shape=ori_shape))
    images = [
        InstanceData(
            labels=torch.tensor(labels, dtype=torch.long),
            scores=torch.ones(len(labels)),
            mask_logits=logits,
        )
        for labels, logits in (part or ((), torch.zeros(0, 4, 4)) for part in (things, regions))
    ]
    return head(**changes).predict(*([image] for image in images), [sample], rescale)[0]


def test_rescoring_is_the_mean_probability_inside():
    logits = torch.full((1, 4, 4), -9.0)
    logits[0, 1, 1:3] = torch.tensor([0.0, 2.0])  # probabilities 0.5 and 0.88
    instances = predict(([0], logits))['ins_results']
    assert instances.scores.item() == pytest.approx((0.5 + 0.8808) / 2, abs=1e-4)


def test_instances_are_sorted_limited_and_thresholded():
    logits = torch.tensor([0.5, 3.0, 1.0, -9.0])[:, None, None].expand(4, 4, 4)
    result = predict(([0, 1, 0, 1], logits), max_per_img=2)['ins_results']
    assert result.labels.tolist() == [1, 0]
    assert result.scores.tolist() == pytest.approx([0.9526, 0.7311], abs=1e-4)
    assert len(predict(([0, 1, 0, 1], logits), score_thr=0.9)['ins_results']) == 1


def test_semantic_map_takes_the_best_region():
    logits = torch.full((3, 4, 4), -9.0)
    logits[0, :, :2], logits[1, :, 2:], logits[2, 2:] = 1.0, 1.0, 5.0
    for last in (ANY, 1):  # 1: a region of a thing class
        sem_seg = predict(regions=([2, 3, last], logits))['sem_results'].sem_seg[0]
        assert sem_seg[:4, :4].eq(2).all() and sem_seg[:4, 12:].eq(3).all()
        assert sem_seg[12:].eq(last).all()


@pytest.mark.parametrize('rescale, shape', [(True, (37, 21)), (False, (14, 9))])
def test_padding_is_cut_before_resizing(rescale, shape):
    logits = torch.full((2, 4, 4), -9.0)
    logits[0, :, :2], logits[1, :, 2:] = 9.0, 9.0  # the right half of the canvas
    result = predict((), ([2, 3], logits), (14, 9), (37, 21), rescale)
    sem_seg = result['sem_results'].sem_seg[0]
    assert sem_seg.shape == shape
    assert sem_seg.eq(3).float().mean() == pytest.approx(1 / 9, abs=0.03)  # column 8 of 9


def test_chunks_do_not_change_the_result(monkeypatch):
    probs = torch.rand(7, 6, 5)
    whole = torch.cat([part for _, part in resize_masks(probs, (22, 19), (40, 30))])
    monkeypatch.setattr(module, 'CHUNK_PIXELS', 40 * 30 * 3)
    chunks = list(resize_masks(probs, (22, 19), (40, 30)))
    assert [rows for rows, _ in chunks] == [slice(0, 3), slice(3, 6), slice(6, 9)]
    assert torch.equal(torch.cat([part for _, part in chunks]), whole)
    kernels = ([0, 1, 0], torch.randn(3, 4, 4)), ([2, 3, 4], torch.randn(3, 4, 4))
    monkeypatch.setattr(module, 'CHUNK_PIXELS', 2 * 16 * 16)
    in_chunks = predict(*kernels, score_thr=0.0)
    monkeypatch.undo()
    at_once = predict(*kernels, score_thr=0.0)
    assert torch.equal(in_chunks['pan_results'].sem_seg, at_once['pan_results'].sem_seg)
    assert torch.equal(in_chunks['sem_results'].sem_seg, at_once['sem_results'].sem_seg)


def test_instances_are_not_kept_when_they_are_not_asked_for():
    logits = torch.randn(3, 4, 4)
    with_masks = predict(([0, 1, 0], logits))
    without = predict(([0, 1, 0], logits), instance_on=False)
    assert 'ins_results' not in without
    assert torch.equal(without['pan_results'].sem_seg, with_masks['pan_results'].sem_seg)
