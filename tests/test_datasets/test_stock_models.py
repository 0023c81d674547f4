"""mmdet's own panoptic models on our data set, ground truth and metric."""

import pytest
import torch
from helpers import panoptic_files as files
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.registry import MODELS
from mmengine.evaluator import Evaluator
from mmengine.hub import get_config
from mmengine.runner import Runner
from mmengine.structures import PixelData

CLASSES = dict(num_things_classes=2, num_stuff_classes=2)
SIDES = {'a/one.png': 64, 'b/one.png': 96}


@pytest.fixture
def root(tmp_path):
    """Two images, of which the drawn cells are 8 or 12 pixels."""
    images = {
        name: tuple(''.join(c * (side // 8) for c in row) for row in files.ROWS for _ in range(8))
        for name, side in SIDES.items()
    }
    return files.write(tmp_path, images)


def loader(root, training: bool):
    load = dict(type='LoadPanopticGroundTruth', instances=training, panoptic=not training)
    pipeline = [dict(type='LoadImage'), load, dict(type='PackPanopticInputs')]
    sampler, collate = dict(type='DefaultSampler', shuffle=False), dict(type='pseudo_collate')
    dataset = files.build(root, pipeline, test_mode=not training)
    settings = dict(batch_size=2, num_workers=0, sampler=sampler, collate_fn=collate)
    return Runner.build_dataloader(dict(settings, dataset=dataset))


def maskformer() -> dict:
    model = get_config('mmdet::maskformer/maskformer_r50_ms-16xb1-75e_coco.py').model
    width = dict(in_channels=[16, 32, 64, 128], feat_channels=32, out_channels=32)
    model.panoptic_head.update(CLASSES, **width, num_queries=10)
    model.panoptic_head.pixel_decoder.encoder.num_layers = 1
    for part in ('pixel_decoder', 'positional_encoding', 'transformer_decoder'):
        _shrink(model.panoptic_head[part])
    model.panoptic_head.transformer_decoder.num_layers = 1
    model.panoptic_head.loss_cls.class_weight = [1.0] * 4 + [0.1]
    return model


def _shrink(config) -> None:
    """Widths of 256 to 32, those of feed-forward layers to 64."""
    widths = {256: 32, 1024: 64, 2048: 64, 128: 16}
    items = config.items() if isinstance(config, dict) else enumerate(config)
    for key, value in list(items):
        if isinstance(value, (dict, list)):
            _shrink(value)
        elif isinstance(value, int) and value in widths:
            config[key] = widths[value]


def panoptic_fpn() -> dict:
    model = get_config('mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py').model
    model.neck.update(in_channels=[16, 32, 64, 128], out_channels=16)
    model.rpn_head.update(in_channels=16, feat_channels=16)
    for part in ('bbox_roi_extractor', 'mask_roi_extractor'):
        model.roi_head[part].out_channels = 16
    model.roi_head.bbox_head.update(in_channels=16, fc_out_channels=16, num_classes=2)
    model.roi_head.mask_head.update(in_channels=16, conv_out_channels=16, num_classes=2)
    model.semantic_head.update(CLASSES, in_channels=16, inner_channels=32)
    model.panoptic_fusion_head.update(CLASSES)
    return model


@pytest.mark.parametrize('make', [maskformer, pytest.param(panoptic_fpn, marks=pytest.mark.ops)])
def test_trains_predicts_and_is_measured(make, root):
    config = make()
    config.backbone.update(depth=18, base_channels=16, init_cfg=None, style='pytorch', frozen_stages=-1)
    config.data_preprocessor.update(batch_augments=None)
    config.panoptic_fusion_head.update(CLASSES)
    model = MODELS.build(config)
    model.init_weights()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    data = model.data_preprocessor(next(iter(loader(root, training=True))), training=True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    optimizer.step()
    assert loss.isfinite()

    test_loader = loader(root, training=False)
    evaluator = Evaluator(dict(type='PanopticQualityMetric'))
    evaluator.dataset_meta = test_loader.dataset.metainfo
    for batch in test_loader:
        with torch.no_grad():
            evaluator.process(data_samples=model.eval().test_step(batch), data_batch=batch)
    metrics = evaluator.evaluate(len(test_loader.dataset))
    assert 0 <= metrics['coco_panoptic/PQ'] <= 100


def test_crowds_of_the_stock_data_set_are_crowds_for_our_metric(tmp_path):
    """CocoPanopticDataset marks a crowd only as a thing class that is no thing."""
    rows = ('ggggpp', 'ggggpp', 'ssssss')
    things_first = sorted(files.CATEGORIES, key=lambda c: not c['isthing'])
    root = files.write(tmp_path, {'x.jpg': rows}, categories=things_first)
    (root / 'pngs/x_ids.png').rename(root / 'pngs/x.png')
    names = [category['name'] for category in things_first]
    load = dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True)
    pipeline = dict(type='LoadImage'), load, dict(type='PackPanopticInputs')
    meta = dict(classes=names, thing_classes=names[:2], stuff_classes=names[2:])
    dataset = files.build(root, pipeline, kind='CocoPanopticDataset', metainfo=meta, test_mode=True)
    sample = dataset[0]['data_samples']
    prediction = sample.gt_panoptic_seg.sem_seg.clone()
    prediction[prediction % INSTANCE_OFFSET == 1] = 4  # void instead of the group of cars
    sample.pred_panoptic_seg = PixelData(sem_seg=prediction)
    evaluator = Evaluator(dict(type='PanopticQualityMetric'))
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(data_samples=[sample], data_batch=None)
    assert evaluator.evaluate(1)['coco_panoptic/PQ'] == 100  # a missed crowd is no mistake
