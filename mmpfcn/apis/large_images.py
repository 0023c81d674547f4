"""Images of any size: predicted tile by tile, and joined to one map."""

import hashlib
import json
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zipfile import is_zipfile

import numpy as np
import torch
from mmengine.infer import BaseInferencer
from rich.progress import Progress, track

from ..formats.atomic_files import delete_partial
from ..formats.coco_results import PNG_FOLDER
from ..formats.inputs import Input, list_files
from ..formats.label_map import segment_index
from ..formats.pixels import PixelRule
from ..formats.raster import Raster
from ..formats.raster_output import write_ids, write_lines, write_polygons
from ..formats.read_ahead import read_ahead
from ..structures.tile import Tile
from ..structures.tile_joining import JoinedTiles
from ..structures.tiling import Tiling, usual_overlap
from .panoptic_result import PanopticResult

WORK_FOLDER = 'records/tiles'
AHEAD = 3  # tiles that are read, or wait to be written, while the network works


class LargeResult(NamedTuple):
    """The files of a large image."""

    panoptic: Path  # TIFF of (H, W) int32 ids, 0 is void
    segments: Path  # a JSON line for each segment
    polygons: Path | None  # GeoJSON


def predict_large(
    inferencer: BaseInferencer,
    path: str | Path | Input,
    out_dir: str | Path,
    tile: int = 1024,
    overlap: int | None = None,
    batch_size: int = 1,
    polygons: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> LargeResult | None:
    """An image of any size, tile by tile, with one consistent answer, see ``JoinedTiles``.

    Tiles go through the test pipeline as images do. What is finished is kept in
    ``records/tiles``: the same call again goes on there.

    Args:
        inferencer: a :class:`PanopticInferencer`.
        path: an image file that rasterio reads (``mmpfcn[large]``).
        out_dir: folder to write ``panoptic/<stem>.tif`` to, int32 ids, georeferenced as it is,
            and ``panoptic/<stem>.jsonl``, a segment in each line.
        tile, overlap: side of a tile, and least number of pixels that neighbours share;
            None for a quarter of the side.
        batch_size: tiles computed at once.
        polygons: write ``panoptic/<stem>.geojson`` as well.
        rank, world_size: number of this process, and of those that share the tiles in one
            folder; the one that finds all tiles finished joins them.

    Returns:
        The files; None where other processes have not finished their tiles.

    Raises:
        FileNotFoundError, ValueError: the image can not be used, or no tiles be made so.
        OSError: a file can not be written.
        ImportError: rasterio is missing.
    """
    items = list(list_files([path], out_dir))
    if len(items) > 1:
        raise ValueError(f'{path} names {len(items)} images, expected one: call it for each')
    (item,) = items
    overlap = usual_overlap(tile) if overlap is None else overlap
    tiles = TiledPrediction(inferencer, item, Path(out_dir), tile, overlap, rank, world_size)
    tiles.predict(batch_size)
    return None if tiles.missing(tiles.numbers) else tiles.join(polygons)


def check_tile(inferencer: BaseInferencer, tile: int) -> None:
    """Raise ValueError where tiles of so many pixels are too small for the model."""
    least = inferencer.model.data_preprocessor.pad_size_divisor
    if tile < least:
        raise ValueError(
            f'tiles of {tile} pixels are too small for the model: expected at least {least}, '
            'better as many as its training images have'
        )


class TiledPrediction:
    """The tiles of one image: those that are predicted lie in the work folder.

    Args:
        inferencer: a :class:`PanopticInferencer`.
        item: the image; its source is a path.
        out_dir: folder of the results.
        tile, overlap: in pixels, see :class:`Tiling`.
        rank, world_size: number of this process, and of processes that share the tiles.
    """

    def __init__(
        self,
        inferencer: BaseInferencer,
        item: Input,
        out_dir: Path,
        tile: int,
        overlap: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_tile(inferencer, tile)
        self.inferencer, self.item, self.out_dir = inferencer, item, out_dir
        self.rank, self.world_size = rank, world_size
        self.raster = Raster(item.source, inferencer.rule)
        self.tiling = Tiling(self.raster.shape, tile, overlap)
        self.folder = out_dir / WORK_FOLDER / f'{item.stem}.{self._fingerprint()}'
        # the overview first: reading it shows whether the file is whole
        overview = [len(self.tiling)] if len(self.tiling) > 1 else []
        self.numbers = [*overview, *range(len(self.tiling))]
        target = out_dir / PNG_FOLDER / item.stem
        ends = ('.tif', '.jsonl', '.geojson')
        self.files = [target.with_name(target.name + end) for end in ends]

    def _fingerprint(self) -> str:
        """Of everything on which a tile depends."""
        status, inferencer, crc = os.stat(self.item.source), self.inferencer, 0
        for tensor in inferencer.model.state_dict().values():
            crc = zlib.crc32(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy(), crc)
        file = os.path.abspath(self.item.source), status.st_size, status.st_mtime_ns
        model = crc, str(inferencer.settings), str(inferencer.pipeline), str(inferencer.rule)
        on = file, model, self.tiling.tile, self.tiling.overlap
        return hashlib.sha1(json.dumps(on).encode()).hexdigest()[:12]

    def path(self, number: int) -> Path:
        """Where the prediction of a tile lies; the overview has the number behind the last."""
        return self.folder / f'{number:07d}.npz'

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Those that are not predicted yet, or whose files a power cut has left damaged."""
        return [number for number in numbers if not is_zipfile(self.path(number))]

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of a tile, or of the whole image made as small as a tile, and what is valid."""
        if number < len(self.tiling):
            return self.raster.read(self.tiling.windows[number])
        return self.raster.read_small(self._small_shape())

    def _small_shape(self) -> tuple[int, int]:
        """(h, w) of the whole image made as small as a tile."""
        h, w = self.tiling.shape
        scale = min(self.tiling.tile / max(h, w), 1)
        return max(round(h * scale), 1), max(round(w * scale), 1)

    def rule(self) -> PixelRule:
        """The model's; its percentiles are those of what is valid in the whole image.

        Of a sample of its pixels, where it is larger than a tile.
        """
        rule = self.inferencer.rule
        if not rule.percentiles:
            return rule
        image, valid = self.raster.sample(self._small_shape())
        return rule.fixed(image[valid][None])

    def predict(self, batch_size: int) -> None:
        """This process's share of the tiles. Files are read and written while the network works."""
        share = self.missing(self.numbers[self.rank :: self.world_size])
        delete_partial(map(self.path, share))
        if self.world_size == 1:  # else another may be joining
            delete_partial(self.files)
        with Progress(disable=not self.inferencer.show_progress) as progress:
            bar = progress.add_task('Tiles', total=len(share))
            self._predict(share, batch_size, partial(progress.advance, bar))

    def _predict(
        self, share: Sequence[int], batch_size: int, advance: Callable[[], object]
    ) -> None:
        valid: deque[np.ndarray] = deque()

        def save(result: PanopticResult, mask: np.ndarray) -> None:
            as_tile(result, mask).save(self.path(int(result.stem)))

        tiles = read_ahead(map(self.read, share), AHEAD)
        results = self._results(self._inputs(share, tiles, valid, advance), batch_size)
        waiting: deque[Future] = deque()
        with ThreadPoolExecutor(1) as writer, closing(tiles):
            for result in results:
                waiting.append(writer.submit(save, result, valid.popleft()))
                if len(waiting) > AHEAD:
                    waiting.popleft().result()
                advance()
            for written in waiting:
                written.result()

    def _inputs(
        self,
        numbers: Iterable[int],
        tiles: Iterable[tuple[np.ndarray, np.ndarray]],
        valid: deque[np.ndarray],
        advance: Callable[[], object],
    ) -> Iterator[Input]:
        """What is to be predicted; appends what of it is ``valid``. Void is done at once."""
        for number, (image, mask) in zip(numbers, tiles, strict=True):
            if not mask.any():
                Tile.empty(mask.shape).save(self.path(number))
                advance()
                continue
            valid.append(mask)
            name = f'{self.item.name}, tile {number + 1} of {len(self.tiling)}'
            yield Input(name, f'{number:07d}', image)

    def _results(self, inputs: Iterable[Input], batch_size: int) -> Iterator[PanopticResult]:
        for batch in self.inferencer.preprocess(inputs, batch_size, rule=self.rule()):
            for output in self.inferencer.forward(batch):
                # how much stuff there is shows when all tiles are joined
                yield self.inferencer.finish(output, stuff_area_limit=0)

    def join(self, polygons: bool) -> LargeResult:
        """One map of all tiles, which have to be there."""
        meta, names = self.inferencer.dataset_meta, self.inferencer.dataset_meta['classes']
        joined = JoinedTiles(
            self.tiling,
            lambda number: Tile.load(self.path(number)),
            len(meta['thing_classes']),
            Tile.load(self.path(self.numbers[0])),
            self.inferencer.settings.stuff_area_limit,
        )
        blocks = track(
            joined.blocks(), 'Joining', len(self.tiling), disable=not self.inferencer.show_progress
        )
        with write_ids(self.files[0], self.tiling.shape, self.raster.place, self.rank) as write:
            for window, ids in blocks:
                write(window, ids)
        segments = [dict(s, name=names[s['label']]) for s in joined.segments()]
        write_lines(self.files[1], segments)
        if polygons:
            with Progress(disable=not self.inferencer.show_progress) as progress:
                progress.add_task('Outlines', total=None)  # how many there are shows at the end
                write_polygons(self.files[2], self.files[0], {s['id']: s for s in segments})
        return LargeResult(*self.files[:2], self.files[2] if polygons else None)


def as_tile(result: PanopticResult, valid: np.ndarray) -> Tile:
    """A result for a tile; what is not ``valid``, (h, w), is void."""
    segments = result.segments_info
    index = segment_index(result.panoptic_seg, [segment['id'] for segment in segments])
    labels = np.array([segment['label'] for segment in segments], int)
    scores = np.array([segment['score'] for segment in segments], float)
    return Tile(np.where(valid, index, 0).astype(np.uint16), labels, scores, result.kernels)
