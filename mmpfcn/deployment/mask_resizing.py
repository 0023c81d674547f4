"""Masks from stride 4 to the output size, in numpy; see ``mmpfcn/ops/mask_resizing.py``."""

import numpy as np

BAND_CELLS = 32
"""Cells of one product of matrices: with more of them most factors are 0."""

TILE_CELLS = 16
"""Side of a tile of :func:`best_labels` in cells."""


class Axis:
    """Rows or columns of a resizing, as the matrix of its weights.

    Bilinear x 4, cut to the image, bilinear to the output. The matrix is what these steps make of
    the unit matrix.

    Args:
        num_cells: side of the padded input at stride 4.
        num_pixels: side of the input without padding.
        size: side of the output in pixels.

    Attributes:
        matrix: (size, num_cells) float32.
        first: (size,) first cell that has a part in each pixel.
        stop: (size,) one past the last.
    """

    def __init__(self, num_cells: int, num_pixels: int, size: int) -> None:
        pixels = interpolate(np.eye(num_cells), 4 * num_cells)[:num_pixels]
        self.matrix = interpolate(pixels, size).astype(np.float32)
        used = self.matrix > 0
        self.first = used.argmax(1)
        self.stop = self.first + used.sum(1)

    def cells(self, pixels: slice) -> slice:
        """Cells that make some pixels, at least one, of the output."""
        return slice(self.first[pixels.start], self.stop[pixels.stop - 1])

    def pixels(self, cells: np.ndarray) -> slice:
        """Pixels of the output in which some cells, (num_cells,) bool, have a part."""
        (occupied,) = cells.nonzero()
        if not len(occupied):
            return slice(0, 0)
        start = self.stop.searchsorted(occupied[0], side='right')
        return slice(start, max(start, self.first.searchsorted(occupied[-1], side='right')))

    def bands(self, pixels: slice, num_cells: int) -> list[slice]:
        """``pixels`` in parts made from about ``num_cells`` cells each."""
        step = max(num_cells * len(self.matrix) // self.matrix.shape[1], 1)
        starts = range(pixels.start, pixels.stop, step)
        return [slice(start, min(start + step, pixels.stop)) for start in starts]


def interpolate(values: np.ndarray, size: int) -> np.ndarray:
    """Bilinear along the first axis (``align_corners=False``): (n, m) -> (size, m)."""
    n = len(values)
    places = ((np.arange(size) + 0.5) * (n / size) - 0.5).clip(min=0)
    low = places.astype(int).clip(max=n - 1)
    share = (places - low)[:, None]
    return values[low] * (1 - share) + values[(low + 1).clip(max=n - 1)] * share


class MaskResizer:
    """Resize any part of the maps of one image.

    Args:
        map_shape: (H/4, W/4) of the padded input.
        img_shape: (H, W) of the network's input without padding.
        out_shape: (H, W) of the results.
    """

    def __init__(self, map_shape: tuple, img_shape: tuple, out_shape: tuple) -> None:
        self.out_shape = tuple(out_shape)
        self.rows, self.columns = (
            Axis(*sides) for sides in zip(map_shape, img_shape, out_shape, strict=True)
        )

    def resize(self, maps: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        """Part of the output: (..., H/4, W/4) -> (..., rows, columns)."""
        y, x = self.rows.cells(rows), self.columns.cells(columns)
        part = maps[..., y, x] @ self.columns.matrix[columns, x].T
        return self.rows.matrix[rows, y] @ part

    def exceeds(self, prob: np.ndarray, threshold: float) -> tuple[slice, slice, np.ndarray]:
        """Where a map exceeds a threshold: (H/4, W/4) -> rows, columns and the mask inside them."""
        above = prob > threshold
        rows, columns = self.rows.pixels(above.any(1)), self.columns.pixels(above.any(0))
        mask = np.empty((rows.stop - rows.start, columns.stop - columns.start), bool)
        if mask.size:
            for band in self.rows.bands(rows, BAND_CELLS):
                part = mask[band.start - rows.start : band.stop - rows.start]
                np.greater(self.resize(prob, band, columns), threshold, out=part)
        return rows, columns, mask


def best_labels(maps: np.ndarray, labels: np.ndarray, resizer: MaskResizer) -> np.ndarray:
    """Label of the map that is the greatest at a pixel, of equal ones the first.

    Every pixel is a weighted mean of cells. So in a tile of the image only those maps can win whose
    maximum there reaches the greatest minimum of all: often one, and then there is nothing to
    resize.

    Args:
        maps: (K, H/4, W/4), K >= 1, not negative.
        labels: (K,).
        resizer: of the maps to the output.

    Returns:
        (H, W) of the labels' type.
    """
    result = np.empty(resizer.out_shape, labels.dtype)
    bands = [
        axis.bands(slice(0, len(axis.matrix)), TILE_CELLS)
        for axis in (resizer.rows, resizer.columns)
    ]
    for rows in bands[0]:
        strip = maps[:, resizer.rows.cells(rows)]
        low, high = strip.min(1), strip.max(1)
        for columns in bands[1]:
            x = resizer.columns.cells(columns)
            # a mean may be rounded
            (rivals,) = (high[:, x].max(1) >= low[:, x].min(1).max() * (1 - 1e-6)).nonzero()
            best = 0
            if len(rivals) > 1:
                best = resizer.resize(maps[rivals], rows, columns).argmax(0)
            result[rows, columns] = labels[rivals][best]
    return result
