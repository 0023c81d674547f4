"""Masks from stride 4 to the output size, computed only where they are asked for."""

import mmap
from bisect import bisect_right

import torch
import torch.nn.functional as F
from torch import Tensor

BAND_CELLS = 32  # rows of cells of one product of matrices: of more, most factors are 0


class Axis:
    """Rows or columns of a resizing, as the matrix of its weights.

    Bilinear x 4, cut to the image, bilinear to the output: the published order of operations, which
    is linear in each axis. The matrix is what these steps make of the unit matrix, so the weights
    are those of ``F.interpolate``. At most 3 neighbouring cells make a pixel.

    Args:
        num_cells: side of the padded input at stride 4.
        num_pixels, size: sides of the input without padding and of the output.
        device: of the maps.
    """

    def __init__(self, num_cells: int, num_pixels: int, size: int, device: torch.device) -> None:
        cells = torch.eye(num_cells)[None]
        pixels = F.interpolate(cells, scale_factor=4, mode='linear', align_corners=False)
        pixels = F.interpolate(
            pixels[..., :num_pixels], size=size, mode='linear', align_corners=False
        )
        self.matrix = pixels[0].T  # (size, num_cells) on the CPU, where its bounds are wanted
        self.weights = self.matrix.to(device)
        used = self.matrix > 0
        self.first = used.byte().argmax(1)  # (size,) first cell of each pixel
        self.stop = self.first + used.sum(1)  # (size,) one past the last
        self._first, self._stop = self.first.tolist(), self.stop.tolist()

    def cells(self, pixels: slice) -> slice:
        """Cells that make some pixels of the output."""
        if pixels.start == pixels.stop:
            return slice(0, 0)
        return slice(self._first[pixels.start], self._stop[pixels.stop - 1])

    def pixels(self, start: int, stop: int) -> slice:
        """Pixels of the output in which cells ``start`` to ``stop - 1`` have a part."""
        begin = bisect_right(self._stop, start)
        return slice(begin, max(begin, bisect_right(self._first, stop - 1)))


class MaskResizer:
    """Resize any part of the maps (H/4, W/4) of the padded input of one image.

    ``img_shape`` is (H, W) of the network's input without padding, ``out_shape`` of the results.
    """

    def __init__(
        self, map_shape: tuple, img_shape: tuple, out_shape: tuple, device: torch.device
    ) -> None:
        self.out_shape = tuple(out_shape)
        self.rows, self.columns = (
            Axis(*sides, device) for sides in zip(map_shape, img_shape, out_shape, strict=True)
        )

    def resize(self, maps: Tensor, rows: slice, columns: slice) -> Tensor:
        """Part of the output: (..., H/4, W/4) -> (..., rows, columns)."""
        y, x = self.rows.cells(rows), self.columns.cells(columns)
        part = maps[..., y, x] @ self.columns.weights[columns, x].T
        return self.rows.weights[rows, y] @ part

    def exceeds(self, prob: Tensor, rows: slice, columns: slice, threshold: float) -> Tensor:
        """Where a part of the output exceeds a threshold: (H/4, W/4) -> (rows, columns) bool."""
        height, num_cells = self.rows.matrix.shape
        step = max(BAND_CELLS * height // num_cells, 1)
        starts = range(rows.start, max(rows.stop, rows.start + 1), step)
        bands = [slice(start, min(start + step, rows.stop)) for start in starts]
        return torch.cat([self.resize(prob, band, columns) > threshold for band in bands])

    def box(self, top: int, bottom: int, left: int, right: int) -> tuple[slice, slice]:
        """Rows and columns of the output in which a cell of a span has a part."""
        return self.rows.pixels(top, bottom), self.columns.pixels(left, right)


class FullMasks:
    """K ``masks`` of full size, (K, H, W) bool, filled in one by one, and the boxes around them."""

    def __init__(self, num_masks: int, shape: tuple[int, int], device: torch.device) -> None:
        if device.type == 'cpu':
            # pages of the system are 0, and take neither memory nor time until they are written to
            size = num_masks * shape[0] * shape[1]
            pages = mmap.mmap(-1, max(size, 1), access=mmap.ACCESS_COPY)
            self.masks = torch.frombuffer(pages, dtype=torch.bool)[:size].view(num_masks, *shape)
        else:
            self.masks = torch.zeros(num_masks, *shape, dtype=torch.bool, device=device)
        self._rows, self._columns = (
            torch.zeros(num_masks, side, dtype=torch.uint8, device=device) for side in shape
        )

    def add(self, number: int, mask: Tensor, rows: slice, columns: slice) -> None:
        """Write one mask into its box."""
        if mask.numel():
            self.masks[number, rows, columns] = mask
            mask = mask.view(torch.uint8)  # on a CPU ten times faster than any() of bools
            self._rows[number, rows], self._columns[number, columns] = mask.amax(1), mask.amax(0)

    def bboxes(self) -> Tensor:
        """(K, 4) x1, y1, x2, y2 in pixels, 0 for an empty mask; without a wait for each object."""
        (y1, y2), (x1, x2) = extents(self._rows).T, extents(self._columns).T
        return torch.stack([x1, y1, x2, y2], 1).where(y2[:, None] > 0, 0).float()


def spans_of(maps: Tensor) -> Tensor:
    """Rows and columns that are not 0 in (K, h, w) numbers from 0: first and one past the last of
    both, (K, 4).
    """
    return torch.cat([extents(maps.amax(2)), extents(maps.amax(1))], 1)


def extents(occupied: Tensor) -> Tensor:
    """First and one past the last place that is not 0: (K, n) -> (K, 2); n and 0 without any."""
    numbers = torch.arange(1, occupied.shape[1] + 1, device=occupied.device)
    occupied = occupied != 0
    start = len(numbers) - (occupied * numbers.flip(0)).amax(1)
    return torch.stack([start, (occupied * numbers).amax(1)], 1)
