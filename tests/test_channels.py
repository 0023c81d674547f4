"""A 16-bit microscopy TIFF and a 4-band GeoTIFF: training, test, prediction, web page, ONNX agree."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from helpers import tiny
from helpers.breakable_data import CAR, SIZE, SKY, BreakableData
from helpers.onnx_model import assert_same
from helpers.oracle import ROOT
from helpers.tiny_inferencer import ANY_PREDICTION
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

from mmpfcn import PanopticInferencer
from mmpfcn.commands.check.command import main as check
from mmpfcn.commands.export.export import export_onnx
from mmpfcn.commands.web.outputs import Outputs
from mmpfcn.deployment.onnx_inferencer import EXTENDED_FORMAT, OnnxInferencer
from mmpfcn.formats import read_panoptic_png

VOID = 4  # of mmdet's maps: the number of classes
GEO_TAGS = [  # a pixel is 10 m, in UTM zone 33
    (33550, 'd', 3, (10.0, 10.0, 0.0), True), (33922, 'd', 6, (0.0, 0, 0, 5e5, 5e6, 0), True),
    (34735, 'H', 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True),
]  # fmt: skip


def write_image(path: Path, channels: int, ids: np.ndarray) -> None:
    """12 bits of a microscope, or four bands of a satellite; what is in them shows in all."""
    rng = np.random.default_rng(int(path.stem))
    levels = 100 * (ids == SKY) + 1500 * (ids == CAR)
    if channels == 1:
        pixels = rng.poisson(levels + 200).astype(np.uint16)
        tifffile.imwrite(path, pixels, imagej=True, metadata=dict(axes='YX'))
    else:
        pixels = rng.integers(0, 900, (*SIZE, 4)) + levels[..., None] * [1, 2, 3, 5]
        way = dict(photometric='minisblack', planarconfig='contig', compression='zlib')
        tifffile.imwrite(path, pixels.astype(np.uint16), extratags=GEO_TAGS, **way)


def read_config(folder: Path, data: BreakableData, channels: int) -> Config:
    """The config of the docs, tiny, or what they say for grey."""
    page = (ROOT / 'docs' / 'datasets.md').read_text()
    [text] = [x for x in re.findall(r'```python\n(.*?)```', page, re.S) if 'channels=4' in x]
    text = text.replace('./r50_torchvision_coco.py', str(tiny.CONFIGS / 'r50_torchvision_coco.py'))
    if channels == 1:
        for four, one in (
            ('channels=4, ranges=[(0, 10000)]', 'channels=1, percentiles=(1, 99.8)'),
            ('mean=[124, 116, 104, 116], std=[58, 57, 57, 57]', 'mean=[116], std=[57]'),
            ('in_channels=4', 'in_channels=1'),
        ):  # fmt: skip
            assert four in text and one in page
            text = text.replace(four, one)
    (folder / 'bands.py').write_text(text)
    cfg = Config.fromfile(folder / 'bands.py')
    model, small = cfg.model, tiny.config()
    small.data_preprocessor = model.data_preprocessor
    small.backbone.in_channels = model.backbone.in_channels
    for head in (small.panoptic_head, small.panoptic_fusion_head):
        head.update(num_things_classes=2, num_stuff_classes=2)
    several = dict(mask_thr_binary=0.6, mask_overlap=0.9, stuff_area_limit=16)
    small.test_cfg.update(several, **ANY_PREDICTION)
    cfg.model, cfg.work_dir, cfg.log_level = small, str(folder), 'ERROR'
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        prefix = dict(img=str(data.image_folder), seg=str(data.png_folder))
        loader.dataset.update(data_root='', ann_file=str(data.json), data_prefix=prefix)
    cfg.train_dataloader.dataset.update(filter_cfg=None)
    cfg.train_dataloader.dataset.pipeline[2].scales = [(96, 64)]
    cfg.val_dataloader.dataset.pipeline[1].scale = cfg.test_dataloader.dataset.pipeline[1].scale = (96, 64)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.val_evaluator = cfg.test_evaluator = dict(type='PanopticQualityMetric')
    cfg.default_hooks.checkpoint = None
    cfg.default_hooks.visualization.update(draw=True, test_out_dir='pictures')
    cfg.randomness = dict(seed=0)
    cfg.experiment_name = f'{folder.name}_{channels}'
    return cfg


def assert_colours_are_refused(models, cfg, config, image, channels, capsys):
    """By both inferencers and the checker."""
    colours = np.zeros((*SIZE, 3), np.uint8)
    message = rf'image array has 3 channel\(s\) of uint8, but the model is for {channels} '
    for model in models:
        with pytest.raises(ValueError, match=message):
            next(model.stream(colours))
    cfg.dump(config)
    assert check([str(config), '--workers', '1']) == 0
    cv2.imwrite(str(image), colours, [cv2.IMWRITE_TIFF_COMPRESSION, 1])  # no codec is needed
    assert check([str(config), '--workers', '1']) == 1
    assert f'{image} has 3 channel(s) of uint8' in capsys.readouterr().out


@pytest.mark.parametrize('channels', [1, 4])
def test_all_read_the_same(tmp_path, channels, capsys):
    data = BreakableData(tmp_path / 'data')
    for number, record in enumerate(data.data['images']):
        data.image(number).unlink()
        record['file_name'] = f'{number}.tif'
        write_image(data.image_folder / f'{number}.tif', channels, read_panoptic_png(data.png(number)))
    data.save()
    cfg = read_config(tmp_path, data, channels)
    runner = Runner.from_cfg(cfg)
    runner.train()
    with torch.no_grad():  # maps that differ from place to place
        for name, parameter in runner.model.named_parameters():
            if name.endswith(('_out.weight', '_embed.weight')):
                parameter.mul_(30)
    runner.test()
    pictures = {path.name: cv2.imread(str(path)) for path in (tmp_path / runner.timestamp).glob('pictures/*')}
    assert set(pictures) == {'0.tif', '1.tif', '2.tif'}
    assert all(picture.std() > 20 for picture in pictures.values())

    meta = dict(dataset_meta=runner.test_dataloader.dataset.metainfo)
    torch.save(dict(state_dict=runner.model.state_dict(), meta=meta), tmp_path / 'a.pth')
    inferencer = PanopticInferencer(cfg, str(tmp_path / 'a.pth'), 'cpu', show_progress=False)
    files = sorted(data.image_folder.iterdir())
    predicted = inferencer(data.image_folder)['predictions']
    for sample, result in zip(runner.test_dataloader.dataset, predicted, strict=True):
        with torch.no_grad():
            tested = runner.model.eval().test_step(pseudo_collate([sample]))[0]
        ids = tested.pred_panoptic_seg.sem_seg[0].numpy()
        assert np.array_equal(np.where(ids == VOID, 0, ids), result.panoptic_seg)
        assert len(result.segments_info) > 1

    web = Outputs(dict(m=inferencer), 2**20, 10**6, print).get(files[0].read_bytes(), '0.tif', 'm')
    assert torch.equal(web.mask_feats, inferencer.run_network(files[0]).mask_feats)
    assert torch.equal(web.mask_feats, inferencer.run_network(tifffile.imread(files[0])).mask_feats)
    assert web.image.shape == (*SIZE, 3) and web.image.dtype == np.uint8 and web.image.max() > 99

    assert max(export_onnx(inferencer, tmp_path / 'a.onnx').values()) < 1e-3
    ours = OnnxInferencer(tmp_path / 'a.onnx')
    assert ours.meta['format'] == EXTENDED_FORMAT and ours.meta['pixels']['channels'] == channels
    for theirs, other in zip(predicted, ours(data.image_folder)['predictions'], strict=True):
        assert_same(theirs, other, cell_pixels=16)

    assert_colours_are_refused((inferencer, ours), cfg, tmp_path / 'whole.py', files[1], channels, capsys)
