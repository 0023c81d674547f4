"""Pictures of a data set: what is on them, where they lie, and what is said about bad input."""

import html
import json
import re
from urllib.parse import unquote

import cv2
import mmcv
import numpy as np
import pytest
import torch
from helpers.oracle import ROOT
from helpers.tiny import build as build_tiny
from mmdet.registry import DATASETS
from mmengine.config import Config

from mmpfcn.commands.browse.command import main
from mmpfcn.commands.browse.targets import build_target_pipeline
from mmpfcn.formats import write_panoptic_png
from mmpfcn.visualization.drawing import GAP, title_height

CLASSES = ('ball', 'square', 'triangle', 'star', 'ring', 'cross', 'sky', 'grass', 'water', 'brick')
BALL, SKY = (200, 100, 0), (0, 150, 250)
PALETTE = [BALL, *[(i, 2 * i, 90) for i in range(5)], SKY, *[(i, 90, 2 * i) for i in range(3)]]
SIZE = (96, 128)
SCALE = 5  # from the image to its panel of 640 x 480
GREY = 120
CONFIG = """
_base_ = '{base}'
data_root = '{root}/'
kinds = 'LoadImage', 'LoadPanopticGroundTruth', 'RandomFlip', 'PackPanopticInputs'
pipeline = [dict(type=kind) for kind in kinds]
pipeline[2]['prob'] = 0.5
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=pipeline))
prefix = dict(img='train/', seg='annotations/panoptic_train/')
val_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='annotations/panoptic_train.json', data_prefix=prefix))
test_dataloader = None
"""
STOCK = f"""
meta = dict(
    classes={CLASSES}, thing_classes={CLASSES[:6]}, stuff_classes={CLASSES[6:]}, palette={PALETTE})
for split in ('train', 'val'):
    _base_[split + '_dataloader'].dataset.update(type='CocoPanopticDataset', metainfo=meta)
image, load, pack = (
    dict(type=kind) for kind in ('LoadImageFromFile', 'LoadPanopticAnnotations', 'PackDetInputs'))
train_dataloader = dict(dataset=dict(pipeline=[image, load, pack]))
load = dict(load, with_bbox=False, with_label=False, with_mask=False)
pack = dict(pack, meta_keys=('img_path', 'seg_map_path', 'segments_info'))
val_dataloader = dict(dataset=dict(pipeline=[image, load, pack]))
"""
NO_FLIP = 'train_dataloader.dataset.pipeline.2.prob=0.0'
NAMES = ('a', 'städte/b c', 'd#1')


def ground_truth() -> tuple[np.ndarray, list[dict]]:
    """A ball, a crowd of balls, sky on the right half, the rest void."""
    ids = np.zeros(SIZE, np.int32)
    ids[:, 64:] = 7
    ids[8:40, 8:40] = 1000
    ids[60:84, 4:52] = 70000
    segments = [
        dict(id=1000, category_id=1, iscrowd=0, area=32 * 32, bbox=[8, 8, 32, 32]),
        dict(id=70000, category_id=1, iscrowd=1, area=24 * 48, bbox=[4, 60, 48, 24]),
        dict(id=7, category_id=7, iscrowd=0, area=96 * 64, bbox=[64, 0, 64, 96]),
    ]
    return ids, segments


def write_dataset(root, ids=None, segments=None):
    """Three grey images of one ground truth."""
    ids, segments = ground_truth() if ids is None else (ids, segments)
    images, annotations = [], []
    for number, name in enumerate(NAMES):
        write_panoptic_png(root / 'annotations' / 'panoptic_train' / f'{name}.png', ids)
        image = np.full((*ids.shape, 3), GREY + number, np.uint8)
        path = root / 'train' / f'{name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes())
        height, width = ids.shape
        images.append(dict(id=number, file_name=f'{name}.jpg', height=height, width=width))
        annotations.append(dict(image_id=number, file_name=f'{name}.png', segments_info=segments))
    classes = enumerate(zip(CLASSES, PALETTE, strict=True))
    categories = [dict(id=i + 1, name=n, isthing=int(i < 6), color=c) for i, (n, c) in classes]
    content = dict(images=images, annotations=annotations, categories=categories)
    (root / 'annotations' / 'panoptic_train.json').write_text(json.dumps(content))
    return root


def write_config(root, folder):
    path = folder / 'my_config.py'
    base = ROOT / 'configs' / 'panoptic_fcn' / 'r18_shapes.py'
    path.write_text(CONFIG.format(base=base, root=root))
    return path


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = write_dataset(tmp_path_factory.mktemp('my data'))
    return write_config(root, tmp_path_factory.mktemp('config'))


def draw(config, out, *arguments):
    """Pictures, RGB, in the order of their names."""
    main([str(config), '--out-dir', str(out), *map(str, arguments)])
    return [mmcv.imread(str(path), channel_order='rgb') for path in sorted(out.glob('*.png'))]


def panels(picture, size, row=0):
    """The panels of a row of a picture in which all have one size."""
    top = title_height(*size)
    picture = picture[row * (top + size[0] + GAP) + top :][: size[0]]
    return [picture[:, x : x + size[1]] for x in range(0, picture.shape[1], size[1] + GAP)]


def at(panel, y, x):
    """The pixels of a panel in the middle of a pixel of the image."""
    return panel[SCALE * y + 1 : SCALE * y + 4, SCALE * x + 1 : SCALE * x + 4]


def mixed(color, grey=GREY):
    return [round(0.4 * grey + 0.6 * channel) for channel in color]


def values(region):
    return sorted(set(map(tuple, region.reshape(-1, 3).tolist())))


def test_ground_truth_on_the_image_of_the_file_and_augmented(config, tmp_path):
    """Class colours, a striped crowd, hatched void; away from outlines and names."""
    (picture,) = draw(config, tmp_path, '--indices', 0, '--cfg-options', NO_FLIP)
    image, truth = panels(picture, (480, 640))
    assert np.all(image == GREY)
    assert np.all(at(truth, 12, 12) == mixed(BALL))
    assert np.all(at(truth, 5, 90) == mixed(SKY))
    # below the crowd's name, a stripe of the other ball's shade is 0.6, the next one 0.15
    crowd = truth[SCALE * 78 : SCALE * 83, SCALE * 8 : SCALE * 48]
    assert len(values(crowd)) == 2
    void = truth[SCALE * 44 : SCALE * 57, SCALE * 2 : SCALE * 60]
    dark, light = round(0.55 * GREY), round(0.55 * GREY + 0.45 * 255)
    assert values(void) == [(dark,) * 3, (GREY,) * 3, (light,) * 3]
    # A flip mirrors image and ground truth; --original shows them as they are.
    flip = NO_FLIP.replace('0.0', '1.0')
    arguments = ('--indices', 0, '--original', '--cfg-options')
    (flipped,) = draw(config, tmp_path / 'a', *arguments, flip)
    (plain,) = draw(config, tmp_path / 'b', *arguments, NO_FLIP)
    file, made = panels(flipped, (480, 640))[1], panels(flipped, (480, 640), row=1)[1]
    assert np.array_equal(file, panels(plain, (480, 640))[1])
    assert np.array_equal(panels(plain, (480, 640), row=1)[1], file)
    assert np.all(at(file, 12, 12) == mixed(BALL))
    assert np.all(at(made, 12, 127 - 12) == mixed(BALL))
    assert np.all(at(made, 5, 10) == mixed(SKY))


def test_what_a_picture_depends_on(config, tmp_path):
    """The seed and its index alone; images of one run are augmented differently."""

    def contents(name, *arguments):
        draw(config, tmp_path / name, *arguments)
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    together, alone = contents('a', '--num', 0), contents('b', '--indices', 2)
    assert list(sorted(together)) == ['000000_a.png', '000001_b c.png', '000002_d#1.png']
    assert alone == {'000002_d#1.png': together['000002_d#1.png']}
    seeds = range(1, 9)
    assert any(contents(str(seed), '--indices', 2, '--seed', seed) != alone for seed in seeds)
    assert len(contents('c', '--num', 2)) == 2

    def flips(seed):
        pictures = draw(config, tmp_path / str(seed), '--num', 0, '--seed', seed)
        return {bool(np.all(at(panels(p, (480, 640))[1], 5, 90)[..., 2] > 150)) for p in pictures}

    assert any(flips(seed) == {True, False} for seed in range(0, 40, 5))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_stock_data_set_and_loading_look_the_same(config, tmp_path, split):
    """mmdet's classes give the same pictures, where they read the files right."""
    stock = tmp_path / 'stock.py'
    stock.write_text(f"_base_ = '{config}'\n{STOCK}")
    arguments = ('--split', split, '--indices', 0, 1)
    ours = draw(config, tmp_path / 'a', *arguments, '--cfg-options', NO_FLIP)
    theirs = draw(stock, tmp_path / 'b', *arguments)
    assert len(ours) == 2 and np.array_equal(ours, theirs)


def test_validation_is_drawn_at_the_size_of_the_file(config, tmp_path):
    """The input is resized, its ground truth not."""
    changed = tmp_path / 'resized.py'
    resize = "dict(type='Resize', scale=(64, 48), keep_ratio=True)"
    insert = f'_base_.val_dataloader.dataset.pipeline.insert(1, {resize})'
    changed.write_text(f"_base_ = '{config}'\n{insert}\n")
    (picture,) = draw(changed, tmp_path / 'out', '--split', 'val', '--indices', 0)
    truth = panels(picture, (480, 640))[1]
    assert np.all(at(truth, 12, 12) == mixed(BALL))
    crowd = truth[SCALE * 78 : SCALE * 83, SCALE * 8 : SCALE * 48]
    assert len(values(crowd)) == 2
    edge = truth[SCALE * 20, SCALE * 62 : SCALE * 66]
    assert np.all(edge[-SCALE:] == mixed(SKY))
    assert len(values(edge[: 2 * SCALE - 3])) > 1  # void up to the edge of the sky


def test_targets_of_every_level(config, tmp_path):
    """Six rows of three panels; the heat map is white at the ball's centre cell."""
    arguments = ('--indices', 0, '--targets', '--cfg-options', NO_FLIP)
    (picture,) = draw(config, tmp_path, *arguments)
    size = (480, 640)
    assert picture.shape == (6 * (title_height(*size) + 480 + GAP) - GAP, 3 * 640 + 2 * GAP, 3)
    grey = round(GREY * 0.35 - 0.5)
    for level, here in enumerate([True, True, False, False, False], 1):
        objects, centers, regions = panels(picture, size, level)
        # scale 32: in the ranges from 1 to 64 and from 32 to 128
        assert np.all(at(objects, 14, 14) == (GREY if here else grey))
        assert np.all(at(objects, 14, 110) == grey)
        # the mass centre 23.5 of the ball lies in the cell 2 of stride 8, 1 of stride 16
        assert np.all(at(centers, 16, 16) == 255) == here  # beside the name
        assert np.all(at(centers, 70, 100) == grey)
        sky = regions[SCALE * 90, SCALE * 120].astype(int)
        assert sky[2] > sky[1] > sky[0] + 40  # its hue
    # stride 8: the crowd is "any thing", which is white
    region = panels(picture, size, 1)[2]
    assert np.ptp(at(region, 78, 20)) == 0 and at(region, 78, 20).min() > 180
    assert np.all(at(region, 50, 20) == grey)  # void


@pytest.mark.parametrize('size', [(96, 128), (70, 100), (33, 200)])
@pytest.mark.parametrize('pad_labels', [False, True])
def test_targets_are_those_of_the_head(tmp_path, size, pad_labels):
    """For any size, with the level sizes of the real network."""
    ids, segments = ground_truth()
    ids = np.pad(ids, ((0, 0), (0, 80)))[: size[0], : size[1]]
    ids[2:4, 2:4] = 5
    segments = [*segments, dict(id=5, category_id=2, iscrowd=0)]
    segments = [{k: s[k] for k in ('id', 'category_id', 'iscrowd')} for s in segments]
    root = write_dataset(tmp_path / 'data', ids, [s for s in segments if (ids == s['id']).any()])
    cfg = Config.fromfile(write_config(root, tmp_path))
    padding = dict(pad_mask=pad_labels, pad_seg=pad_labels)
    cfg.model.data_preprocessor.update(padding)
    data = DATASETS.build(cfg.train_dataloader.dataset)[0]
    sample = build_target_pipeline(cfg).make(data['inputs'].permute(1, 2, 0).numpy(), data)
    model = build_tiny(data_preprocessor=padding)
    batch = {key: [value] for key, value in data.items()}
    batch = model.data_preprocessor(batch, training=True)
    with torch.no_grad():
        levels, mask_feats = model.panoptic_head(model.extract_feat(batch['inputs']))
        (expected,) = model.panoptic_head.get_targets(levels, mask_feats, batch['data_samples'])
    assert sample.image.shape[:2] == batch['inputs'].shape[-2:]
    assert torch.equal(sample.targets.masks, expected.masks)
    assert torch.equal(sample.targets.region_masks, expected.region_masks)
    for ours, theirs in zip(sample.targets.levels, expected.levels, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a, b)


def test_objects_without_a_level_are_crossed_out(tmp_path):
    """One vanishes at stride 4 (its pixel is not looked at), one has the size of no level."""
    ids = np.zeros(SIZE, np.int32)
    ids[20, 20] = 1
    ids[50:90, 60:100] = 2
    ids[10:20, 100:110] = 3
    segments = [dict(id=i, category_id=1, iscrowd=0) for i in (1, 2, 3)]
    root = write_dataset(tmp_path / 'data', ids, segments)
    config = write_config(root, tmp_path)
    ranges = 'model.train_cfg.assigner.scale_ranges=((1,20),(20,30),(50,60),(60,70),(70,80))'
    arguments = ('--indices', 0, '--targets', '--cfg-options', NO_FLIP, ranges)
    (picture,) = draw(config, tmp_path / 'out', *arguments)
    by_level = panels(picture, (480, 640))[2]
    crossed = np.all(by_level == (255, 0, 90), axis=-1)
    assert crossed[SCALE * 50 : SCALE * 90, SCALE * 60 : SCALE * 100].sum() > 500
    assert crossed[SCALE * 20 : SCALE * 21 + 1, SCALE * 20 : SCALE * 21 + 1].any()
    assert not crossed[: SCALE * 40, SCALE * 80 :].any()


def test_the_page_needs_nothing_but_its_pictures(config, tmp_path):
    draw(config, tmp_path, '--num', 0, '--index-page')
    page = (tmp_path / 'index.html').read_text(encoding='utf-8')
    assert not re.search('https?://|<script|<link|@import', page)
    links = [unquote(link) for link in re.findall('<a [^>]*href="([^"]*)"', page)]
    assert sorted(links) == sorted(path.name for path in tmp_path.glob('*.png'))
    images = re.findall('<img [^>]*src="([^"]*)"', page)
    assert len(images) == 3
    assert all(image.startswith('data:image/jpeg;base64,') for image in images)
    chips = re.findall('class="chip" style="([^"]*)"', page)
    assert chips == [f'background: rgb{tuple(color)}' for color in PALETTE]
    text = html.unescape(re.sub('<[^>]*>', '', page))
    assert 'my_config: train' in text and '3 of 3 images' in text
    assert 'ball 6' in text and 'sky 3' in text and 'brick 0' in text
    void = 100 * (96 * 64 - 32 * 32 - 24 * 48) / (96 * 128)
    assert text.count(f'1 thing, 1 stuff, 1 crowd, {void:.1f} % void') == 3
    assert 'prefers-color-scheme: dark' in page and 'width=device-width' in page


DATASET = '--cfg-options train_dataloader.dataset'


@pytest.mark.parametrize('arguments, message', [
    ('--indices 3', 'no image 3, the train split has 3'),
    ('--indices -1', 'got -1, expected a whole number'),
    ('--num few', 'got few, expected a whole number'),
    ('--num 1 --indices 1', 'not allowed with argument --num'),
    ('--split test', 'no test_dataloader, only those of: train, val'),
    ('--split val --targets', 'of val: the pipeline of this split loads no masks'),
    (f'{DATASET}.ann_file=none.json', r'none\.json is not'),
    (f'{DATASET}.mistake=1', "keyword argument 'mistake'"),
    (f'{DATASET}.type=Nothing', 'Nothing is not in the'),
    ('--targets --cfg-options model.train_cfg=None', 'no PanopticFCNAssigner'),
    (f'--targets {DATASET}.pipeline.1.semantic=False', 'loads no semantic map'),
    ('--targets --cfg-options model.panoptic_head.num_stuff_classes=0', 'num_stuff_classes=0 allow 0 to 5'),
])  # fmt: skip
def test_wrong_arguments(config, tmp_path, refused, arguments, message):
    text = refused(main, config, '--out-dir', tmp_path / 'out', *arguments.split(), codes=(1, 2))
    assert re.search(message, text), text
    assert not (tmp_path / 'out').exists()


def test_nothing_is_half_written(tmp_path, refused, config):
    root = write_dataset(tmp_path / 'data')
    image = root / 'train' / f'{NAMES[1]}.jpg'
    image.write_bytes(image.read_bytes()[:-300])
    config = write_config(root, tmp_path)
    out = tmp_path / 'out'
    text = refused(main, config, '--out-dir', out, '--index-page', codes=(1,))
    assert f'image 1 of train: image {image} is cut off' in text
    assert [path.name for path in out.iterdir()] == ['000000_a.png']
    (tmp_path / 'file').touch()
    text = refused(main, config, '--out-dir', tmp_path / 'file' / 'out', codes=(1,))
    assert str(tmp_path / 'file' / 'out') in text and 'another --out-dir' in text
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'data', 'file', 'my_config.py', 'out'}
