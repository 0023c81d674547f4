"""What the converters have in common: writing COCO panoptic format in parallel and restartably."""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mmpfcn.formats.panoptic_png import write_panoptic_png
from mmpfcn.formats.safe_names import safe_name

from ..options import add_workers, new_parser
from ..workers import map_in_processes
from .fields import some
from .segments import check_segments
from .work_folder import MERGED, Job, Record, WorkFolder, load_json, merge, publish


class ImageError(RuntimeError):
    """An image cannot be converted; the message names it."""


def base_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every converter: `--workers` and `--overwrite`."""
    parser = new_parser(description)
    add_workers(parser, _positive)
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace annotations that are there, whatever made them',
    )
    return parser


def download_parser(description: str, folders: str, **splits: Any) -> argparse.ArgumentParser:
    """For a data set as it is downloaded: PATH with these folders, ``--out`` and ``--splits``."""
    parser = base_parser(description)
    add = parser.add_argument
    add('path', type=Path, metavar='PATH', help=f'folder with {folders}')
    add('--out', type=Path, help='folder in which annotations/ is made (default: PATH)')
    add('--splits', nargs='+', **splits)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'got {text!r}, expected a whole number of at least 1')
    return int(text)


def convert(
    jobs: Sequence[Job],
    read: Callable[..., tuple[np.ndarray, list[dict]]],
    categories: list[dict],
    json_file: Path,
    **options: Any,
) -> None:
    """:func:`build` a data set of the ids and segments of its images, PNGs and all.

    Args:
        jobs, categories, json_file, options: of :func:`build`.
        read: called as `read(*job.source)` in a worker process; returns (H, W) integer ids, 0 for
            void, the segments (`id`, `category_id`, `iscrowd`), those without pixels are left out,
            and, if it likes, `left_out` of the `Record`. It raises OSError or ValueError, with the
            name of the file, for what cannot be used.
    """
    annotate = partial(_write_png, read, frozenset(c['id'] for c in categories))
    build(jobs, annotate, categories, json_file, png_root=json_file.with_suffix(''), **options)


def _write_png(read: Callable, category_ids: frozenset, job: Job, folder: Path) -> Record:
    ids, segments, *left_out = read(*job.source)
    height, width = map(int, ids.shape)
    image = dict(dict(height=height, width=width), **job.image)
    if (image['height'], image['width']) != (height, width):
        raise ValueError(
            f'the image has {image["width"]} x {image["height"]} pixels (width x height), '
            f'its annotation {width} x {height}: they must have the same size'
        )
    segments = check_segments(ids, segments, category_ids, 'ids {} in the map belong to no segment')
    write_panoptic_png(folder / job.png_name, ids)
    entry = dict(image_id=image['id'], file_name=job.png_name, segments_info=segments)
    return Record(image, entry, [], *(left_out or [{}]))


def build(
    jobs: Sequence[Job],  # the images, in the order of the JSON
    annotate: Callable[[Job, Path], Record],  # in a worker process; may write `folder / png_name`
    categories: list[dict],
    json_file: Path,
    *,
    png_root: Path,
    recipe: dict,
    workers: int,  # processes
    overwrite: bool = False,
) -> None:
    """Write a COCO panoptic JSON and, in the folder of the same name, its PNGs.

    A run that is stopped goes on where it was; a complete result is left as it is; anything else
    that is there is replaced only with `overwrite`, whatever made it. What is wrong ends in a
    SystemExit with a message, for exit code 1.

    Args:
        png_root: folder that the PNG names are relative to: `json_file` without `.json` where
            `annotate` writes them, else where they are already.
        recipe: what the result depends on, besides the jobs: plain JSON values, with the name and
            the version of the converter.
    """
    _check_jobs(jobs, json_file)
    if _is_complete(jobs, json_file, png_root, recipe):
        print(f'{json_file} is already complete.')
        _print_left_out(json_file)
        return
    work = WorkFolder(json_file.with_suffix(''))
    try:
        if not (work.path / MERGED).is_file():  # else it was stopped while it replaced them
            _check_targets([json_file, work.target], png_root, overwrite)
        work.prepare(recipe, overwrite)
        run(jobs, annotate, work, workers)
        records = work.records(jobs)
        merge(work, records, categories, recipe)
        publish(work)
    except OSError as error:
        raise SystemExit(
            f'error: cannot write {json_file}: {error}: mend that or choose another --out\n'
            f'{work.leave()}'
        ) from None
    notes: dict[str, list[str]] = {}
    for record in records:
        for note in record.notes:
            notes.setdefault(note, []).append(record.image['file_name'])
    for note, names in notes.items():
        print(f'warning: {note}: {len(names)} images, such as {names[0]}', file=sys.stderr)
    print(f'Done: {json_file} ({len(jobs)} images)')
    _print_left_out(json_file)


def _check_jobs(jobs: Sequence[Job], json_file: Path) -> None:
    if not jobs:
        raise SystemExit(f'error: there are no images for {json_file}')
    known = {}
    for job in jobs:
        name = job.image['file_name']
        try:
            safe_name(job.png_name, f'the PNG of {name}')
        except ValueError as error:
            raise SystemExit(f'error: {error}') from None
        for what, value in (('image id', job.image['id']), ('PNG name', job.png_name)):
            if (what, value) in known:
                both = f'{known[what, value]} and {name}'
                raise SystemExit(f'error: {both} have the same {what}, {value!r}')
            known[what, value] = name


def _is_complete(jobs: Sequence[Job], json_file: Path, png_root: Path, recipe: dict) -> bool:
    """Whether the JSON was made by this recipe of these images, and every PNG is there."""
    found = load_json(json_file)
    if found is None or (found.get('info') or {}).get('recipe') != recipe:
        return False
    pairs = zip(jobs, found['images'], strict=False)
    same = len(found['images']) == len(jobs) and all(
        job.image.items() <= image.items() for job, image in pairs
    )
    return same and all((png_root / a['file_name']).is_file() for a in found['annotations'])


def _check_targets(targets: list[Path], png_root: Path, overwrite: bool) -> None:
    for path in targets:
        written = path.suffix == '.json' or path == png_root
        empty = path.is_dir() and not any(path.iterdir())
        if written and path.exists() and not empty and not overwrite:
            raise SystemExit(
                f'error: {path} exists, but is no finished result of this command for these images '
                'and arguments: delete it, or pass --overwrite to replace it'
            )


def run(jobs: Sequence[Job], annotate: Callable, work: WorkFolder, workers: int) -> None:
    """Convert the images that are not done yet, with a progress bar; `annotate` is as of `build`.

    Raises:
        SystemExit: an image cannot be converted, memory is short, or it was interrupted.
    """
    missing = [job for job in jobs if not work.is_done(job)]
    task = partial(_convert_one, annotate, work)
    begin = len(jobs) - len(missing)
    try:
        with tqdm(total=len(jobs), initial=begin, desc=work.target.name, unit='image') as bar:
            for _ in map_in_processes(task, missing, workers):
                bar.update()
    except ImageError as error:
        raise SystemExit(f'error: {error}\n{work.leave()}') from None
    except (MemoryError, BrokenProcessPool):
        raise SystemExit(
            'error: a process was killed or found no memory: use fewer, such as '
            f'--workers {max(1, workers // 2)}\n{work.leave()}'
        ) from None
    except KeyboardInterrupt:
        raise SystemExit(f'Interrupted. {work.leave()}') from None


def _convert_one(annotate: Callable, work: WorkFolder, job: Job) -> None:
    try:
        work.add(job, annotate(job, work.files))
    except (OSError, ValueError) as error:
        raise ImageError(f'{job.image["file_name"]}: {error}') from error


def _print_left_out(json_file: Path) -> None:
    for kind, (count, names) in load_json(json_file)['info'].get('left_out', {}).items():
        print(
            f'{len(names)} of {count} {kind} are left out, for no pixel shows them: '
            f'{some(names)}; all of them stand in {json_file} as info.left_out'
        )
