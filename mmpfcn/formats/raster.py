"""Images of any size, read window by window, and maps of ids that are written so. By rasterio."""

import json
import mmap
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from .atomic_files import open_atomic, temporary_prefix
from .image_header import read_header
from .pixels import COLOUR, PixelRule, upper_bits, warn_of_lost_bits

if TYPE_CHECKING:
    from rasterio import DatasetReader

OPTIONS = dict(
    GDAL_CACHEMAX=200,  # MB
    GDAL_ERROR_ON_LIBJPEG_WARNING=True,  # else what a cut-off JPEG lacks is grey
)
LEAST_AREA = 1e-20  # of a pixel, in square degrees or metres: 1e-10 degrees are 10 micrometres
BLOCK = 256  # side of what a written file compresses by itself, in pixels
Bounds = tuple[int, int, int, int]  # top, left, bottom, right in pixels; the latter exclusive


def import_rasterio() -> ModuleType:
    """Raises ImportError that says what to install."""
    try:
        import rasterio
    except ImportError as error:
        raise ImportError(
            "tiles of large images are read by rasterio: pip install 'mmpfcn[large]'"
        ) from error
    # that an image has no georeference is fine
    warnings.filterwarnings('ignore', category=rasterio.errors.NotGeoreferencedWarning)
    return rasterio


def _gdal_name(path: str | os.PathLike) -> str:
    """How GDAL is told of a file; absolute, for ``zip:a.tif`` alone would be part of an archive."""
    name = os.path.abspath(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f'{path} has a name that is not UTF-8: rename it') from error
    return name


class Raster:
    """An image file that is never read as a whole: GeoTIFF, JPEG 2000, PNG, JPEG and the like.

    Args:
        path: the file.
        rule: what the model takes. An alpha band is a channel where the rule's ``channels`` count
            it, else it says what is valid; of a colour map the colours are read. Where it is for
            colours of 8 bits, the upper 8 of 16 are, with one warning.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no image, cut off, turned by EXIF, or of other bands or pixels.
        ImportError: rasterio is missing.
    """

    def __init__(self, path: str | os.PathLike, rule: PixelRule = COLOUR) -> None:
        self._rasterio = import_rasterio()
        self.path = os.fspath(path)
        if not Path(self.path).is_file():
            raise FileNotFoundError(f'image {path} is not there (looked for in {Path.cwd()})')
        self._check_header()
        with self._told('opened'):
            self._file = self._rasterio.open(_gdal_name(self.path))
        self.shape = self._file.shape
        alpha = self._rasterio.enums.ColorInterp.alpha
        kinds = zip(self._file.indexes, self._file.colorinterp, strict=True)
        self._alpha_counts = self._file.count == rule.channels
        self._bands = [band for band, kind in kinds if self._alpha_counts or kind != alpha]
        self._colours = self._colour_map()
        self._check_bands(rule)
        # PNGs of 1, 2 or 4 bits: what becomes 255
        bits = self._file.tags(1, ns='IMAGE_STRUCTURE').get('NBITS', '8')
        self._white = 2 ** int(bits) - 1 if self._colours is None else 255

        self._cut = rule.channels is None and not rule.scales and 'uint16' in self._file.dtypes
        self._cut &= self._colours is None
        if self._cut:  # here once, not for every window
            warn_of_lost_bits()

    @property
    def place(self) -> dict:
        """Coordinate system and transform, or control points, as rasterio writes them.

        Empty without georeference.
        """
        points, crs = self._file.gcps
        if points:
            return dict(gcps=points, crs=crs)
        transform = self._file.transform
        # of some formats rasterio gives no transform, but zeros
        if transform.is_identity or abs(transform.determinant) < LEAST_AREA:
            return {}
        return dict(crs=self._file.crs, transform=transform)

    def read(self, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
        """A window: (h, w, C) or, of grey, (h, w) pixels, BGR where C is 3; (h, w) bool: whether
        they are valid, neither nodata nor transparent.

        Raises ValueError where the file is cut off or damaged there.
        """
        top, left, bottom, right = bounds
        return self._read(window=((top, bottom), (left, right)))

    def read_small(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The whole image made small, to (h, w), as :meth:`read` gives it."""
        kinds = self._rasterio.enums.Resampling
        kind = kinds.nearest if self._colours is not None else kinds.average
        return self._read(out_shape=shape, resampling=kind)

    def _read(self, **part: object) -> tuple[np.ndarray, np.ndarray]:
        with self._told('read'):
            shape = part.get('out_shape')
            more = {} if shape is None else dict(out_shape=(len(self._bands), *shape))
            pixels = self._file.read(self._bands, **{**part, **more})
            valid = self._valid(part)
        if self._colours is not None:
            return self._colours[pixels[0]], valid
        if self._cut:
            pixels = upper_bits(pixels)
        if self._white < 255:
            pixels = (pixels.astype(np.uint16) * 255 // self._white).astype(np.uint8)
        if len(pixels) == 1:
            return pixels[0], valid
        order = slice(None, None, -1 if len(pixels) == 3 else 1)
        return np.ascontiguousarray(pixels[order].transpose(1, 2, 0)), valid

    def _valid(self, part: dict) -> np.ndarray:
        says = self._file.mask_flag_enums[0]
        if self._alpha_counts and self._rasterio.enums.MaskFlags.alpha in says:
            return np.ones(self._file.read_masks(1, **part).shape, bool)
        return self._file.dataset_mask(**part) > 0

    def _check_header(self) -> None:
        """What GDAL takes no notice of: PNGs without their end, and how an image is turned."""
        with open(self.path, 'rb') as file:
            empty = os.fstat(file.fileno()).st_size == 0
            header = None if empty else read_header(_Content(file.fileno(), 0, prot=mmap.PROT_READ))
        if empty or header is not None and header.cut_off:
            raise ValueError(f'image {self.path} is cut off: copy it again')
        if header is not None and header.orientation != 1:
            raise ValueError(
                f'image {self.path} is turned or mirrored by its EXIF orientation '
                f'({header.orientation}), which tiles are not: save it upright'
            )

    def _colour_map(self) -> np.ndarray | None:
        """(values, 3) uint8 BGR by value."""
        palette = self._rasterio.enums.ColorInterp.palette
        if palette not in self._file.colorinterp[:1]:
            return None
        table = np.zeros((np.iinfo(self._file.dtypes[0]).max + 1, 3), np.uint8)
        for value, colour in self._file.colormap(1).items():
            table[value] = colour[2::-1]
        return table

    def _check_bands(self, rule: PixelRule) -> None:
        found, kinds = len(self._bands), set(self._file.dtypes)
        if self._colours is not None:
            found, kinds = 3, {'uint8'}
        channels = rule.channels or 3
        if found != channels and not (found == 1 and rule.channels is None):
            pages = ' in its first page' if self._file.subdatasets else ''
            bands = ' '.join(f'-b {band + 1}' for band in range(channels))
            what = f'choose them, as by gdal_translate {bands} IN OUT'
            raise ValueError(
                f'{self.path} has {found} bands{pages}, the model takes {channels}: '
                f'{what if found > channels else "give it such images"}'
            )
        if rule.channels is not None:  # the rule says which numbers
            rule.fit(np.zeros((1, 1, found), np.result_type(*kinds)), self.path)
        elif not kinds <= {'uint8', 'uint16'}:
            raise ValueError(
                f'{self.path} has pixels of {" and ".join(sorted(kinds))}, expected uint8 or '
                'uint16: scale them, as by gdal_translate -ot UInt16 -scale IN OUT'
            )

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """The errors of GDAL as ValueError."""
        try:
            with self._rasterio.Env(**OPTIONS):
                yield
        except self._rasterio.errors.RasterioError as error:
            raise ValueError(
                f'{self.path} can not be {what} as an image: it is none, cut off or damaged '
                f'({error.__cause__ or error}); copy or make it again'
            ) from error


class _Content(mmap.mmap):
    """The bytes of a file, for :func:`read_header`, that are not read before they are asked for."""

    def startswith(self, start: bytes | tuple[bytes, ...]) -> bool:
        return self[:32].startswith(start)


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
    partial = path.with_name(f'{temporary_prefix(path.name)}{writer}.tif')
    name = _gdal_name(partial)
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
        os.replace(partial, path)
    except (rasterio.errors.RasterioError, OSError) as error:
        raise OSError(
            f'{path} could not be written ({error.__cause__ or error}): a full disk?'
        ) from error
    finally:
        partial.unlink(missing_ok=True)


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

    with rasterio.Env(**OPTIONS), rasterio.open(_gdal_name(ids)) as file, open_atomic(path) as out:
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
