"""Draw the embedded panoptic data set in COCO panoptic and COCO instance format.

    python tools/dataset_converters/make_shapes.py --out data/shapes

The same arguments give the same bytes, whatever the number of workers. An interrupted run goes on
where it stopped; a complete data set is left as it is.
"""

import argparse
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ..workers import map_in_processes
from .shapes import coco_format
from .shapes.coco_format import SPLITS
from .shapes.scene import draw_scene

MARKER = 'shapes.json'  # in every folder made here: the arguments it was made with
VERSION = 1  # to be raised when the drawing changes
MIN_SIDE = 64  # px
MAX_COUNT = 999_999  # image ids of the splits are a million apart


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """Converter for argparse that says which bound a number breaks."""

    def convert(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            bound = f'at least {low}' if high is None else f'from {low} to {high}'
            raise argparse.ArgumentTypeError(f'got {value}, expected a whole number {bound}')
        return value

    convert.__name__ = 'whole number'  # argparse names it when the text is no number
    return convert


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count = whole_number(1, MAX_COUNT)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    parser.add_argument('--out', type=Path, required=True, help='folder of the data set')
    parser.add_argument('--train', type=count, default=400, help='number of training images')
    parser.add_argument('--val', type=count, default=80, help='number of validation images')
    parser.add_argument(
        '--size',
        type=whole_number(MIN_SIDE),
        nargs=2,
        default=[192, 256],
        metavar=('HEIGHT', 'WIDTH'),
        help='image size in pixels',
    )
    parser.add_argument('--seed', type=whole_number(0), default=0)
    parser.add_argument(
        '--workers', type=whole_number(1), default=cores, help='number of processes'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a data set that was made with other arguments',
    )
    return parser.parse_args()


def read_marker(folder: Path) -> dict | None:
    """The arguments a folder was made with; None if it was not made here."""
    try:
        recipe = json.loads((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return None
    made_here = isinstance(recipe, dict) and recipe.get('made_by') == 'make_shapes.py'
    return recipe if made_here else None


def is_complete(folder: Path, recipe: dict) -> bool:
    """Whether the folder holds the data set of the recipe with every file in place."""
    if read_marker(folder) != recipe:
        return False
    paths = [
        folder / 'annotations' / f'{kind}_{split}.json'
        for kind in ('panoptic', 'instances')
        for split in SPLITS
    ]
    for split in SPLITS:
        for index in range(recipe[split]):
            paths += coco_format.sample_paths(folder, split, index)
    return all(path.is_file() for path in paths)


def check_target(folder: Path, recipe: dict, overwrite: bool) -> None:
    """Stop if making the data set would destroy something.

    Raises:
        SystemExit: The folder is a file, was not made by this script, or holds another data set.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    found = read_marker(folder) if folder.is_dir() else None
    if found is None:
        raise SystemExit(
            f'{folder} exists and was not made by make_shapes.py, so it is left alone:'
            ' choose another --out or move it away.'
        )
    if not overwrite:
        state = (
            'misses some of its files'
            if found == recipe
            else f'was made with {found}, asked for is {recipe}'
        )
        raise SystemExit(
            f'The data set in {folder} {state}: pass --overwrite to draw it anew,'
            ' or choose another --out.'
        )


def prepare_partial(folder: Path, recipe: dict) -> None:
    """Make the working folder, or keep the one that an interrupted run of the recipe left."""
    found = read_marker(folder) if folder.is_dir() else None
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and found is None and not empty:
        raise SystemExit(
            f'{folder} is needed as working folder, but was not made by'
            ' make_shapes.py: move it away or choose another --out.'
        )
    if found is not None and found != recipe:
        shutil.rmtree(folder)
    for unfinished in folder.rglob('*.tmp'):  # of a run that was killed
        unfinished.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    coco_format.write_atomic(folder / MARKER, json.dumps(recipe).encode())
    coco_format.make_folders(folder)


def draw_sample(folder: Path, recipe: dict, job: tuple[str, int]) -> None:
    """Draw and write one image; its generator depends on seed, split and index alone."""
    split, index = job
    rng = np.random.default_rng([recipe['seed'], SPLITS.index(split), index])
    scene = draw_scene(rng, *recipe['size'])
    coco_format.write_sample(folder, split, index, scene, rng)


def draw_missing(folder: Path, recipe: dict, workers: int) -> None:
    """Draw the images that have no record yet, with a progress bar."""
    from mmengine.utils import ProgressBar  # here: the worker processes do without it

    jobs = [
        (split, index)
        for split in SPLITS
        for index in range(recipe[split])
        if not coco_format.record_path(folder, split, index).exists()
    ]
    if not jobs:
        return
    draw = partial(draw_sample, folder, recipe)
    bar = ProgressBar(len(jobs))
    for _ in map_in_processes(draw, jobs, workers, chunk=4):
        bar.update()
    print()


def publish(partial_folder: Path, folder: Path) -> None:
    """Put the finished data set under its name, in place of an older one."""
    if folder.exists() and any(folder.iterdir()):
        old = folder.with_name(f'{folder.name}.old.{os.getpid()}')
        folder.rename(old)
        partial_folder.rename(folder)
        shutil.rmtree(old)
    else:
        partial_folder.rename(folder)


def make(folder: Path, recipe: dict, workers: int) -> None:
    """Draw what is missing beside the folder, then put all of it under its name."""
    partial_folder = folder.with_name(f'{folder.name}.partial')
    prepare_partial(partial_folder, recipe)
    print(f'Drawing {recipe["train"]} + {recipe["val"]} images into {folder}')
    draw_missing(partial_folder, recipe, workers)
    for split in SPLITS:
        coco_format.merge_records(partial_folder, split, recipe[split])
    coco_format.remove_records(partial_folder)
    publish(partial_folder, folder)


def main() -> None:
    args = parse_args()
    recipe = dict(
        made_by='make_shapes.py',
        version=VERSION,
        train=args.train,
        val=args.val,
        size=args.size,
        seed=args.seed,
    )
    folder = args.out.resolve()
    if is_complete(folder, recipe):
        print(f'{folder} is complete: nothing to do.')
        return
    check_target(folder, recipe, args.overwrite)
    try:
        make(folder, recipe, args.workers)
    except KeyboardInterrupt:
        raise SystemExit('\nInterrupted: the same command goes on from here.') from None
    except OSError as error:
        raise SystemExit(
            f'{folder} can not be written: {error}: mend that or choose another --out'
        ) from None
    print(f'Done: {folder}')


if __name__ == '__main__':
    main()
