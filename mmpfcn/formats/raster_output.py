"""Maps of ids that are written window by window, and what is made of them. By rasterio."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .atomic_files import open_atomic, temporary_prefix
from .raster import OPTIONS, Bounds, gdal_name, import_rasterio

if TYPE_CHECKING:
    from rasterio import DatasetReader

SIDECAR = '.aux.xml'  # beside a TIFF: GDAL's, for coordinate systems that a TIFF can not hold
BLOCK = 256  # side of what a written file compresses by itself, in pixels


@contextmanager
def write_ids(
    path: Path, shape: tuple[int, int], place: dict, writer: int = 0
) -> Iterator[Callable[[Bounds, np.ndarray], None]]:
    """A TIFF of (H, W) int32 in compressed blocks, that gets its name when it is complete.

    Gives a function that writes (h, w) ids to a window. ``place`` is that of a :class:`Raster`,
    ``writer`` the number of this process among those that may write it. OSError where it can not
    be written, as on a full disk.
    """
    rasterio = import_rasterio()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{temporary_prefix(path.name)}{writer}')
    sidecar = Path(f'{partial}{SIDECAR}')
    name = gdal_name(partial)
    kind = dict(driver='GTiff', count=1, dtype='int32', height=shape[0], width=shape[1], nodata=0)
    kind |= dict(
        tiled=True, blockxsize=BLOCK, blockysize=BLOCK, compress='deflate', bigtiff='if_safer'
    )
    written = 0
    try:
        with rasterio.Env(**OPTIONS):
            with rasterio.open(name, 'w', **kind, **place) as file:

                def write(bounds: Bounds, ids: np.ndarray) -> None:
                    nonlocal written
                    written += np.count_nonzero(ids)
                    file.write(ids, 1, window=(bounds[0::2], bounds[1::2]))

                yield write
            # GDAL says nothing where it can not write the rest while it closes a file
            with rasterio.open(name) as file:
                blocks = (file.read(1, window=window) for _, window in file.block_windows(1))
                found = sum(map(np.count_nonzero, blocks))
        if found != written:
            raise OSError(f'{found} of {written} pixels')
        Path(f'{path}{SIDECAR}').unlink(missing_ok=True)  # of an earlier one
        if sidecar.exists():
            os.replace(sidecar, f'{path}{SIDECAR}')
        os.replace(partial, path)
    except (rasterio.errors.RasterioError, OSError) as error:
        raise OSError(
            f'{path} could not be written ({error.__cause__ or error}): a full disk?'
        ) from error
    finally:
        partial.unlink(missing_ok=True)
        sidecar.unlink(missing_ok=True)


def write_lines(path: Path, rows: Iterable[dict]) -> None:
    """A JSON line for each; the file appears when it is complete."""
    with open_atomic(path) as file:
        for row in rows:
            file.write(json.dumps(row).encode() + b'\n')


def write_polygons(path: Path, ids: Path, properties: dict[int, dict]) -> None:
    """The outlines of a file of :func:`write_ids` as GeoJSON: a feature for each connected part.

    In longitude and latitude where the georeference of the file has them, else in its own
    coordinates, which are pixels without one. ``properties`` are those of each id; parts of others
    are left out.
    """
    rasterio = import_rasterio()
    from rasterio.features import shapes

    with rasterio.Env(**OPTIONS), rasterio.open(gdal_name(ids)) as file, open_atomic(path) as out:
        out.write(b'{"type": "FeatureCollection", "features": [')
        separator = b'\n'
        parts = shapes(rasterio.band(file, 1), connectivity=8, transform=file.transform)
        in_degrees = _to_degrees(file)
        for geometry, id_ in parts:
            if int(id_) not in properties:
                continue
            geometry = in_degrees(geometry)
            feature = dict(type='Feature', properties=properties[int(id_)], geometry=geometry)
            out.write(separator + json.dumps(feature).encode())
            separator = b',\n'
        out.write(b'\n]}\n')


def _to_degrees(file: 'DatasetReader') -> Callable[[dict], dict]:
    """What makes longitude and latitude of the coordinates of a file.

    Nothing where its corners have none, as those of a building site's own system.
    """
    from rasterio.transform import xy
    from rasterio.warp import transform_geom

    def in_degrees(geometry: dict) -> dict:
        return transform_geom(file.crs, 'EPSG:4326', geometry)

    w, h = file.width, file.height
    x, y = xy(file.transform, (0, 0, h, h), (0, w, w, 0), offset='ul')
    corners = [*zip(x, y, strict=True)]
    try:
        found = in_degrees(dict(type='MultiPoint', coordinates=corners))
    except Exception:  # rasterio has many for this, of no common kind
        return lambda geometry: geometry
    known = np.isfinite(found['coordinates']).all()
    return in_degrees if known else lambda geometry: geometry
