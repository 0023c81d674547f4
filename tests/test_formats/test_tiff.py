"""What fits a model is one rule: predict and tiles read the same pixels of a file, or refuse it both."""

import io
from itertools import product

import cv2
import numpy as np
import pytest
from PIL import Image

from mmpfcn.formats.pixels import PixelRule, UnfitPixels
from mmpfcn.formats.raster import Raster
from mmpfcn.formats.read_image import read_image
from mmpfcn.formats.tiff import colour_table, num_channels, open_tiff

rasterio = pytest.importorskip('rasterio')
tifffile = pytest.importorskip('tifffile')
H, W = 5, 7
RULES = [
    PixelRule(), PixelRule(percentiles=(1, 99)),
    *(PixelRule(count, scale) for count in (1, 2, 3, 4) for scale in (None, [(0, 100)])),
]  # fmt: skip
SAMPLES = dict(minisblack=1, rgb=3)  # without others


def drawn(rng, count: int, kind: str) -> np.ndarray:
    """(H, W, count) random numbers."""
    if kind == 'float32':
        return rng.normal(0, 100, (H, W, count)).astype(kind)
    most = 1 if kind == 'bool' else np.iinfo(kind).max
    return rng.integers(0, most, (H, W, count), endpoint=True, dtype='i8').astype(kind)


def read(path, rule: PixelRule) -> tuple:
    """What both make of a file: the network's pixels, or the error."""

    def by_tiles():
        raster = Raster(path, rule)
        return rule.fit(raster.read((0, 0, *raster.shape))[0], 'a tile')

    found = []
    for reader in (lambda: read_image(path, rule), by_tiles):
        try:
            found.append(reader())
        except ValueError as error:
            found.append(error)
    return tuple(found)


def assert_same(path, rules=RULES, atol=1e-3) -> int:
    """Gives by how many of the rules the file is read."""
    count = 0
    for rule in rules:
        whole, tiles = read(path, rule)
        what = f'{path.name} by {rule}: {whole!r:.200}, {tiles!r:.200}'
        assert isinstance(whole, ValueError) == isinstance(tiles, ValueError), what
        if not isinstance(whole, ValueError):
            assert whole.shape == tiles.shape and whole.dtype == tiles.dtype, what
            assert np.allclose(whole, tiles, rtol=0, atol=atol), what
            count += 1
    return count


@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'int16', 'float32', 'bool'])
@pytest.mark.parametrize('photometric', SAMPLES)
def test_samples_of_a_tiff(tmp_path, kind, photometric):
    """Bands beside the colours, of which the first may be alpha; together or in planes."""
    rng, number = np.random.default_rng(0), 0
    for count, planes, extra in product(range(1, 6), ('contig', 'separate'), ((), ('unassalpha',))):
        others = count - SAMPLES[photometric]
        if others < 0 or (extra and not others) or (kind == 'bool' and count > 1):
            continue
        pixels = drawn(rng, count, kind)
        pixels = pixels[..., 0] if count == 1 else pixels
        options = dict(photometric=photometric)
        if count > 1:
            options['planarconfig'] = planes
            pixels = pixels.transpose(2, 0, 1).copy() if planes == 'separate' else pixels
        if extra:
            options['extrasamples'] = [*extra, *['unspecified'] * (others - 1)]
        tifffile.imwrite(tmp_path / f'{count}{planes}.tif', pixels, **options)
        number += assert_same(tmp_path / f'{count}{planes}.tif')
    assert (number > 0) == ((photometric, kind) != ('rgb', 'bool'))


@pytest.mark.parametrize('kind', ['bool', 'uint8', 'uint16'])
def test_inverted_grey_and_printing_colours(tmp_path, kind):
    """Whole images of 8 bits or less are read in colour; all else of them is refused."""
    rng, path = np.random.default_rng(0), tmp_path / 'a.tif'
    grey, ink = drawn(rng, 1, kind)[..., 0], drawn(rng, 4, 'uint8' if kind == 'bool' else kind)
    for photometric, pixels in (('miniswhite', grey), ('separated', ink)):
        tifffile.imwrite(path, pixels, photometric=photometric)
        for rule in RULES:
            whole, tiles = read(path, rule)
            assert 'photometric interpretation' in str(tiles)
            if kind == 'uint16' or rule.channels is not None:
                assert 'photometric interpretation' in str(whole)
            elif rule == PixelRule():
                expected = np.array(Image.open(path).convert('RGB'))[..., ::-1]
                assert np.allclose(whole, expected, rtol=0, atol=2)


@pytest.mark.parametrize('kind', ['uint8', 'uint16'])
@pytest.mark.parametrize('step', [256, 257])
def test_colour_maps(tmp_path, kind, step):
    """They count as three channels."""
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (3, 2 ** (8 * np.dtype(kind).itemsize)), np.uint16)
    pixels = drawn(rng, 1, kind)[..., 0]
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='palette', colormap=colours * step)
    assert assert_same(tmp_path / 'a.tif') == 4
    assert np.array_equal(read_image(tmp_path / 'a.tif'), colours[::-1, pixels].transpose(1, 2, 0))
    assert np.array_equal(colour_table(colours.T * step), colours[::-1].T)


@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'float32'])
@pytest.mark.parametrize('options', [
    {}, dict(ome=True, metadata=dict(axes='CYX')), dict(imagej=True, metadata=dict(axes='CYX')),
    dict(imagej=True, metadata=dict(axes='ZYX')),
])  # fmt: skip
def test_pages_are_channels(tmp_path, kind, options):
    """For colours the first page is read."""
    for count in (2, 3, 4):
        pixels = drawn(np.random.default_rng(2), count, kind).transpose(2, 0, 1).copy()
        tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='minisblack', **options)
        scaled, whole = PixelRule(count, [(0, 100)]), pixels.transpose(1, 2, 0)
        assert assert_same(tmp_path / 'a.tif') == {'uint8': 4, 'uint16': 3, 'float32': 1}[kind]
        if count != 3:
            assert np.array_equal(read_image(tmp_path / 'a.tif', scaled), scaled.fit(whole, 'a'))


def test_stacks_with_other_axes_are_refused(tmp_path):
    pixels = drawn(np.random.default_rng(3), 6, 'uint16').transpose(2, 0, 1).reshape(2, 3, H, W)
    options = dict(imagej=True, metadata=dict(axes='ZCYX'))
    tifffile.imwrite(tmp_path / 'a.tif', pixels.copy(), **options)
    for rule in RULES[2:]:
        for error in read(tmp_path / 'a.tif', rule):
            assert 'is a TIFF with the axes ZCYX of (2, 3, 5, 7)' in str(error)
    assert assert_same(tmp_path / 'a.tif', RULES[:2]) == 2


def test_pages_of_different_kinds(tmp_path):
    """The first image counts; what is behind it, such as a thumbnail, does not."""
    rng = np.random.default_rng(4)
    with tifffile.TiffWriter(tmp_path / 'a.tif') as file:
        file.write(drawn(rng, 3, 'uint8'), photometric='rgb')
        file.write(drawn(rng, 1, 'uint8')[:3, :3, 0], photometric='minisblack')
    assert assert_same(tmp_path / 'a.tif') == 4


@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'int16', 'float32'])
def test_files_of_gdal_with_nodata(tmp_path, kind):
    """Three bands of 16 bits are no colours for GDAL, but are read as red, green and blue."""
    for count in range(1, 6):
        profile = dict(driver='GTiff', count=count, height=H, width=W, dtype=kind, nodata=0)
        pixels = drawn(np.random.default_rng(count), count, kind).transpose(2, 0, 1)
        with rasterio.open(tmp_path / 'a.tif', 'w', **profile) as file:
            file.write(pixels)
        assert assert_same(tmp_path / 'a.tif') > 0 or count == 5
        if count == 3 and kind == 'uint16':
            expected = (pixels[::-1] >> 8).transpose(1, 2, 0)
            assert np.array_equal(read_image(tmp_path / 'a.tif'), expected)


@pytest.mark.parametrize('suffix', ['png', 'tif', 'bmp', 'webp', 'gif'])
def test_what_pil_writes(tmp_path, suffix):
    rng, number = np.random.default_rng(5), 0
    for mode in ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'I;16', 'F'):
        image = Image.fromarray(drawn(rng, 3, 'uint8'))
        if mode == 'I;16':
            image = Image.fromarray(drawn(rng, 1, 'uint16')[..., 0])
        try:
            image = image if mode == 'I;16' else image.convert(mode)
            image.save(tmp_path / f'a.{suffix}', **dict(lossless=True) if suffix == 'webp' else {})
        except (OSError, ValueError):  # not in this format
            continue
        if (mode, suffix) != ('CMYK', 'tif'):  # see test_inverted_grey_and_printing_colours
            number += assert_same(tmp_path / f'a.{suffix}')
    assert number > 5


def test_alpha_does_not_change_colours(tmp_path):
    pixels = drawn(np.random.default_rng(6), 4, 'uint8')
    options = dict(photometric='rgb', extrasamples=['unassalpha'])
    tifffile.imwrite(tmp_path / 'a.tif', pixels, **options)
    cv2.imwrite(str(tmp_path / 'a.png'), pixels[..., [2, 1, 0, 3]])
    for name in ('a.tif', 'a.png'):
        for rule in (PixelRule(), PixelRule(3)):
            assert np.array_equal(read_image(tmp_path / name, rule), pixels[..., 2::-1])
        assert np.array_equal(read_image(tmp_path / name, PixelRule(4)), pixels)


def test_how_many_channels(tmp_path):
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((4, H, W), np.uint16), photometric='minisblack')
    file.seek(0)
    with open_tiff(file, 'a') as opened:
        assert num_channels(opened, 'a') == 4
    with pytest.raises(ValueError, match='a can not be decoded by tifffile'), open_tiff(file, 'a'):
        raise KeyError
    with pytest.raises(UnfitPixels, match='b'), open_tiff(io.BytesIO(file.getvalue()), 'a'):
        raise UnfitPixels('b')
