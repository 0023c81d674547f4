"""Windows of image files of all kinds, and maps of ids on disk."""

import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.files import file_limit

from mmpfcn.formats.pixels import COLOUR, PixelRule, warn_of_lost_bits
from mmpfcn.formats.raster import Raster, write_ids, write_polygons
from mmpfcn.formats.read_image import read_image

rasterio = pytest.importorskip('rasterio')
DEEP = PixelRule(channels=4, ranges=[(0, 10_000)])
RNG = np.random.default_rng(0)
PLACE = dict(crs='EPSG:32632', transform=rasterio.Affine(2, 0, 500_000, 0, -2, 5_400_000))


def write(path: Path, pixels: np.ndarray, colormap=None, alpha=False, **more) -> Path:
    """(bands, H, W) pixels as a TIFF in blocks."""
    kind = dict(driver='GTiff', tiled=True, blockxsize=32, blockysize=32, compress='deflate')
    count, height, width = pixels.shape
    with rasterio.open(
        path, 'w', count=count, height=height, width=width, dtype=pixels.dtype, **kind, **more
    ) as file:
        file.write(pixels)
        if colormap:
            file.write_colormap(1, colormap)
        if alpha:
            kinds = (*file.colorinterp[:-1], rasterio.enums.ColorInterp.alpha)
            file.colorinterp = kinds
    return path


def noise(*shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype)


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


def blocks(ids: np.ndarray):
    for top in range(0, len(ids), 100):
        yield (top, 0, min(top + 100, len(ids)), ids.shape[1]), ids[top : top + 100]


def test_ids_in_the_place_of_the_image(tmp_path):
    source = Raster(write(tmp_path / 'a.tif', noise(3, 300, 400), **PLACE))
    ids = noise(300, 400, dtype=np.int32) * (np.arange(400) > 99)
    with write_ids(tmp_path / 'out' / 'ids.tif', ids.shape, source.place) as write_block:
        for bounds, block in blocks(ids):
            write_block(bounds, block)
        assert not (tmp_path / 'out' / 'ids.tif').exists()
    with rasterio.open(tmp_path / 'out' / 'ids.tif') as file:
        assert np.array_equal(file.read(1), ids) and file.nodata == 0
        assert file.crs == PLACE['crs'] and file.transform == PLACE['transform']
        assert file.profile['tiled'] and file.compression.name == 'deflate'
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['ids.tif']


@pytest.mark.parametrize('limit', [20_000, 1_000_000])  # while it is written, and as it is closed
def test_a_full_disk_leaves_nothing(tmp_path, limit):
    ids = noise(600, 600, dtype=np.int32)
    with file_limit(limit), pytest.raises(OSError, match='ids.tif could not be written'):
        with write_ids(tmp_path / 'ids.tif', ids.shape, {}) as write_block:
            for bounds, block in blocks(ids):
                write_block(bounds, block)
    assert [*tmp_path.iterdir()] == []


def test_polygons(tmp_path):
    ids = np.zeros((20, 30), np.int32)
    ids[2:5, 3:9] = 1
    ids[10:12, 10:12] = 2
    for name, place in (('pixels', {}), ('placed', PLACE)):
        with write_ids(tmp_path / f'{name}.tif', ids.shape, place) as write_block:
            write_block((0, 0, 20, 30), ids)
        path = tmp_path / f'{name}.geojson'
        write_polygons(path, tmp_path / f'{name}.tif', {1: dict(id=1, name='roof')})
        (feature,) = json.loads(path.read_text())['features']
        assert feature['properties'] == dict(id=1, name='roof')
        corners = np.array(feature['geometry']['coordinates'][0])
        if name == 'pixels':
            assert {*map(tuple, corners.tolist())} == {(3, 2), (9, 2), (9, 5), (3, 5)}
        else:  # zone 32 has its middle at 9 degrees east
            assert abs(corners - (9, 48.75)).max() < 0.01


CORNERS = {(3, 2), (9, 2), (9, 5), (3, 5)}  # x, y in pixels
SITE = 'LOCAL_CS["site",UNIT["metre",1]]'


@pytest.mark.parametrize('place, expected', [
    (dict(crs=SITE, transform=rasterio.Affine(1, 0, 10, 0, 1, 20)), {(x + 10, y + 20) for x, y in CORNERS}),
    (  # nowhere on earth
        dict(crs='EPSG:32632', transform=rasterio.Affine(1, 0, 1e12, 0, 1, 0)),
        {(x + 1e12, y) for x, y in CORNERS},
    ),
    (dict(crs='EPSG:32632'), CORNERS),
])  # fmt: skip
def test_polygons_where_there_are_no_degrees(tmp_path, place, expected):
    source = Raster(write(tmp_path / 'a.tif', noise(3, 20, 30), **place))
    ids = np.zeros((20, 30), np.int32)
    ids[2:5, 3:9] = 1
    with write_ids(tmp_path / 'ids.tif', ids.shape, source.place) as write_block:
        write_block((0, 0, 20, 30), ids)
    write_polygons(tmp_path / 'a.geojson', tmp_path / 'ids.tif', {1: dict(id=1)})
    (feature,) = json.loads((tmp_path / 'a.geojson').read_text())['features']
    assert {*map(tuple, feature['geometry']['coordinates'][0])} == expected


def test_control_points_stay(tmp_path):
    corners = [(0, 0, 9, 48), (0, 30, 9.1, 48), (20, 0, 9, 47.9), (20, 30, 9.1, 47.9)]
    points = [rasterio.control.GroundControlPoint(*corner) for corner in corners]
    source = Raster(write(tmp_path / 'a.tif', noise(3, 20, 30), gcps=points, crs='EPSG:4326'))
    with write_ids(tmp_path / 'ids.tif', (20, 30), source.place):
        pass
    with rasterio.open(tmp_path / 'ids.tif') as file:
        found, crs = file.gcps
    assert [(p.row, p.col, p.x, p.y) for p in found] == corners and crs == 'EPSG:4326'


def test_a_coordinate_system_that_a_tiff_can_not_hold_stays(tmp_path):
    rotated = '+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +to_meter=0.0174533'
    place = dict(crs=rasterio.crs.CRS.from_proj4(rotated), transform=rasterio.Affine(0.1, 0, 0, 0, -0.1, 5))
    ids = np.ones((40, 50), np.int32)
    for _ in range(2):  # in the place of an earlier one too
        with write_ids(tmp_path / 'ids.tif', ids.shape, place) as put:
            put((0, 0, 40, 50), ids)
        again = Raster(tmp_path / 'ids.tif', PixelRule(1, [(0, 1)])).place
        assert again == place
        assert {path.name for path in tmp_path.iterdir()} == {'ids.tif', 'ids.tif.aux.xml'}


def test_formats_without_georeference_have_none(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.ppm'), noise(20, 30, 3))  # rasterio gives a transform of zeros
    assert Raster(tmp_path / 'a.ppm').place == {}
