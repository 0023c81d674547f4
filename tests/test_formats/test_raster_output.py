"""Maps of ids on disk, and their outlines."""

import json

import numpy as np
import pytest
from helpers.files import file_limit
from helpers.rasters import PLACE, noise, write

from mmpfcn.formats.pixels import PixelRule
from mmpfcn.formats.raster import Raster
from mmpfcn.formats.raster_output import write_ids, write_polygons

rasterio = pytest.importorskip('rasterio')


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
