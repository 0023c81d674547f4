"""Image files in blocks, with a georeference."""

from pathlib import Path

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio')
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


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype)
