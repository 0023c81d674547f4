"""Draw the embedded panoptic data set in COCO panoptic and COCO instance format.

    python tools/dataset_converters/make_shapes.py --out data/shapes

The same arguments give the same bytes, whatever the number of workers. An interrupted run goes on
where it stopped; a complete data set is left as it is.
"""

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..options import add_workers, new_parser
from .shapes import coco_format
from .shapes.coco_format import SPLITS
from .shapes.scene import draw_scene
from .work_folder import Job, Record, WorkFolder, load_json
from .writer import run

MARKER = 'shapes.json'  # in every folder made here: the arguments it was made with
MADE_BY = 'make_shapes.py'
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


def check_target(folder: Path, recipe: dict, overwrite: bool) -> bool:
    """Whether the data set is there already, with every file in place.

    SystemExit where the folder is a file, was not made by this script, or holds another data set.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    found = load_json(folder / MARKER)
    if found is None or found.get('made_by') != MADE_BY:
        raise SystemExit(
            f'{folder} exists and was not made by make_shapes.py, so it is left alone:'
            ' choose another --out or move it away.'
        )
    counts = {split: recipe[split] for split in SPLITS}
    if found == recipe and all(path.is_file() for path in coco_format.all_paths(folder, counts)):
        return True
    if not overwrite:
        state = f'was made with {found}, asked for is {recipe}'
        state = 'misses some of its files' if found == recipe else state
        raise SystemExit(
            f'The data set in {folder} {state}: pass --overwrite to draw it anew,'
            ' or choose another --out.'
        )
    return False


def draw_sample(job: Job, folder: Path) -> Record:
    """Draw and write one image; its generator depends on seed, split and index alone."""
    recipe, split, index = job.source
    rng = np.random.default_rng([recipe['seed'], SPLITS.index(split), index])
    scene = draw_scene(rng, *recipe['size'])
    return coco_format.write_sample(folder, split, index, scene, rng)


def make(folder: Path, recipe: dict, workers: int, overwrite: bool) -> None:
    """Draw what is missing beside the folder, then put all of it under its name."""
    work = WorkFolder(folder, files='.', recipe_name=MARKER)
    work.prepare(recipe, overwrite)
    jobs = []
    for split in SPLITS:
        for i in range(recipe[split]):
            name = coco_format.sample_paths(folder, split, i)[0].name
            image = dict(id=coco_format.image_id_of(split, i), file_name=name)
            jobs.append(Job(image, f'{split}/{i}', (recipe, split, i)))
    print(f'Drawing {recipe["train"]} + {recipe["val"]} images into {folder}')
    run(jobs, draw_sample, work, workers)
    records = work.records(jobs)
    for split in SPLITS:
        own = [r for r, job in zip(records, jobs, strict=True) if job.source[1] == split]
        coco_format.write_json_files(work.path, split, own)
    wanted = {work.path / MARKER, *coco_format.all_paths(work.path, recipe)}
    for path in work.path.rglob('*'):  # of a run that was killed
        if path.is_file() and path not in wanted:
            path.unlink()
    shutil.rmtree(work.path / 'records')
    old = folder.with_name(f'{folder.name}.old.{os.getpid()}')
    if folder.exists():
        folder.rename(old)
    work.path.rename(folder)
    if old.exists():
        shutil.rmtree(old)


def add_size(parser: argparse.ArgumentParser) -> None:
    """``--size`` of drawn images or frames."""
    parser.add_argument(
        '--size',
        type=whole_number(MIN_SIDE),
        nargs=2,
        default=[192, 256],
        metavar=('HEIGHT', 'WIDTH'),
        help='in pixels (192 256)',
    )


def main() -> None:
    parser = new_parser(__doc__)
    count = whole_number(1, MAX_COUNT)
    add = parser.add_argument
    add('--out', type=Path, required=True, help='folder of the data set')
    add('--train', type=count, default=400, help='number of training images')
    add('--val', type=count, default=80, help='number of validation images')
    add_size(parser)
    add('--seed', type=whole_number(0), default=0)
    add_workers(parser, whole_number(1))
    add(
        '--overwrite',
        action='store_true',
        help='replace a data set that was made with other arguments',
    )
    args = parser.parse_args()
    asked = {key: getattr(args, key) for key in ('train', 'val', 'size', 'seed')}
    recipe, folder = dict(made_by=MADE_BY, version=VERSION, **asked), args.out.resolve()
    if check_target(folder, recipe, args.overwrite):
        print(f'{folder} is complete: nothing to do.')
        return
    try:
        make(folder, recipe, args.workers, args.overwrite)
    except OSError as error:
        raise SystemExit(
            f'{folder} can not be written: {error}: mend that or choose another --out'
        ) from None
    print(f'Done: {folder}')
