"""Properties of the whole model on tiny inputs: what the published code gets wrong must work."""

import pytest
import torch
from helpers import tiny
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.registry import MODELS

from mmpfcn import PanopticFCNAssigner

VOID = tiny.NUM_THINGS + tiny.NUM_STUFF
MANY = [(x, y, x + 8, y + 8) for y in range(0, 120, 10) for x in range(0, 120, 10)]  # 144 squares

BATCHES = {
    'things and stuff': [tiny.sample()],
    'no things': [tiny.sample(boxes=[])],
    'no stuff': [tiny.sample(stuff=False)],
    'nothing at all': [tiny.sample(boxes=[], stuff=False)],
    'mixed': [tiny.sample(boxes=[], stuff=False), tiny.sample()],
    'two sizes': [tiny.sample((64, 96)), tiny.sample((50, 70), boxes=[(3, 3, 30, 30)])],
    'vanishes at stride 4': [tiny.sample(boxes=[(41, 41, 42, 42)])],
    'only a vanishing object': [tiny.sample(boxes=[(40, 40, 41, 41)], stuff=False)],
    'more than 100 on a level': [tiny.sample((128, 128), boxes=MANY)],
    # two images: batch norm needs more than one value per channel
    'P7 of one cell': [tiny.sample((32, 32), boxes=[(4, 4, 28, 28)]) for _ in range(2)],
    'object of the whole image': [tiny.sample((32, 64), boxes=[(0, 0, 64, 32)])],
}


@pytest.mark.parametrize('name', BATCHES)
def test_any_batch_trains_and_predicts(name):
    """Every parameter gets a finite gradient, and results have the size of the image."""
    model = tiny.build()
    losses = tiny.losses(model, *BATCHES[name])
    assert set(losses) == {'loss_center', 'loss_region', 'loss_thing', 'loss_stuff'}
    sum(losses.values()).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    model = tiny.build(test_cfg=dict(center_thr=0.0, region_thr=0.0, score_thr=0.0))
    for result, item in zip(tiny.predict(model, *BATCHES[name]), BATCHES[name], strict=True):
        shape = item['inputs'].shape[1:]
        assert result.pred_panoptic_seg.sem_seg.shape == (1, *shape)
        assert result.pred_sem_seg.sem_seg.shape == (1, *shape)
        assert result.pred_instances.masks.shape[1:] == shape


def test_losses_of_nothing_and_of_things():
    losses = tiny.losses(tiny.build(), tiny.sample(boxes=[], stuff=False))
    assert losses['loss_thing'] == losses['loss_stuff'] == 0
    assert losses['loss_center'] > 0 and losses['loss_region'] > 0
    model = tiny.build()
    tiny.losses(model, tiny.sample())['loss_thing'].backward()
    generator = model.panoptic_head.kernel_generator
    assert generator.center_out.weight.grad.abs().sum() > 0
    assert generator.region_out.weight.grad is None


def confident_model(**test_cfg):
    """Untrained, but with thresholds so low that many things and regions are predicted."""
    cfg = dict(center_thr=0.0, region_thr=0.0, score_thr=0.0, panoptic_score_thr=0.0, stuff_area_limit=1)
    model = tiny.build(test_cfg=cfg | test_cfg)
    for layer in ('center_out', 'region_out', 'kernel_out', 'thing_embed', 'stuff_embed'):
        # initial predictions are all alike; make them differ from cell to cell
        module = getattr(model.panoptic_head.kernel_generator, layer)
        torch.nn.init.normal_(module.weight, std=0.5)
    return model


def test_batches_and_partitions():
    model = confident_model()
    samples = [tiny.sample(seed=seed) for seed in range(3)]
    together = tiny.predict(model, *samples)
    for item, result in zip(samples, together, strict=True):
        alone = tiny.predict(model, item)[0]
        assert len(alone.pred_instances) == len(result.pred_instances) > 0
        torch.testing.assert_close(alone.pred_instances.scores, result.pred_instances.scores)
        changed = alone.pred_panoptic_seg.sem_seg != result.pred_panoptic_seg.sem_seg
        assert changed.float().mean() < 0.001
    ids = together[0].pred_panoptic_seg.sem_seg
    assert not torch.equal(ids, together[1].pred_panoptic_seg.sem_seg)
    torch.manual_seed(0)
    result = tiny.predict(confident_model(), tiny.sample())[0]
    ids = result.pred_panoptic_seg.sem_seg
    segments = result.pred_panoptic_seg.segments_info
    assert len({segment['id'] for segment in segments}) == len(segments) > 1
    areas = {segment['id']: segment['area'] for segment in segments}
    found, counts = ids.unique(return_counts=True)
    found = dict(zip(found.tolist(), counts.tolist(), strict=True))
    assert {i: number for i, number in found.items() if i != VOID} == areas
    for segment in segments:
        assert segment['id'] % INSTANCE_OFFSET == segment['label']
        assert segment['isthing'] == (segment['label'] < tiny.NUM_THINGS)
        assert segment['isthing'] == (segment['id'] >= INSTANCE_OFFSET)


@pytest.mark.parametrize('center_thr, region_thr', [(2.0, 0.0), (0.0, 2.0), (2.0, 2.0)])
def test_nothing_above_a_threshold(center_thr, region_thr):
    model = confident_model(center_thr=center_thr, region_thr=region_thr)
    result = tiny.predict(model, tiny.sample())[0]
    assert (len(result.pred_instances) == 0) == (center_thr > 1)
    stuff = [s for s in result.pred_panoptic_seg.segments_info if not s['isthing']]
    assert (len(stuff) == 0) == (region_thr > 1)
    if region_thr > 1:
        assert result.pred_sem_seg.sem_seg.eq(VOID).all()
    if center_thr > 1 and region_thr > 1:
        assert result.pred_panoptic_seg.sem_seg.eq(VOID).all()


def test_size_and_parts_of_a_result():
    model = confident_model(instance_on=False, semantic_on=False)
    result = tiny.predict(model, tiny.sample())[0]
    assert 'pred_panoptic_seg' in result
    assert 'pred_instances' not in result and 'pred_sem_seg' not in result
    item = tiny.sample((64, 96))
    item['data_samples'].set_metainfo(dict(ori_shape=(100, 150)))
    result = tiny.predict(confident_model(), item)[0]
    assert result.pred_panoptic_seg.sem_seg.shape == (1, 100, 150)
    assert result.pred_instances.masks.shape[1:] == (100, 150)


@pytest.mark.parametrize('name', ['two sizes', 'vanishes at stride 4', 'no things'])
def test_mixed_precision_changes_the_losses_little(name):
    model = tiny.build()
    expected = tiny.losses(model, *BATCHES[name])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = tiny.losses(model, *BATCHES[name])
    for key, value in losses.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected[key].item(), rel=0.02), key


def test_targets_are_the_same_under_mixed_precision(monkeypatch):
    """In bfloat16 the sum of 128 column numbers is off by whole cells."""
    seen = []
    assign = PanopticFCNAssigner.assign
    watched = lambda *a: seen.append(assign(*a)) or seen[-1]  # noqa: E731
    monkeypatch.setattr(PanopticFCNAssigner, 'assign', watched)
    model = tiny.build()
    tiny.losses(model, tiny.sample((128, 512), boxes=[(301, 5, 490, 120)]))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        tiny.losses(model, tiny.sample((128, 512), boxes=[(301, 5, 490, 120)]))
    for one, other in zip(seen[0].levels, seen[1].levels, strict=True):
        assert torch.equal(one.centers, other.centers)


@pytest.mark.parametrize('part', ['kernel_generator', 'feature_encoder', 'kernel_fusion', 'loss_thing'])
def test_unknown_keys_of_the_parts_are_named(part):
    with pytest.raises(TypeError, match='out_chanels'):
        tiny.build(panoptic_head={part: dict(out_chanels=3)})


def test_counts_that_do_not_fit():
    with pytest.raises(ValueError, match='num_stuff_classes=4 but .*num_stuff_classes=5'):
        tiny.build(panoptic_fusion_head=dict(num_stuff_classes=5))
    model = tiny.build(train_cfg=dict(assigner=dict(scale_ranges=((1, 64), (32, 128)))))
    with pytest.raises(ValueError, match='5 pyramid levels but scale_ranges has 2 entries'):
        tiny.losses(model, tiny.sample())
    model = tiny.build(test_cfg=dict(pool_sizes=(3, 3)))
    with pytest.raises(ValueError, match='pool_sizes has 2 entries.*5 pyramid levels'):
        tiny.predict(model, tiny.sample())
    with pytest.raises(ValueError, match='num_things_classes=0, expected at least 1: for data of'):
        tiny.build(panoptic_head=dict(num_things_classes=0))
    with pytest.raises(ValueError, match='object labels run from 7 to 7.*num_things_classes=6'):
        tiny.losses(tiny.build(), tiny.sample(boxes=[(0, 0, 20, 20)], labels=[7]))
    item = tiny.sample()
    item['data_samples'].gt_sem_seg.sem_seg[0, 0, 0] = 10
    with pytest.raises(ValueError, match='semantic labels run from 0 to 10.*allow 0 to 9'):
        tiny.losses(tiny.build(), item)


def test_separate_thing_regions_are_in_the_semantic_map_only():
    """The Cityscapes variant: thing regions never become segments, free pixels there are void."""
    no_objects = dict(center_thr=2.0, region_thr=0.0, stuff_area_limit=1)
    model = tiny.build(panoptic_head=dict(separate_thing_regions=True), test_cfg=no_objects)
    region_out = model.panoptic_head.kernel_generator.region_out
    assert region_out.out_channels == VOID  # all classes, no "any thing"
    torch.nn.init.normal_(region_out.weight)  # every class is somewhere the best
    torch.nn.init.normal_(model.panoptic_head.kernel_generator.stuff_embed.weight)
    result = tiny.predict(model, tiny.sample((128, 128)))[0]
    sem_seg, panoptic = result.pred_sem_seg.sem_seg, result.pred_panoptic_seg
    is_thing, is_stuff = sem_seg < tiny.NUM_THINGS, (sem_seg >= tiny.STUFF) & (sem_seg < VOID)
    assert is_thing.any() and is_stuff.any()
    assert panoptic.sem_seg[is_thing].eq(VOID).all()
    assert torch.equal(panoptic.sem_seg[is_stuff], sem_seg[is_stuff].int())
    assert not any(segment['isthing'] for segment in panoptic.segments_info)
    losses = tiny.losses(model, tiny.sample())
    sum(losses.values()).backward()
    assert region_out.weight.grad.flatten(1).abs().sum(1).gt(0).all()


@pytest.mark.parametrize('backbone, in_channels, message', [
    (dict(base_channels=8), None, r'ResNet, gives features of \[8, 16, 32, 64\] channels and model.neck '
     r'expects \[16, 32, 64, 128\]: set model.neck.in_channels=\[8, 16, 32, 64\]'),
    (dict(out_indices=(1, 2, 3)), None, r'features of \[32, 64, 128\] channels'),
    (dict(strides=(1, 1, 2, 2)), None,
     r'ResNet made features of \[16, 16, 8, 4\] rows of an image of 64, expected those at strides \[4, 8'),
    (dict(out_indices=(1, 2, 3)), [32, 64, 128], r'ResNet made features of \[8, 4, 2\] rows'),
])  # fmt: skip
def test_a_backbone_of_other_channels_or_strides(backbone, in_channels, message):
    neck = dict(in_channels=in_channels) if in_channels else {}
    model = tiny.build(backbone=backbone, neck=neck)
    with pytest.raises(ValueError, match=message):
        tiny.losses(model, tiny.sample((64, 64), boxes=[(4, 4, 60, 60)]))


def test_a_backbone_of_timm_is_compared_at_once():
    model = tiny.config()
    model.backbone = dict(type='TimmBackbone', model_name='test_resnet')
    with pytest.raises(ValueError, match=r'set model.neck.in_channels=\[32, 48, 192, 96\]'):
        MODELS.build(model)
