"""Every config builds, says what it should and trains a step on a tiny drawn image."""

import re

import pytest
import torch
from helpers import tiny
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

CONFIGS = sorted(tiny.CONFIGS.glob('*.py'))
NAMES = [path.stem for path in CONFIGS]

REQUIRED = {
    'r50_coco', 'r50_coco_3x', 'r50_coco_3x_fast', 'r50_400_coco_3x', 'r50_512_coco_3x', 'r50_600_coco_3x',
    'r50_400_coco_3x_fast', 'r50_512_coco_3x_fast', 'r50_600_coco_3x_fast',
    'r50_star_coco_3x', 'r50_star_coco_3x_fast', 'r101_coco_3x', 'r101_star_coco_3x',
    'swin-t_coco_3x', 'swin-l_coco_3x', 'r18_shapes', 'lite0_plus_shapes', 'lite0_plus_dsb2018',
    'convnext-t_coco', 'efficientnet-lite2_coco', 'dinov3-s_coco', 'r50_torchvision_coco',
    'r50_cityscapes', 'r50_star_cityscapes', 'r50_mapillary', 'r50_star_mapillary',
    'r50_pairs_cityscapes', 'r50_plus_coco',
}  # fmt: skip


def load(name: str) -> Config:
    return Config.fromfile(tiny.CONFIGS / f'{name}.py')


def test_all_are_there_and_named():
    assert set(NAMES) >= REQUIRED
    metafile = (tiny.CONFIGS / 'metafile.yml').read_text()
    listed = set(re.findall(r'Config: configs/panoptic_fcn/([\w-]+)\.py', metafile))
    assert listed == set(NAMES)
    card = (tiny.CONFIGS / 'README.md').read_text()
    assert not [name for name in NAMES if f'{name}.py' not in card]


@pytest.mark.parametrize('name', NAMES)
def test_config_trains_a_step(name):
    cfg = load(name)
    for pretrained in ('init_cfg', 'convert_weights', 'checkpoint', 'pretrained'):  # not for a test
        cfg.model.backbone.pop(pretrained, None)
    if 'depths' in cfg.model.backbone:  # a block of each width is enough
        cfg.model.backbone.depths = (1, 1, 1, 1)
    model = MODELS.build(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    item = tiny.sample((64, 64), boxes=[(4, 4, 60, 60)])
    item['data_samples'].gt_sem_seg.sem_seg.fill_(cfg.model.panoptic_head.num_things_classes)
    weight = model.panoptic_head.kernel_generator.kernel_out.weight
    before = weight.detach().clone()
    # two images: batch norm of r18_shapes needs more than one value per channel, pairs two of them
    losses = model.train().train_step(tiny.batch(item, item), wrapper)
    assert {'loss_center', 'loss_region', 'loss_thing', 'loss_stuff'} < set(losses)
    assert ('loss_intra_batch' in losses) == ('pairs' in name)
    assert all(torch.isfinite(value) for value in losses.values())
    assert not torch.equal(weight, before)


@pytest.mark.parametrize('path', CONFIGS, ids=NAMES)
def test_configs_are_short(path):
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) <= 16, f'{path.name} has {len(lines)} lines: numbers belong to _base_'


@pytest.mark.parametrize('name, positives, sides, train_long, test_scale', [
    ('r50_coco_3x', 7, range(640, 801, 32), 1333, (1333, 800)),
    ('r50_400_coco_3x', 3, range(352, 513, 32), 854, (666, 400)),
    ('r50_512_coco_3x', 3, range(352, 513, 32), 854, (854, 512)),
    ('r50_600_coco_3x', 5, range(440, 601, 32), 1000, (1000, 600)),
])  # fmt: skip
@pytest.mark.parametrize('fast', [False, True])
def test_input_sizes_and_thresholds(name, positives, sides, train_long, test_scale, fast):
    cfg = load(f'{name}_fast' if fast else name)
    assert cfg.model.train_cfg.num_positives == positives
    scales = cfg.train_dataloader.dataset.pipeline[2].scales
    assert [tuple(scale) for scale in scales] == [(train_long, side) for side in sides]
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert tuple(loader.dataset.pipeline[1].scale) == test_scale
    thresholds = (cfg.model.test_cfg.center_thr, cfg.model.test_cfg.region_thr)
    assert thresholds == ((0.2, 0.1) if fast else (0.05, 0.05))
    assert cfg.train_cfg.max_iters == 270000 and cfg.param_scheduler[1].end == 270001


@pytest.mark.parametrize('star', ['', 'star_'])
@pytest.mark.parametrize('name, iterations, clip, weight, positives, thresholds, test_scale, crop', [
    ('cityscapes', 65000, 5, 4, 7, (0.01, 200, 0.1, 0.5, 0.97, 2048), (2048, 1024), (1024, 512)),
    ('mapillary', 150000, 15, 3, 3, (0.2, 200, 0.1, 0.5, 0.95, 4096), (2048, 2048), (1024, 1024)),
])  # fmt: skip
def test_recipes_of_street_scenes(
    star, name, iterations, clip, weight, positives, thresholds, test_scale, crop
):
    cfg = load(f'r50_{star}{name}')
    assert cfg.train_cfg.max_iters == iterations and cfg.param_scheduler[1].end == iterations + 1
    assert cfg.optim_wrapper.optimizer.lr == 0.02 and cfg.optim_wrapper.clip_grad.clip_value == clip
    assert cfg.optim_wrapper.clip_grad.type == 'value' and cfg.auto_scale_lr.base_batch_size == 32
    head, test = cfg.model.panoptic_head, cfg.model.test_cfg
    assert head.loss_thing.loss_weight == head.loss_stuff.loss_weight == weight
    assert cfg.model.train_cfg.num_positives == positives
    assert thresholds == (
        test.center_thr, test.max_per_img, test.region_thr, test.mask_thr_binary,
        test.similarity_thr, test.stuff_area_limit,
    )  # fmt: skip
    assert head.feature_encoder.out_channels == (256 if star else 64)
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert tuple(pipeline[3].crop_size) == crop
    sides = [scale[1] for scale in pipeline[2].scales]
    assert (min(sides), max(sides)) == (512 if name == 'cityscapes' else 1024, 2048)
    assert tuple(cfg.test_dataloader.dataset.pipeline[1].scale) == test_scale


@pytest.mark.parametrize('papers, plus', [
    ('lite0_shapes', 'lite0_plus_shapes'), ('lite0_facades', 'lite0_plus_facades'),
    ('lite0_dsb2018', 'lite0_plus_dsb2018'), ('lite2_coco200', 'lite2_plus_coco200'),
])  # fmt: skip
def test_what_plus_is_compared_with_differs_in_the_model_only(papers, plus):
    """Same data, rate and length; the backbone and what images are made of as well."""
    theirs, ours = load(papers), load(plus)
    for key in ('train_dataloader', 'val_dataloader', 'val_evaluator', 'optim_wrapper', 'param_scheduler',
                'train_cfg', 'auto_scale_lr', 'randomness'):  # fmt: skip
        assert theirs[key] == ours[key], key
    for part in ('backbone', 'neck', 'data_preprocessor', 'train_cfg'):
        assert theirs.model[part] == ours.model[part], part


@pytest.mark.parametrize('fold', ['-1', '5'])
def test_a_fold_that_is_none_is_refused(fold, monkeypatch):
    monkeypatch.setenv('FOLD', fold)
    with pytest.raises(ValueError, match=f'FOLD={fold}, expected 0 to 4'):
        load('lite2_plus_coco200')


def test_recipe_of_plus():
    """Mean weights over a tenth of the training, and the backbone at a quarter of the rate."""
    cfg = load('r50_plus_coco')
    hook = cfg.default_hooks.ema
    assert hook.type == 'EMAHook' and 0.1 * cfg.train_cfg.max_iters == pytest.approx(
        1 / hook.momentum, rel=0.5
    )
    assert cfg.param_scheduler[1].end == cfg.train_cfg.max_iters + 1
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    for group in groups:
        [parameter] = group['params']
        expected = 2.5e-5 if names[id(parameter)].startswith('backbone') else 1e-4
        assert group['lr'] == pytest.approx(expected)
    assert {group['weight_decay'] for group in groups} == {0.05, 0.0}
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert (pipeline[2].scale, pipeline[2].ratio_range) == ((1024, 1024), (0.1, 2.0))
    assert pipeline[3].crop_size == (1024, 1024) and cfg.optim_wrapper.clip_grad.max_norm == 1


def test_channels_and_normalisation():
    channels = {}
    for name in ('cityscapes', 'mapillary'):
        cfg = load(f'r50_{name}')
        channels[name] = MODELS.build(cfg.model).panoptic_head.kernel_generator.region_out
    assert channels['cityscapes'].out_channels == 19  # every class, no "any thing"
    assert channels['mapillary'].out_channels == 28 + 1
    # BGR with the mean in RGB order: converted weights need it.
    preprocessor = load('r50_coco').model.data_preprocessor
    assert list(preprocessor.mean) == [123.675, 116.28, 103.53]
    assert list(preprocessor.std) == [1.0, 1.0, 1.0] and not preprocessor.bgr_to_rgb
