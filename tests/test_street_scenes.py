"""Cityscapes and Mapillary Vistas from the raw folders to a trained and tested model."""

import pytest
from helpers import frames
from helpers.oracle import vistas_categories
from test_end_to_end import ANY_PREDICTION, CONFIGS, QUICK, ran

SMALL = """model.backbone.depth=18 model.backbone.init_cfg=None model.neck.in_channels=[64,128,256,512]
model.test_cfg.stuff_area_limit=64 val_dataloader.dataset.pipeline.1.scale=(128,64)
train_cfg.max_iters=2 train_cfg.val_interval=2 default_hooks.checkpoint.interval=2""".split()
CROPS = ['2.scales=[(192,96),(256,128)]', '3.crop_size=(128,64)']
PAIRS = ['2.crop_size=(128,64)', '2.scales=(16,32)', '2.short_side=(64,96)']


def write_cityscapes(root) -> None:
    train = ['aachen_000000_000019', 'bochum_000001_000019', 'ulm_000002_000019']
    val = ['frankfurt_000000_000294', 'munster_000001_000019']
    frames.write_cityscapes(root, dict(train=train, val=val))
    ran('dataset_converters/cityscapes_panoptic.py', root, '--workers', 1, cwd=root)


def write_mapillary(root) -> None:
    for split, stems in dict(training=['a', 'b', 'c'], validation=['d', 'e']).items():
        categories = vistas_categories()
        frames.write_vistas(root / split, stems, categories, 'panoptic', 'panoptic_2018.json')
    ran('dataset_converters/mapillary_panoptic.py', root, '--workers', 1, cwd=root)


@pytest.mark.parametrize('name, write, num_classes, crops', [
    ('cityscapes', write_cityscapes, 19, CROPS),
    ('pairs_cityscapes', write_cityscapes, 19, PAIRS),
    ('mapillary', write_mapillary, 65, CROPS),
])  # fmt: skip
def test_from_the_raw_folders_to_figures(name, write, num_classes, crops, tmp_path):
    root = tmp_path / 'data' / name.removeprefix('pairs_')
    root.mkdir(parents=True)
    write(root)
    config = CONFIGS / f'r50_{name}.py'
    crops = [f'train_dataloader.dataset.pipeline.{option}' for option in crops]
    options = [*SMALL, *crops, *QUICK, *ANY_PREDICTION]
    shown = ran('train.py', config, '--cfg-options', *options, cwd=tmp_path)
    assert (tmp_path / 'work_dirs' / f'r50_{name}' / 'iter_2.pth').is_file()
    table = shown[shown.index('Panoptic quality by class') :].split('\n\n')[0]
    assert sum(line.startswith('| ') for line in table.splitlines()) >= num_classes
    assert 'coco_panoptic/PQ: ' in shown and ' mIoU: ' in shown
