"""Channels and bits of images, and how they become numbers from 0 to 255."""

import io
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mmpfcn.formats import read_image
from mmpfcn.formats.pixels import COLOUR, PixelRule, UnfitPixels, preview, warn_of_lost_bits
from mmpfcn.formats.read_image import decode_image

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 4096, (6, 8), np.uint16)  # 12 bits
BANDS = RNG.integers(0, 10_000, (6, 8, 4), np.uint16)
WIDE = PixelRule(4, [(0, 10_000)])


def tiff(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **{'photometric': 'minisblack', **options})
    return file.getvalue()


def test_ranges_and_percentiles():
    """Low becomes 0 and high 255, of each channel; what is beyond is clipped, NaN becomes 0."""
    rule = PixelRule(2, [(100, 200), (0, 4095)])
    image = rule.fit(np.array([[[150, 4095], [0, 0], [999, 819]]], np.uint16), 'a')
    assert image.dtype == np.float32
    assert np.allclose(image, [[[127.5, 255], [0, 0], [255, 51]]])
    one = PixelRule(2, [(0, 4095)]), PixelRule(2, [(0, 4095)] * 2)
    pixels = RNG.integers(0, 4096, (5, 7, 2), np.uint16)
    assert np.array_equal(one[0].fit(pixels, 'a'), one[1].fit(pixels, 'a'))
    pixels = np.stack([np.arange(101), 50 + 7 * np.arange(101)], 1)[None].astype(np.float64)
    image = PixelRule(2, percentiles=(10, 90)).fit(pixels, 'a')
    expected = (np.arange(101) - 10).clip(0, 80) * 255 / 80
    assert np.allclose(image, expected[:, None], atol=1e-4)  # whatever the unit
    pixels[0, 0] = np.nan
    image = PixelRule(2, percentiles=(0, 100)).fit(pixels, 'a')
    assert np.allclose(image[0, :, 0], np.r_[0, np.arange(100) * 255 / 99], atol=1e-4)
    assert not PixelRule(1, percentiles=(1, 99)).fit(np.full((3, 4), 7), 'a').any()  # all the same


def test_a_part_by_the_percentiles_of_the_whole():
    rule = PixelRule(4, percentiles=(2, 97))
    assert np.array_equal(rule.fixed(BANDS).fit(BANDS[:3], 'a'), rule.fit(BANDS, 'a')[:3])
    assert not np.allclose(rule.fit(BANDS[:3], 'a'), rule.fit(BANDS, 'a')[:3])
    assert WIDE.fixed(BANDS) == WIDE and COLOUR.fixed(BANDS) == COLOUR


@pytest.mark.parametrize('arguments', [
    dict(ranges=[(0, 1)] * 4), dict(channels=0), dict(channels=1, ranges=[(0, 9)], percentiles=(1, 99)),
    dict(channels=4, ranges=[(0, 9)] * 3), dict(channels=1, ranges=[(9, 0)]),
    dict(channels=1, percentiles=(1, 101)), dict(channels=2, percentiles=[(1, 99)] * 2),
])  # fmt: skip
def test_settings_that_are_none(arguments):
    with pytest.raises(ValueError, match=r'PixelRule\(channels=.*: .*(expected|from 0 to 100)'):
        PixelRule(**arguments)


TIFFS = {
    'samples': tiff(BANDS, planarconfig='contig'),
    'planes': tiff(BANDS.transpose(2, 0, 1).copy(), planarconfig='separate'),
    'pages': tiff(BANDS.transpose(2, 0, 1).copy()),
    'ImageJ': tiff(BANDS.transpose(2, 0, 1).copy(), imagej=True, metadata=dict(axes='CYX')),
    'OME': tiff(BANDS.transpose(2, 0, 1).copy(), ome=True, metadata=dict(axes='CYX')),
    'big, tiled': tiff(
        BANDS, bigtiff=True, planarconfig='contig', tile=(16, 16), compression='zlib', predictor=True
    ),
}


@pytest.mark.parametrize('kind', TIFFS)
def test_channels_wherever_a_tiff_has_them(tmp_path, kind):
    (tmp_path / 'a.tif').write_bytes(TIFFS[kind])
    image = read_image(tmp_path / 'a.tif', WIDE)
    assert np.allclose(image, BANDS / 10_000 * 255, atol=1e-4)
    assert np.array_equal(image, read_image(BANDS, WIDE))  # as an array
    assert image.flags.c_contiguous


def test_files_arrays_and_pil_agree(tmp_path):
    """One channel; three, which are BGR; four, in the order of the file."""
    rule = PixelRule(1, [(0, 4095)])
    Image.fromarray(DEEP).save(tmp_path / 'a.png')
    (tmp_path / 'a.tif').write_bytes(tiff(DEEP))
    for source in (tmp_path / 'a.png', tmp_path / 'a.tif', DEEP, Image.open(tmp_path / 'a.png')):
        assert np.allclose(read_image(source, rule), DEEP[..., None] / 4095 * 255, atol=1e-4)
    bgr = BANDS[..., :3]
    cv2.imwrite(str(tmp_path / 'a.png'), bgr)
    (tmp_path / 'a.tif').write_bytes(tiff(bgr[..., ::-1], photometric='rgb'))
    for source in (tmp_path / 'a.png', tmp_path / 'a.tif', bgr):
        image = read_image(source, PixelRule(3, [(0, 255)]))
        assert np.array_equal(image, bgr.clip(0, 255))
    rgba = BANDS.astype(np.uint8)
    Image.fromarray(rgba).save(tmp_path / 'a.png')
    for source in (tmp_path / 'a.png', rgba, Image.fromarray(rgba)):
        assert np.array_equal(read_image(source, PixelRule(4)), rgba)


@pytest.mark.parametrize('suffix', ['png', 'tif'])
@pytest.mark.parametrize('shape, dtype', [((3,), 'u1'), ((4,), 'u1'), ((), 'u1'), ((), '<u2')])
def test_colours_are_scaled_whatever_the_file_has(tmp_path, shape, dtype, suffix):
    """Grey is repeated, alpha left out, 16 bits are not cut."""
    pixels = RNG.integers(0, 250 if dtype == 'u1' else 3000, (16, 24, *shape)).astype(dtype)
    if shape == (4,):
        pixels[..., 3] = 255
    image = Image.fromarray(pixels)
    image.save(tmp_path / f'a.{suffix}')
    colours = np.broadcast_to(pixels.reshape(16, 24, -1)[..., :3], (16, 24, 3))[..., ::-1]
    low, high = np.percentile(colours, (1, 99.8), axis=(0, 1))
    expected = ((colours - low) / (high - low) * 255).clip(0, 255)
    for source in (tmp_path / f'a.{suffix}', image):
        found = read_image(source, PixelRule(percentiles=(1, 99.8)))
        assert found.dtype == np.float32 and np.allclose(found, expected, atol=1e-3)


def test_what_does_not_fit_is_told():
    """What was found, what the model is for, and what to set."""
    with pytest.raises(UnfitPixels, match=r'a has 4 channel\(s\) of uint16, .* 1 channel.*channels=4'):
        PixelRule(1, [(0, 9)]).fit(BANDS, 'a')
    with pytest.raises(UnfitPixels, match='a has 4 .* of uint16, but the model is for uint8: set range'):
        PixelRule(4).fit(BANDS, 'a')
    for pixels in (np.zeros((2, 3), bool), np.zeros(5), np.zeros((0, 4))):
        with pytest.raises(UnfitPixels, match='expected numbers of'):
            PixelRule(1, [(0, 9)]).fit(pixels, 'a')
    stack = tiff(np.zeros((3, 4, 6, 8), np.uint16), imagej=True, metadata=dict(axes='ZCYX'))
    with pytest.raises(UnfitPixels, match=r'a is a TIFF with the axes ZCYX of \(3, 4, 6, 8\)'):
        decode_image(stack, 'a', rule=WIDE)
    colours = tiff(BANDS[..., 0].astype(np.uint8), photometric='palette', colormap=np.zeros((3, 256), 'u2'))
    with pytest.raises(UnfitPixels, match='a is a TIFF with a colour map'):
        decode_image(colours, 'a', rule=PixelRule(1))
    for content in (TIFFS['samples'][:40], TIFFS['samples'][:-100], b'II*\0'):
        with pytest.raises(ValueError, match='a can not be decoded by tifffile|a is cut off'):
            decode_image(content, 'a', rule=WIDE)
    with pytest.raises(ValueError, match='more than 20: cut it into tiles'):
        decode_image(TIFFS['big, tiled'], 'a', 20, WIDE)


@pytest.mark.parametrize('kind', ['samples', 'planes', 'big, tiled'])
def test_a_model_for_colours_takes_no_bands(kind):
    with pytest.raises(UnfitPixels, match='a is a TIFF of 4 channels, but the model is for grey or colo'):
        decode_image(TIFFS[kind], 'a')
    for options in (dict(), dict(extrasamples=['unassalpha'])):
        pixels = BANDS.astype(np.uint8)[..., : 4 if options else 3]
        assert decode_image(tiff(pixels, photometric='rgb', **options), 'a').shape == (6, 8, 3)


def test_bands_of_jpeg_2000_are_not_dropped():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    content = cv2.imencode('.jp2', image, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1].tobytes()
    assert np.array_equal(decode_image(content, 'a'), image)
    colours = b'colr\1\0\0\0\0\0'
    assert content.count(colours + b'\x10') == 1
    bands = content.replace(colours + b'\x10', colours + b'\x11')  # as GDAL writes what has no colours
    with pytest.raises(UnfitPixels, match='a is a JPEG 2000 of 3 channels, but the model is for grey'):
        decode_image(bands, 'a')
    with pytest.raises(UnfitPixels, match='a is a JPEG 2000 of 3 channels that are no colours.*as TIFF'):
        decode_image(bands, 'a', rule=PixelRule(channels=3))
    grey = cv2.imencode('.jp2', image[..., 0], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1].tobytes()
    assert np.array_equal(decode_image(grey, 'a'), image[..., :1].repeat(3, 2))
    deep = cv2.imencode('.jp2', image[..., 0].astype(np.uint16) * 256)[1].tobytes()
    warn_of_lost_bits.cache_clear()
    with pytest.warns(UserWarning, match='images of 16 bits are cut to their upper 8'):
        decode_image(deep, 'a')


def test_lost_bits_are_told(tmp_path):
    png, colours = cv2.imencode('.png', DEEP)[1].tobytes(), tiff(BANDS[..., :3], photometric='rgb')
    for content in (png, colours, tiff(DEEP)):
        warn_of_lost_bits.cache_clear()
        with pytest.warns(UserWarning, match='images of 16 bits are cut to their upper 8'):
            decode_image(content, 'a')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        decode_image(cv2.imencode('.png', DEEP.astype(np.uint8))[1].tobytes(), 'a')
        read_image(DEEP, PixelRule(1, percentiles=(1, 99.8)))


def test_previews():
    """Grey of one or two channels, the first three of more, nothing new of colours."""
    image = np.array([[[10.4, 20.6, 30, 40]]], np.float32)
    assert preview(image).tolist() == [[[30, 21, 10]]]  # BGR
    assert preview(image[..., :3]).tolist() == [[[10, 21, 30]]]
    assert preview(image[..., :2]).tolist() == preview(image[..., 0]).tolist() == [[[10] * 3]]
    assert preview(COLOUR.fit(BANDS.astype(np.uint8), 'a')).dtype == np.uint8


def test_a_run_says_once_that_bits_are_lost():
    """Also where something else changes the filters of warnings between its images."""
    code = """
import warnings
import numpy as np
from mmpfcn.formats import read_image
for _ in range(5):
    read_image(np.zeros((3, 4), np.uint16))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
"""
    for options, count in (([], 1), (['-W', 'ignore'], 0), (['-W', 'always'], 1)):
        run = [sys.executable, *options, '-c', code]
        said = subprocess.run(run, capture_output=True, text=True, check=True).stderr
        assert said.count('images of 16 bits are cut to their upper 8') == count


def test_bytes_by_counting_as_others_by_sorting():
    """Of 8 bits percentiles are counted and pixels looked up; the numbers are the same."""
    for shape, highest in (((1, 1, 3), 256), ((3, 2, 4), 4), ((40, 33, 2), 250), ((64, 80, 3), 20)):
        pixels = RNG.integers(0, highest, shape).astype(np.uint8)
        rule = PixelRule(shape[2], percentiles=(1, 99.8))
        low, high = np.array(rule.fixed(pixels).ranges).T
        expected = np.percentile(pixels, (1, 99.8), (0, 1))
        assert np.allclose(low, expected[0], rtol=0, atol=1e-9)
        assert np.allclose(high, np.where(expected[1] > low, expected[1], low + 1))
        assert np.array_equal(rule.fit(pixels, 'a'), rule.fit(pixels.astype(np.uint16), 'a'))
