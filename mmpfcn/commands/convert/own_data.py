"""What the converters for data of your own share: arguments, ends by an error, last words."""

import argparse
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmpfcn.formats.safe_names import safe_name

from .classes import add_class_arguments, make_categories, read_specs, read_void
from .fields import some
from .images import IMAGE_SUFFIXES, find_files, image_record, match
from .writer import Job, base_parser, convert

OPTIONS = dict(
    skip_unannotated=dict(
        action='store_true', help='leave out images that have no annotation; else they are an error'
    ),
    skip_without_area=dict(
        action='store_true',
        help='leave out and count boxes without outline, lines and points; else they are an error',
    ),
    background=dict(
        metavar='NAME', help='stuff class of the pixels that nothing covers; else they are void'
    ),
)


def own_data_parser(description: str, form: str, *options: str) -> argparse.ArgumentParser:
    """With images, output, classes (form: NAME or NAME=VALUE) and some of :data:`OPTIONS`."""
    parser = base_parser(description)
    add = parser.add_argument
    add('images', type=Path, metavar='IMAGES', help='folder of the images')
    add('--out', type=Path, required=True, help='folder for panoptic_NAME.json and panoptic_NAME/')
    add('--name', help='what this set is called, such as train; default: the name of IMAGES')
    add_class_arguments(parser, form)
    for name in options:
        add(f'--{name.replace("_", "-")}', **OPTIONS[name])
    return parser


def make(
    args: argparse.Namespace,  # of :func:`own_data_parser`
    jobs: Sequence[Job],  # this and the next two as for `convert`
    read: Callable[..., tuple],
    categories: list[dict],
    *,
    images: Path | None = None,  # folder of the images, if not that of args
    skipped: Sequence[str] | None = None,  # annotations without area, which were left out
    crowd_advice: str = '',  # to follow a warning that a class has crowds only
    **recipe: Any,  # the name of the tool as `made_by`, and what the result depends on besides
) -> None:
    path = json_path(args)
    recipe |= dict(version=1, categories=categories, void=read_void(args).as_json())
    way = dict(workers=args.workers, overwrite=args.overwrite)
    convert(jobs, read, categories, path, recipe=recipe, **way)
    if skipped:
        print(f'{len(skipped)} shapes without area are left out: {some(skipped, 10)}')
    report(path, images or args.images, crowd_advice)


def json_path(args: argparse.Namespace) -> Path:
    """The JSON to write; SystemExit where it, or the folder of its PNGs, has what is read."""
    path = args.out / f'panoptic_{args.name or args.images.resolve().name}.json'
    if args.name:
        with exit_on_error():
            if '/' in safe_name(args.name, '--name'):
                raise ValueError(f'--name {args.name!r} has a "/": it is part of a file name')
    written = [path, *(path.with_suffix(end) for end in ('', '.partial', '.images'))]
    for source in (v for key, v in vars(args).items() if isinstance(v, Path) and key != 'out'):
        for target in written:
            if target.resolve() in (source.resolve(), *source.resolve().parents):
                raise SystemExit(
                    f'error: {target} is to be written, but {source} is read: choose another --out '
                    'or --name'
                )
    return path


def value_categories(args: argparse.Namespace) -> list[dict]:
    """The classes of PNGs of class ids; ValueError where one does not say which value it is."""
    specs = read_specs(args)
    for spec in specs:
        if spec.id is None:
            raise ValueError(
                f'class {spec.name!r} has no value: write {spec.name}=VALUE, the value of its '
                'pixels in the PNGs of class ids'
            )
    return make_categories(specs)


def id_map_jobs(args: argparse.Namespace, folders: Sequence[Path]) -> list[Job]:
    """The images with their PNGs of each folder: first of class ids, then of instance ids.

    Raises:
        FileNotFoundError, ValueError: a folder is empty, or they do not fit; naming the file.
    """
    written = json_path(args)
    images = find_files(args.images, IMAGE_SUFFIXES, 'IMAGES', written)
    skip, maps = args.skip_unannotated, []
    for folder, what in zip(folders, ('class ids', 'instance ids'), strict=False):
        found = find_files(folder, ['.png'], what.upper().replace(' ', '_'), written)
        images, skip = match(images, found, what, skip), False
        maps.append({stem: folder / png for stem, png in found.items()})
    jobs = []
    for number, (stem, name) in enumerate(images.items(), 1):
        pngs = [of[stem] for of in maps]
        image = image_record(args.images, name, number, b''.join(p.read_bytes() for p in pngs))
        jobs.append(Job(image, f'{stem}.png', (*pngs, image)))
    return jobs


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the program with the message of an error that is about the user's files."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None


def report(json_file: Path, images: Path, crowd_advice: str) -> None:
    data = json.loads(json_file.read_bytes())
    names = {c['id']: c['name'] for c in data['categories']}  # things first
    things = [c['id'] for c in data['categories'] if c['isthing']]
    segments = [s for annotation in data['annotations'] for s in annotation['segments_info']]
    whole = Counter(s['category_id'] for s in segments if not s['iscrowd'])
    crowds = Counter(s['category_id'] for s in segments if s['iscrowd'])
    objects = sum(whole[key] for key in things)
    print(
        f'{len(data["images"])} images, {objects} objects, {crowds.total()} crowd regions, '
        f'{whole.total() - objects} stuff segments'
    )
    only_crowds = [names[key] for key in things if crowds[key] and not whole[key]]
    absent = [name for key, name in names.items() if not crowds[key] and not whole[key]]
    for what, found, advice in (
        ('have crowd regions, but no objects to learn from', only_crowds, crowd_advice),
        ('do not occur', absent, ''),
    ):
        if found:
            print(f'warning: classes that {what} ({len(found)}): {", ".join(found)}{advice}')
    folder, path = images.resolve(), json_file.resolve()
    root = os.path.commonpath([folder, path.parent])
    below = os.path.relpath(root)  # as a config would have it
    shown = (root if below.startswith('..') else below).rstrip('/') + '/'
    img, ann, seg = (p.relative_to(root).as_posix() for p in (folder, path, path.with_suffix('')))
    print(
        f'For the config:\n'
        f'    num_things_classes={len(things)}, num_stuff_classes={len(names) - len(things)}\n'
        f'    data_root={shown!r}\n'
        f'    ann_file={ann!r}\n'
        f'    data_prefix=dict(img={f"{img}/"!r}, seg={f"{seg}/"!r})'
    )
