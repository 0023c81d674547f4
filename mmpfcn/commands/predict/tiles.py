"""An image of any size, tile by tile."""

import sys
from typing import NamedTuple

from mmpfcn import PanopticInferencer
from mmpfcn.formats.inputs import Input

from .records import RECORDS, Output, Records


class Tiles(NamedTuple):
    """How an image is cut, in pixels, and what else is written."""

    tile: int
    overlap: int
    polygons: bool


def run_tiles(
    inferencer: PanopticInferencer, item: Input, output: Output, tiles: Tiles, batch_size: int
) -> int:
    """This process's share of the tiles; the one that finds all finished joins them.

    Gives 1 if the image could not be used.
    """
    records = Records(output.folder / RECORDS, [item])
    if item in records:
        print(f'{item.name} is finished already')
        return 0
    inferencer.show_progress = output.rank == 0
    (item,) = records.begin([item])
    try:
        result = inferencer.large(
            item,
            output.folder,
            tiles.tile,
            tiles.overlap,
            batch_size,
            tiles.polygons,
            output.rank,
            output.world_size,
        )
        if result is not None:
            records.add(dict(stem=item.stem, segments=str(result.segments)))
    except (FileNotFoundError, ValueError) as error:  # the others may be better
        print(f'not finished: {error}', file=sys.stderr)
        return 1
    finally:
        records.close()
    if result is None:
        print(f'{item.name}: this share of the tiles is finished, others are not')
    else:
        print(f'{item.name}: {result.panoptic}, {result.segments}')
    return 0
