"""Windows of image files of all kinds."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.rasters import RNG, noise, write

from mmpfcn.formats.pixels import COLOUR, PixelRule, warn_of_lost_bits
from mmpfcn.formats.raster import Raster
from mmpfcn.formats.read_image import read_image

rasterio = pytest.importorskip('rasterio')
DEEP = PixelRule(channels=4, ranges=[(0, 10_000)])


@pytest.mark.parametrize('suffix', ['.tif', '.png', '.jp2', '.bmp'])
def test_windows_are_parts_of_the_image(tmp_path, suffix):
    image = noise(70, 90, 3)
    cv2.imwrite(str(tmp_path / f'a{suffix}'), image, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    raster = Raster(tmp_path / f'a{suffix}')
    assert raster.shape == (70, 90) and raster.place == {}
    pixels, valid = raster.read((10, 20, 60, 85))
    assert np.array_equal(pixels, image[10:60, 20:85]) and valid.shape == (50, 65) and valid.all()


def test_made_small_it_is_the_mean(tmp_path):
    image = noise(64, 96, 3)
    cv2.imwrite(str(tmp_path / 'a.tif'), image)
    small, valid = Raster(tmp_path / 'a.tif').read_small((16, 24))
    expected = image.reshape(16, 4, 24, 4, 3).mean((1, 3))
    assert valid.shape == (16, 24) and abs(small - expected).max() <= 1


@pytest.mark.parametrize('suffix', ['tif', 'jp2'])
def test_a_sample_has_pixels_and_no_means(tmp_path, suffix):
    pixels = RNG.integers(1, 8, (2, 256, 320)).astype(np.uint16)
    pixels[:, :, ::2] = 900
    pixels[:, :128] = 0
    path = write(tmp_path / 'a.tif', pixels, nodata=0)
    with rasterio.open(path, 'r+') as file:
        file.build_overviews([2, 4], rasterio.enums.Resampling.average)
    if suffix == 'jp2':  # has overviews by itself
        from rasterio.shutil import copy

        copy(path, tmp_path / 'a.jp2', driver='JP2OpenJPEG', REVERSIBLE='YES', QUALITY='100')
    found, valid = Raster(tmp_path / f'a.{suffix}', PixelRule(2, [(0, 10)])).sample((64, 72))
    assert found.shape == (64, 72, 2) and np.isin(found, pixels).all()
    assert valid[33:].all() and not valid[:31].any() and 0.4 < (found[valid] == 900).mean() < 0.6


def test_what_is_not_valid(tmp_path):
    pixels = noise(3, 40, 50) | 1
    pixels[:, :10] = 0
    pixels[0, 30:] = 0  # in one band alone: no nodata
    expected = np.repeat([False, True], [10, 30])
    valid = Raster(write(tmp_path / 'nodata.tif', pixels, nodata=0)).read((0, 0, 40, 50))[1]
    assert np.array_equal(valid, np.repeat(expected[:, None], 50, 1))
    pixels = np.append(pixels, pixels[:1] * 0 + 255 * expected[:, None].astype(np.uint8)[None], 0)
    image, valid = Raster(write(tmp_path / 'alpha.tif', pixels, alpha=True)).read((0, 0, 40, 50))
    assert image.shape == (40, 50, 3) and np.array_equal(valid[:, 0], expected)


def test_nan_is_not_valid_whatever_the_file_says(tmp_path):
    pixels = noise(3, 40, 60).astype(np.float32)
    pixels[:, :10], pixels[0, 30:] = np.nan, np.nan  # of all channels, and of one alone
    for name, more in (('a.tif', {}), ('b.tif', dict(nodata=np.nan)), ('c.tif', dict(nodata=-1))):
        raster = Raster(write(tmp_path / name, pixels, **more), PixelRule(3, [(0, 255)]))
        valid, small = raster.read((0, 0, 40, 60))[1], raster.read_small((4, 6))[1]
        assert np.array_equal(valid, np.repeat(np.arange(40)[:, None] >= 10, 60, 1))
        assert np.array_equal(small, np.repeat(np.arange(4)[:, None] >= 1, 6, 1))


def test_grey_colour_map_16_bits_and_more_bands(tmp_path):
    grey = noise(1, 40, 50) % 3
    assert np.array_equal(Raster(write(tmp_path / 'g.tif', grey)).read((0, 0, 9, 9))[0], grey[0, :9, :9])
    colours = {0: (1, 2, 3, 255), 1: (4, 5, 6, 255), 2: (7, 8, 9, 255)}
    path = write(tmp_path / 'c.tif', grey, colormap=colours)
    table = np.array([colours[i][2::-1] for i in range(3)])  # BGR
    for found in (Raster(path).read((0, 0, 40, 50))[0], Raster(path).read_small((40, 50))[0]):
        assert np.array_equal(found, table[grey[0]])
    assert np.array_equal(Raster(path, PixelRule(channels=3)).read((0, 0, 40, 50))[0], table[grey[0]])
    with pytest.raises(ValueError, match='c.tif has 3 bands, the model takes 1'):
        Raster(path, PixelRule(channels=1))
    deep = noise(4, 40, 50, dtype=np.uint16)
    pixels, _ = Raster(write(tmp_path / 'd.tif', deep), DEEP).read((0, 0, 40, 50))
    assert pixels.dtype == np.uint16 and np.array_equal(pixels, deep.transpose(1, 2, 0))


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_grey_of_few_bits_is_from_black_to_white(tmp_path, bits):
    image = np.arange(2**bits, dtype=np.uint8)[None].repeat(3, 0)
    kind = dict(driver='PNG', count=1, height=3, width=2**bits, dtype='uint8', NBITS=bits)
    with rasterio.open(tmp_path / 'a.png', 'w', **kind) as file:
        file.write(image, 1)
    found = Raster(tmp_path / 'a.png').read((0, 0, 3, 2**bits))[0]
    assert found.min() == 0 and found.max() == 255
    assert np.array_equal(found, read_image(tmp_path / 'a.png')[..., 0])


def test_lost_bits_are_told_once(tmp_path):
    deep = noise(3, 40, 50, dtype=np.uint16)
    warn_of_lost_bits.cache_clear()
    with pytest.warns(UserWarning, match='images of 16 bits are cut to their upper 8'):
        raster = Raster(write(tmp_path / 'a.tif', deep))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        found = COLOUR.fit(raster.read((0, 0, 40, 50))[0], 'a')
        kept = Raster(tmp_path / 'a.tif', PixelRule(ranges=[(0, 9)])).read((0, 0, 40, 50))[0]
    assert np.array_equal(found, (deep[::-1] >> 8).transpose(1, 2, 0)) and kept.dtype == np.uint16


def test_a_colour_map_of_16_bits(tmp_path):
    tifffile = pytest.importorskip('tifffile')
    numbers = noise(30, 40, dtype=np.uint16)
    colours = noise(3, 2**16, dtype=np.uint8)
    tifffile.imwrite(
        tmp_path / 'a.tif', numbers, photometric='palette', colormap=colours.astype(np.uint16) << 8
    )
    found = Raster(tmp_path / 'a.tif').read((0, 0, 30, 40))[0]
    assert np.array_equal(found, colours[::-1, numbers].transpose(1, 2, 0))


def test_what_is_a_channel_and_which_numbers_the_rule_says(tmp_path):
    pixels = noise(4, 40, 50)  # GDAL takes the fourth of 8 bits for alpha
    path = write(tmp_path / 'a.tif', pixels)
    found, valid = Raster(path, DEEP).read((0, 0, 40, 50))
    assert np.array_equal(found, pixels.transpose(1, 2, 0)) and valid.all() and valid.shape == (40, 50)
    pixels[:, 9:] |= 1
    pixels[:, :9] = 0
    found, valid = Raster(write(tmp_path / 'n.tif', pixels, nodata=0), DEEP).read((0, 0, 40, 50))
    assert found.shape == (40, 50, 4) and np.array_equal(valid[:, 0], np.arange(40) > 8)
    for kind in ('f4', 'i2', 'f8'):
        numbers = RNG.normal(0, 1000, (4, 40, 50)).astype(kind)
        found, _ = Raster(write(tmp_path / f'{kind}.tif', numbers), DEEP).read((0, 0, 40, 50))
        assert np.array_equal(found, numbers.transpose(1, 2, 0)) and found.dtype == kind
        with pytest.raises(ValueError, match=f'{kind}.tif has 4 channel.*the model is for uint8'):
            Raster(tmp_path / f'{kind}.tif', PixelRule(channels=4))
    with pytest.raises(ValueError, match='g.tif has 1 bands, the model takes 3: give it such images'):
        Raster(write(tmp_path / 'g.tif', pixels[:1]), PixelRule(channels=3))


def turned(path: Path) -> Path:
    from PIL import Image

    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(noise(20, 30, 3)).save(path, exif=exif)
    return path


def test_what_can_not_be_used_says_why(tmp_path):
    (tmp_path / 'text.tif').write_text('no image')
    (tmp_path / 'empty.tif').touch()
    cases = {
        'text.tif': 'can not be opened as an image',
        'empty.tif': 'is cut off',
        write(tmp_path / 'five.tif', noise(5, 40, 40)).name: 'has 5 bands, the model takes 3',
        write(tmp_path / 'float.tif', noise(3, 40, 40).astype('f4')).name: 'pixels of float32',
        turned(tmp_path / 'turned.jpg').name: 'EXIF orientation',
    }
    for name, message in cases.items():
        with pytest.raises(ValueError, match=f'{name}.*{message}'):
            Raster(tmp_path / name)
    with pytest.raises(ValueError, match='https://a.org/b.tif is an address.*download it'):
        Raster('https://a.org/b.tif')
    with pytest.raises(FileNotFoundError, match='none.tif is not there'):
        Raster(tmp_path / 'none.tif')


def test_names_of_all_kinds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = noise(20, 30, 3)
    for name in ('zip:a.png', 'a b ü 100%.png', '#?[1].png', 'a!b.png'):
        Path(name).write_bytes(cv2.imencode('.png', image)[1])
        assert np.array_equal(Raster(name).read((0, 0, 20, 30))[0], image)
    (tmp_path / 'a\udcff.png').write_bytes(b'GIF')
    with pytest.raises(ValueError, match='png has a name that is not UTF-8.*rename it'):
        Raster('a\udcff.png')


@pytest.mark.parametrize('suffix', ['.tif', '.png', '.jpg', '.jp2'])
def test_cut_off_files(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), noise(200, 200, 3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f'a{suffix}.*cut off'):
        Raster(path).read((0, 0, 200, 200))


def test_formats_without_georeference_have_none(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.ppm'), noise(20, 30, 3))  # rasterio gives a transform of zeros
    assert Raster(tmp_path / 'a.ppm').place == {}
