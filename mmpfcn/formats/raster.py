"""Images of any size, read window by window. By rasterio."""

import copy
import mmap
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from .image_header import GREY, Header, read_header
from .pixels import (
    COLOUR,
    PixelRule,
    UnfitPixels,
    from_few_bits,
    require_known,
    upper_bits,
    warn_of_lost_bits,
)
from .tiff import num_channels, open_tiff

if TYPE_CHECKING:
    from rasterio import DatasetReader

OPTIONS = dict(
    GDAL_CACHEMAX=200,  # MB
    GDAL_ERROR_ON_LIBJPEG_WARNING=True,  # else what a cut-off JPEG lacks is grey
)
LEAST_AREA = 1e-20  # of a pixel, in square degrees or metres: 1e-10 degrees are 10 micrometres
IMAGEJ = 'TIFFTAG_IMAGEDESCRIPTION'
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


def gdal_name(path: str | os.PathLike) -> str:
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
        rule: what the model takes, which is that of :func:`read_image`. An alpha band that is no
            channel says what is valid. Where the rule is for colours of 8 bits, the upper 8 of 16
            are read, with one warning.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no image, an address, cut off, turned by EXIF, or of other bands or pixels.
        ImportError: rasterio is missing.
    """

    def __init__(self, path: str | os.PathLike, rule: PixelRule = COLOUR) -> None:
        self._rasterio = import_rasterio()
        self.path = os.fspath(path)
        if '://' in self.path:
            raise ValueError(f'image {path} is an address, of which no tiles are read: download it')
        if not Path(self.path).is_file():
            raise FileNotFoundError(f'image {path} is not there (looked for in {Path.cwd()})')
        header = self._check_header()
        with self._told('opened'):
            self._file = self._rasterio.open(gdal_name(self.path))
        self.shape = self._file.shape
        self._colours = self._colour_map(header)
        self._pages = self._pages_of(rule)
        self._num_bands = self._count(rule, header)
        # PNGs of 1, 2 or 4 bits and the like
        bits = int(self._file.tags(1, ns='IMAGE_STRUCTURE').get('NBITS', '8'))
        self._few_bits = bits if bits < 8 and self._colours is None else None
        self._cut = rule == COLOUR and 'uint16' in self._file.dtypes and self._colours is None
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
        they are valid, neither nodata (NaN is) nor transparent.

        Raises ValueError where the file is cut off or damaged there.
        """
        top, left, bottom, right = bounds
        return self._read(window=((top, bottom), (left, right)))

    def read_small(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The whole image made small, to (h, w), as :meth:`read` gives it."""
        kinds = self._rasterio.enums.Resampling
        kind = kinds.nearest if self._colours is not None else kinds.average
        return self._read(out_shape=shape, resampling=kind)

    def sample(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`read_small`, but of pixels as they are, evenly spread, and no means: what is
        dark, bright and noisy stays so.
        """
        whole = copy.copy(self)
        with ExitStack() as opened, self._told('opened'):
            whole._pages = [  # overviews are means
                opened.enter_context(self._rasterio.open(page.name, overview_level='NONE'))
                for page in self._pages
            ]
            whole._file = whole._pages[0]
            return whole._read(out_shape=shape)

    def _read(self, **part: object) -> tuple[np.ndarray, np.ndarray]:
        with self._told('read'):
            bands = range(1, self._num_bands + 1) if len(self._pages) == 1 else [1]
            read = [page.read(band, **part) for page in self._pages for band in bands]
            pixels = np.stack(read)
            # NaN in all channels is nodata, whether the file says so or not
            valid = self._valid(part) & ~np.isnan(pixels).all(0)
        if self._colours is not None:
            return self._colours[pixels[0]], valid
        if self._cut:
            pixels = upper_bits(pixels)
        if self._few_bits:
            pixels = from_few_bits(pixels, self._few_bits)
        if len(pixels) == 1:
            return pixels[0], valid
        order = slice(None, None, -1 if len(pixels) == 3 else 1)
        return np.ascontiguousarray(pixels[order].transpose(1, 2, 0)), valid

    def _valid(self, part: dict) -> np.ndarray:
        says = self._file.mask_flag_enums[0]
        is_channel = len(self._pages) > 1 or self._file.count == self._num_bands
        if is_channel and self._rasterio.enums.MaskFlags.alpha in says:
            return np.ones(self._file.read_masks(1, **part).shape, bool)
        return self._file.dataset_mask(**part) > 0

    def _check_header(self) -> Header | None:
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
        require_known(header and header.photometric, self.path)
        return header

    def _colour_map(self, header: Header | None) -> np.ndarray | None:
        """(values, 3) uint8 BGR by value; (values,) where GDAL makes a map of what is grey."""
        palette = self._rasterio.enums.ColorInterp.palette
        if palette not in self._file.colorinterp[:1]:
            return None
        table = np.zeros((np.iinfo(self._file.dtypes[0]).max + 1, 3), np.uint8)
        for value, colour in self._file.colormap(1).items():
            table[value] = colour[2::-1]
        is_grey = self._file.driver == 'BMP' or header is not None and header.photometric == GREY
        return table[:, 0] if is_grey and not np.ptp(table, axis=1).any() else table

    def _pages_of(self, rule: PixelRule) -> list['DatasetReader']:
        """Those whose first bands are the channels; one that has all bands but for stacks."""
        is_stack = self._file.subdatasets or 'ImageJ' in self._file.tags().get(IMAGEJ, '')
        if rule.channels is None or self._file.driver != 'GTiff' or not is_stack:
            return [self._file]
        with open_tiff(self.path, self.path) as file:
            number = num_channels(file, self.path)
        if number == self._file.count:
            return [self._file]
        names = self._file.subdatasets[:number]
        if len(names) < number:
            raise UnfitPixels(
                f'{self.path} has {number} pages, of which GDAL finds {len(names)}: save its '
                'channels as the bands of a TIFF'
            )
        with self._told('opened'):
            return [self._rasterio.open(name) for name in names]

    def _count(self, rule: PixelRule, header: Header | None) -> int:
        """How many bands are read; UnfitPixels where they are not what the rule is for."""
        if self._colours is not None:
            found, alpha, kind = 3 if self._colours.ndim > 1 else 1, False, 'uint8'
        elif len(self._pages) > 1:
            found, alpha, kind = len(self._pages), False, self._file.dtypes[0]
        else:
            is_alpha = self._rasterio.enums.ColorInterp.alpha in self._file.colorinterp
            alpha = header.alpha if header is not None and header.channels else is_alpha
            found, kind = self._file.count - alpha, np.result_type(*self._file.dtypes).name
        count, channels = rule.num_read(found, alpha), rule.channels or 3
        if count is None:
            bands = ' '.join(f'-b {band + 1}' for band in range(channels))
            what = f'choose them, as by gdal_translate {bands} IN OUT'
            raise UnfitPixels(
                f'{self.path} has {found} bands, the model takes {channels}: '
                f'{what if found > channels else "give it such images"}'
            )
        rule.require(count, kind, self.path)
        return count if self._colours is None else 1

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
