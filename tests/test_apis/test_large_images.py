"""Tiles of large images by the tiny model: same as the image, whoever computes them and when."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest
from helpers import tiny_inferencer
from helpers.files import contents, file_limit, times
from helpers.tiny_inferencer import picture

from mmpfcn import PanopticInferencer
from mmpfcn.apis.large_images import WORK_FOLDER, TiledPrediction, as_tile
from mmpfcn.formats.inputs import list_files

rasterio = pytest.importorskip('rasterio')


@pytest.fixture(scope='module')
def inferencer(tmp_path_factory):
    """Its test pipeline resizes; tiles are computed in their own size here."""
    found = tiny_inferencer.inferencer(tmp_path_factory.mktemp('model'))
    found.pipeline.transforms = [t for t in found.pipeline.transforms if 'Resize' not in str(t)]
    return found


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'large.png'
    cv2.imwrite(str(path), picture(150, 220))
    return path


def read(result) -> tuple[np.ndarray, list[dict]]:
    with rasterio.open(result.panoptic) as file:
        ids = file.read(1)
    return ids, [json.loads(line) for line in result.segments.open()]


def test_a_single_tile_is_the_plain_result(inferencer, image, tmp_path):
    ids, segments = read(inferencer.large(image, tmp_path / 'out', tile=256, overlap=32))
    result = inferencer(str(image))['predictions'][0]
    assert len(segments) == len(result.segments_info) > 3
    pairs = np.unique(np.stack([ids.ravel(), result.panoptic_seg.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    keys = ('area', 'bbox', 'label', 'name', 'isthing')
    assert sorted([str([s[k] for k in keys]) for s in segments]) == sorted(
        str([s[k] for k in keys]) for s in result.segments_info
    )


@pytest.fixture
def of_two_channels(tmp_path):
    """A model that is given the percentiles 1 to 99 of each channel."""
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    config.model.backbone.in_channels = 2
    config.model.data_preprocessor.update(mean=[116.0], std=[57.0], bgr_to_rgb=False)
    read_step = dict(type='LoadImage', channels=2, percentiles=(1, 99))
    config.test_dataloader.dataset.pipeline = [read_step, dict(type='PackPanopticInputs')]
    weights = tiny_inferencer.write_checkpoint(tmp_path, config)
    return PanopticInferencer(config, weights, 'cpu', show_progress=False)


def test_bits_and_channels_as_of_a_plain_image(of_two_channels, tmp_path):
    inferencer = of_two_channels
    pixels = picture(120, 160)[..., :2].transpose(2, 0, 1) * np.array([9, 200], np.uint16)[:, None, None]
    with rasterio.open(tmp_path / 'a.tif', 'w', 'GTiff', 160, 120, 2, dtype='uint16') as file:
        file.write(pixels)
    ids, segments = read(inferencer.large(tmp_path / 'a.tif', tmp_path / 'out', tile=256, overlap=32))
    result = inferencer(str(tmp_path / 'a.tif'))['predictions'][0]
    assert len(segments) == len(result.segments_info) > 1
    pairs = np.unique(np.stack([ids.ravel(), result.panoptic_seg.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_percentiles_are_those_of_valid_pixels(of_two_channels, tmp_path):
    pixels = np.random.default_rng(0).integers(100, 900, (2, 60, 80), np.uint16)
    pixels[1] *= 3
    expected = np.percentile(pixels[:, :, 30:], (1, 99), axis=(1, 2)).T
    pixels[:, :, :30] = 65535
    kind = dict(driver='GTiff', count=2, height=60, width=80, dtype='uint16', nodata=65535)
    with rasterio.open(tmp_path / 'a.tif', 'w', **kind) as file:
        file.write(pixels)
    (item,) = list_files([tmp_path / 'a.tif'])
    rule = TiledPrediction(of_two_channels, item, tmp_path / 'out', 256, 32).rule()
    assert rule.channels == 2 and np.allclose(rule.ranges, expected)


def test_percentiles_are_those_of_an_image_larger_than_a_tile(of_two_channels, tmp_path):
    """Noise and small bright spots are not averaged away."""
    rng = np.random.default_rng(1)
    pixels = rng.poisson(200, (2, 520, 640)).astype(np.uint16)
    pixels[:, rng.random((520, 640)) < 0.02] = 5000
    with rasterio.open(tmp_path / 'a.tif', 'w', 'GTiff', 640, 520, 2, dtype='uint16') as file:
        file.write(pixels)
    (item,) = list_files([tmp_path / 'a.tif'])
    rule = TiledPrediction(of_two_channels, item, tmp_path / 'out', 96, 32).rule()
    assert np.allclose(rule.ranges, np.percentile(pixels, (1, 99), axis=(1, 2)).T, rtol=0.03)


def test_segments_are_those_of_the_map(inferencer, image, tmp_path):
    result = inferencer.large(image, tmp_path / 'out', tile=64, overlap=24, polygons=True)
    ids, segments = read(result)
    assert ids.shape == (150, 220)
    assert Counter(ids[ids > 0].tolist()) == {s['id']: s['area'] for s in segments}
    for segment in segments:
        ys, xs = np.nonzero(ids == segment['id'])
        assert segment['bbox'] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
        assert segment['name'] == tiny_inferencer.CLASSES[segment['label']]
    stuff = [s['label'] for s in segments if not s['isthing']]
    assert len(stuff) == len(set(stuff))
    features = json.loads(result.polygons.read_text())['features']
    assert {f['properties']['id'] for f in features} == {s['id'] for s in segments}


def test_in_batches_in_processes_and_interrupted_it_is_the_same(inferencer, image, tmp_path):
    sizes = dict(tile=64, overlap=24)
    expected = read(inferencer.large(image, tmp_path / 'a', **sizes))
    again = read(inferencer.large(image, tmp_path / 'b', **sizes, batch_size=4))
    assert np.array_equal(expected[0], again[0]) and expected[1] == again[1]
    assert inferencer.large(image, tmp_path / 'c', **sizes, rank=1, world_size=2) is None
    before = times(tmp_path / 'c' / WORK_FOLDER)
    assert len(before) > 5
    shared = inferencer.large(image, tmp_path / 'c', **sizes, rank=0, world_size=2)
    assert np.array_equal(expected[0], read(shared)[0])
    after = times(tmp_path / 'c' / WORK_FOLDER)
    assert all(after[path] == time for path, time in before.items() if path.is_file())
    # what is there is not computed again, and gives the same
    files = contents(tmp_path / 'c')
    inferencer.large(image, tmp_path / 'c', **sizes)
    assert contents(tmp_path / 'c') == files
    # other tiles are not mixed in
    other = read(inferencer.large(image, tmp_path / 'c', tile=80, overlap=24))
    assert not np.array_equal(other[0], expected[0])


def test_a_tile_that_a_power_cut_left_damaged_is_computed_again(inferencer, image, tmp_path):
    sizes = dict(tile=96, overlap=32)
    expected, segments = read(inferencer.large(image, tmp_path, **sizes))
    tiles = sorted((tmp_path / WORK_FOLDER).rglob('*.npz'))
    whole = [path.read_bytes() for path in tiles]
    tiles[0].write_bytes(b'')
    tiles[1].write_bytes(bytes(len(whole[1])))
    tiles[-1].write_bytes(whole[-1][: len(whole[-1]) // 2])
    again, found = read(inferencer.large(image, tmp_path, **sizes))
    assert np.array_equal(again, expected) and found == segments
    assert sorted((tmp_path / WORK_FOLDER).rglob('*.npz')) == tiles


def test_a_full_disk_keeps_what_is_finished(inferencer, image, tmp_path):
    sizes = dict(tile=64, overlap=24)
    expected = read(inferencer.large(image, tmp_path / 'a', **sizes))
    tiles = [path.stat().st_size for path in (tmp_path / 'a' / WORK_FOLDER).rglob('*.npz')]
    with file_limit(int(np.median(tiles))), pytest.raises(OSError, match='File too large'):
        inferencer.large(image, tmp_path / 'b', **sizes)
    names = [path.name for path in (tmp_path / 'b').rglob('*') if path.is_file()]
    assert 0 < len(names) < len(tiles) and not any(name.startswith('.') for name in names)
    assert np.array_equal(expected[0], read(inferencer.large(image, tmp_path / 'b', **sizes))[0])


def test_nodata_is_void_and_georeference_stays(inferencer, tmp_path):
    pixels = (picture(100, 150)[..., ::-1] | 1).transpose(2, 0, 1)
    pixels[:, :70] = 0  # tiles of the first row have nothing else
    place = dict(crs='EPSG:32632', transform=rasterio.Affine(2, 0, 500_000, 0, -2, 5_400_000))
    kind = dict(driver='GTiff', count=3, height=100, width=150, dtype='uint8', nodata=0)
    with rasterio.open(tmp_path / 'a.tif', 'w', **kind, **place) as file:
        file.write(pixels)
    result = inferencer.large(tmp_path / 'a.tif', tmp_path / 'out', tile=64, overlap=24)
    ids, _ = read(result)
    assert (ids[:70] == 0).all() and (ids[70:] > 0).mean() > 0.5
    with rasterio.open(result.panoptic) as file:
        assert file.crs == place['crs'] and file.transform == place['transform']


def test_tiles_that_can_not_be_made(inferencer, image, tmp_path):
    for sizes, message in (((16, 4), 'too small for the model'), ((64, 64), 'expected an overlap')):
        with pytest.raises(ValueError, match=message):
            inferencer.large(image, tmp_path / 'out', *sizes)
    cv2.imwrite(str(tmp_path / 'b.png'), picture(150, 220))
    with pytest.raises(ValueError, match='names 2 images, expected one'):
        inferencer.large(tmp_path, tmp_path / 'out', tile=64)
    assert not (tmp_path / 'out').exists()


def test_tiles_share_a_quarter_if_nothing_is_said(inferencer, image, tmp_path):
    inferencer.large(image, tmp_path / 'said', 64, 16)
    inferencer.large(image, tmp_path / 'unsaid', 64)
    assert contents(tmp_path / 'said') == contents(tmp_path / 'unsaid')


def test_what_is_not_valid_is_no_segment(inferencer, image):
    result = inferencer(str(image))['predictions'][0]
    valid = np.arange(220) > np.zeros((150, 1)) + 99
    tile = as_tile(result, valid)
    assert (tile.index[:, :100] == 0).all()
    for number, segment in enumerate(result.segments_info, start=1):
        expected = valid & (result.panoptic_seg == segment['id'])
        assert np.array_equal(tile.index == number, expected)
    assert len(tile.kernels) == len(tile) == len(result.segments_info)
