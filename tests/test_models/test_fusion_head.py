"""Hand-drawn panoptic maps with the expected ids, and random ones against full-size maps."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from helpers import tiny
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.structures import DetDataSample
from mmdet.structures.mask import mask2bbox
from mmengine.structures import InstanceData
from test_ops.test_mask_resizing import whole
from torch.utils._python_dispatch import TorchDispatchMode

from mmpfcn import PanopticFCNFusionHead
from mmpfcn.models import fusion_head
from mmpfcn.ops import label_tiles, mask_resizing

THINGS, STUFF = 2, 2
VOID = ANY = THINGS + STUFF


def head(**changes) -> PanopticFCNFusionHead:
    return PanopticFCNFusionHead(THINGS, STUFF, {**tiny.config().test_cfg, 'stuff_area_limit': 2, **changes})


def kernels(labels, scores, counts, **more) -> InstanceData:
    labels, counts = (torch.tensor([*numbers], dtype=torch.long) for numbers in (labels, counts))
    return InstanceData(labels=labels, scores=torch.tensor(scores), num_kernels=counts, **more)


def merge(things: list[tuple], stuff: list[str], **changes):
    """Things as (label, score, rows of '#' and '.'); stuff as rows of 'a', 'b' and '.'."""
    labels, scores, drawn = zip(*things, strict=True) if things else ((), (), ())
    cells = [[[cell == '#' for cell in row] for row in rows] for rows in drawn]
    masks, numbers = torch.tensor(cells, dtype=torch.bool), torch.arange(len(things) + 3.0)[:, None]
    instances = kernels(labels, scores, [1] * len(things), kernels=numbers[:-3])
    codes = {'a': THINGS, 'b': THINGS + 1, '.': ANY, 't': 0}
    sem_seg = torch.tensor([[codes[cell] for cell in row] for row in stuff], dtype=torch.int16)
    regions = kernels([2, 3, 4], [0.5, 0.6, 0.7], [1, 5, 2], kernels=numbers[-3:])
    fusion, instance = head(**changes), torch.zeros_like(sem_seg)
    fusion._take_free_pixels(instance, masks, instances.scores, 0)
    return fusion._merge(instance, instances, sem_seg, regions)


def segment(id_: int, label: int, isthing: bool, score: float, area: int, num_kernels: int):
    return dict(
        id=id_, label=label, isthing=isthing, score=pytest.approx(score), area=area, num_kernels=num_kernels,
    )  # fmt: skip


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
        segment(INSTANCE_OFFSET, 0, True, 0.9, 4, 1),
        segment(2 * INSTANCE_OFFSET + 1, 1, True, 0.5, 4, 1),
        segment(3, 3, False, 0.6, 3, 5),
    ]
    assert result.segment_kernels[:, 0].tolist() == [0, 1, 3]  # of both things and the second region


def test_what_is_taken():
    """More than half of a thing, or the thing has no number; stuff counts its free pixels."""
    first = (0, 0.9, ['###.', '###.'])
    half = (0, 0.8, ['..##', '..##'])
    more = (0, 0.8, ['.###', '.##.'])
    assert ids(merge([first, half], ['....', '....']), NAMES) == ['1112', '1112']
    assert ids(merge([first, more], ['....', '....']), NAMES) == ['111.', '111.']
    result = merge([(0, 0.9, ['##..']), (1, 0.8, ['##..']), (1, 0.1, ['..##']), (1, 0.7, ['..##'])], ['aaaa'])
    assert ids(result, NAMES) == ['1122']
    result = merge([(0, 0.19, ['##..']), (1, 0.9, ['....']), (0, 0.2, ['..##'])], ['aaaa'],
                   panoptic_score_thr=0.2)  # fmt: skip
    assert ids(result, NAMES) == ['aa11']
    thing = [(0, 0.9, ['###.', '....'])]
    assert ids(merge(thing, ['aaaa', 'bbbb'], stuff_area_limit=2), NAMES) == ['111.', 'bbbb']
    assert ids(merge(thing, ['aaaa', 'bbbb'], stuff_area_limit=1), NAMES) == ['111a', 'bbbb']


def test_regions_and_void_are_no_segments():
    result = merge([], ['..aa', '....'])
    assert ids(result, NAMES) == ['..aa', '....']
    assert [segment['label'] for segment in result.segments_info] == [2]
    result = merge([], ['....'])
    assert result.segments_info == [] and result.sem_seg.dtype == torch.int32
    result = merge([(0, 0.9, ['##..', '....'])], ['tttt', 'ttaa'])
    assert ids(result, NAMES) == ['11..', '..aa']
    assert [segment['id'] for segment in result.segments_info] == [INSTANCE_OFFSET, 2]


def predict(things=(), regions=(), img_shape=(16, 16), ori_shape=(16, 16), rescale=True, **changes):
    """Things and regions as (labels, logits)."""
    sample = DetDataSample(metainfo=dict(img_shape=img_shape, ori_shape=ori_shape))
    parts = (part or ((), torch.zeros(0, 4, 4)) for part in (things, regions))
    images = [
        kernels(labels, [1.0] * len(labels), range(1, len(labels) + 1), mask_logits=logits)
        for labels, logits in parts
    ]
    return head(**changes).predict(*([image] for image in images), [sample], rescale)[0]


def test_rescored_instances_are_sorted_limited_and_thresholded():
    logits = torch.full((1, 4, 4), -9.0)
    logits[0, 1, 1:3] = torch.tensor([0.0, 2.0])  # probabilities 0.5 and 0.88
    instances = predict(([0], logits))['ins_results']
    assert instances.scores.item() == pytest.approx((0.5 + 0.8808) / 2, abs=1e-4)
    logits = torch.tensor([0.5, 3.0, 1.0, -9.0])[:, None, None].expand(4, 4, 4)
    result = predict(([0, 1, 0, 1], logits), max_per_img=2)['ins_results']
    assert result.labels.tolist() == [1, 0]
    assert result.scores.tolist() == pytest.approx([0.9526, 0.7311], abs=1e-4)
    assert len(predict(([0, 1, 0, 1], logits), score_thr=0.9)['ins_results']) == 1


@pytest.mark.parametrize(
    'limit, panoptic_score_thr, warned', [(2, 0.2, True), (3, 0.2, False), (2, 0.7, False)]
)
def test_objects_beyond_the_limit_are_said(limit, panoptic_score_thr, warned):
    """Scores are 0.95, 0.73, 0.62 and 0: the third matters where the panoptic map would have it."""
    logits = torch.tensor([0.5, 3.0, 1.0, -9.0])[:, None, None].expand(4, 4, 4)
    settings = dict(max_per_img=limit, panoptic_score_thr=panoptic_score_thr)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        predict(([0, 1, 0, 1], logits), **settings)
    said = [w for w in caught if 'more objects than test_cfg.max_per_img=2' in str(w.message)]
    assert len(said) == warned


def test_best_regions_and_no_instances():
    logits = torch.full((3, 4, 4), -9.0)
    logits[0, :, :2], logits[1, :, 2:], logits[2, 2:] = 1.0, 1.0, 5.0
    for last in (ANY, 1):  # 1: a region of a thing class
        sem_seg = predict(regions=([2, 3, last], logits))['sem_results'].sem_seg[0]
        assert sem_seg[:4, :4].eq(2).all() and sem_seg[:4, 12:].eq(3).all()
        assert sem_seg[12:].eq(last).all()
    logits = torch.randn(3, 4, 4)
    with_masks = predict(([0, 1, 0], logits))
    without = predict(([0, 1, 0], logits), instance_on=False)
    assert 'ins_results' not in without
    assert torch.equal(without['pan_results'].sem_seg, with_masks['pan_results'].sem_seg)


@pytest.mark.parametrize('rescale, shape', [(True, (37, 21)), (False, (14, 9))])
def test_padding_is_cut_before_resizing(rescale, shape):
    logits = torch.full((2, 4, 4), -9.0)
    logits[0, :, :2], logits[1, :, 2:] = 9.0, 9.0  # the right half of the canvas
    result = predict((), ([2, 3], logits), (14, 9), (37, 21), rescale)
    sem_seg = result['sem_results'].sem_seg[0]
    assert sem_seg.shape == shape
    assert sem_seg.eq(3).float().mean() == pytest.approx(1 / 9, abs=0.03)  # column 8 of 9


def test_chunks_do_not_change_the_result(monkeypatch):
    logits = F.interpolate(torch.randn(1, 7, 5, 4) * 4, (20, 16), mode='bicubic')[0]
    kernels = ([0, 1, 0, 1], logits[:4]), ([2, 3, 4], logits[4:])
    sizes = dict(img_shape=(75, 61), ori_shape=(90, 123), score_thr=0.0)
    at_once = predict(*kernels, **sizes)
    for module in (fusion_head, label_tiles):
        monkeypatch.setattr(module, 'CHUNK_PIXELS', 2 * 123)
    monkeypatch.setattr(mask_resizing, 'BAND_CELLS', 1)
    in_chunks = predict(*kernels, **sizes)
    assert len(at_once['pan_results'].segments_info) > 3
    assert torch.equal(in_chunks['pan_results'].sem_seg, at_once['pan_results'].sem_seg)
    assert torch.equal(in_chunks['sem_results'].sem_seg, at_once['sem_results'].sem_seg)
    assert torch.equal(in_chunks['ins_results'].masks, at_once['ins_results'].masks)
    torch.testing.assert_close(in_chunks['ins_results'].scores, at_once['ins_results'].scores)


def full_size(logits: torch.Tensor, img_shape: tuple, out_shape: tuple) -> torch.Tensor:
    """Probabilities by the published order of operations."""
    return whole(logits.sigmoid(), img_shape, out_shape)


def merged(instances: InstanceData, sem_seg: torch.Tensor, cfg: dict) -> torch.Tensor:
    """The panoptic map, thing by thing and label by label."""
    panoptic = torch.full(sem_seg.shape, VOID)
    number = 0
    found = instances.masks, instances.labels.tolist(), instances.scores.tolist()
    for mask, label, score in zip(*found, strict=True):
        free = mask & (panoptic == VOID)
        taken = (mask & (panoptic != VOID)).sum()
        if score < cfg['panoptic_score_thr'] or taken > cfg['mask_overlap'] * mask.sum():
            continue
        if free.any():
            number += 1
            panoptic[free] = label + number * INSTANCE_OFFSET
    is_free = panoptic == VOID
    for label in range(THINGS, THINGS + STUFF):
        pixels = is_free & (sem_seg == label)
        if pixels.sum() >= cfg['stuff_area_limit']:
            panoptic[pixels] = label
    return panoptic


def random_image(seed: int) -> dict:
    """Blobs with noise in a random frame: arguments of predict()."""
    torch.manual_seed(seed)
    cells = [int(side) * 8 for side in torch.randint(1, 6, (2,))]
    img_shape = tuple(4 * side - int(torch.randint(0, 31, ())) for side in cells)
    scales = 0.3 + 4 * torch.rand(2) ** 2
    num_things, num_regions = (int(n) for n in torch.randint(0, 12, (2,)))
    coarse = torch.randn(num_things + num_regions, 1, 4, 4) * 5 - 2
    logits = F.interpolate(coarse, cells, mode='bicubic')[:, 0]
    logits += 0.3 * torch.randn_like(logits)
    labels = torch.randperm(THINGS + STUFF + 1).repeat(3)[:num_regions]  # also those of things
    return dict(
        things=(torch.randint(0, THINGS, (num_things,)).tolist(), logits[:num_things]),
        regions=(labels.tolist(), logits[num_things:]),
        img_shape=img_shape,
        ori_shape=tuple(max(int(side * scale), 1) for side, scale in zip(img_shape, scales, strict=True)),
        mask_thr_binary=float(0.3 + 0.4 * torch.rand(())),
        panoptic_score_thr=float(0.4 + 0.4 * torch.rand(())),
        mask_overlap=float(torch.rand(())),
        stuff_area_limit=int(torch.randint(0, 60, ())),
        score_thr=0.0,
    )


@pytest.mark.parametrize('seed', range(40))
def test_random_images_as_by_maps_of_full_size(seed):
    """Masks and labels where they do not hang on the last bits, the merged map everywhere."""
    image = random_image(seed)
    (thing_labels, things), (region_labels, regions) = image['things'], image['regions']
    result = predict(**image)
    instances, sem_seg = result['ins_results'], result['sem_results'].sem_seg[0]
    threshold = image['mask_thr_binary']

    probs = things.sigmoid()
    inside = probs > threshold
    scores = (probs * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
    order = scores.argsort(descending=True, stable=True)
    torch.testing.assert_close(instances.scores, scores[order])
    assert instances.labels.tolist() == torch.tensor(thing_labels).long()[order].tolist()
    probs = full_size(things[order], image['img_shape'], image['ori_shape'])
    clear = (probs - threshold).abs() > 1e-6
    assert torch.equal(instances.masks & clear, (probs > threshold) & clear)
    assert clear.float().mean() > 0.999 or not len(things)
    assert torch.equal(instances.bboxes, mask2bbox(instances.masks))

    probs = full_size(regions, image['img_shape'], image['ori_shape'])
    probs = torch.cat([torch.zeros(2, *image['ori_shape']), probs])  # two: something to compare
    labels = torch.tensor([VOID, VOID, *region_labels])
    best, channel = probs.sort(dim=0, descending=True, stable=True)
    clear = best[0] - best[1] > 1e-6
    assert torch.equal(sem_seg[clear], labels[channel[0]][clear].short())
    assert clear.float().mean() > 0.99 or not len(regions)

    expected = merged(instances, sem_seg, image)
    assert torch.equal(result['pan_results'].sem_seg[0], expected.int())
    found, areas = expected.unique(return_counts=True)
    found = dict(zip(found.tolist(), areas.tolist(), strict=True))
    found.pop(VOID, None)
    segments = {s['id']: s['area'] for s in result['pan_results'].segments_info if s['area']}
    assert segments == found


class CountWaits(TorchDispatchMode):
    """How often the host waits for a tensor's values, apart from ``tolist``."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix('aten::').split('.')[0]
        by_mask = name in ('index', 'index_put', 'index_put_') and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in args[1]
        )
        self.count += by_mask or name in ('_local_scalar_dense', 'nonzero', 'masked_select')
        return func(*args, **(kwargs or {}))


def test_the_host_waits_equally_often_for_few_and_many_objects(monkeypatch):
    calls = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, 'tolist', lambda x: calls.append(x) or tolist(x))
    waits = []
    for number in (2, 60):
        logits = torch.randn(number + 3, 8, 8)
        kernels = ([0] * number, logits[:number]), ([2, 3, 4], logits[number:])
        calls.clear()
        with CountWaits() as counter:
            result = predict(*kernels, (32, 32), (50, 50), score_thr=0.0)
        assert len(result['ins_results']) == number
        waits.append(counter.count + len(calls))
    assert waits[0] == waits[1] <= 14  # 6 of them for numbers that are on the CPU


def test_half_precision_logits_are_resized_in_single_precision():
    logits = torch.randn(3, 8, 8).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = predict(([0, 1, 0], logits), ([2, 3, 4], logits), (32, 32), (77, 50))
    single = predict(([0, 1, 0], logits.float()), ([2, 3, 4], logits.float()), (32, 32), (77, 50))
    assert half['ins_results'].scores.dtype == torch.float32
    for name in ('pan_results', 'sem_results'):
        assert torch.equal(half[name].sem_seg, single[name].sem_seg)
    assert torch.equal(half['ins_results'].masks, single['ins_results'].masks)
