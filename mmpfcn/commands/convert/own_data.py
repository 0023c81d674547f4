"""What the converters for data of your own share: arguments, ends by an error, last words."""

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmpfcn.formats.safe_names import safe_name

from .classes import add_class_arguments
from .writer import base_parser


def own_data_parser(description: str, form: str) -> argparse.ArgumentParser:
    """A parser with the images, the output and the classes; form is NAME or NAME=VALUE."""
    parser = base_parser(description)
    parser.add_argument('images', type=Path, metavar='IMAGES', help='folder of the images')
    parser.add_argument(
        '--out', type=Path, required=True, help='folder for panoptic_NAME.json and panoptic_NAME/'
    )
    parser.add_argument(
        '--name', help='what this set is called, such as train; default: the name of IMAGES'
    )
    add_class_arguments(parser, form)
    return parser


def add_skip(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--skip-unannotated',
        action='store_true',
        help='leave out images that have no annotation; else they are an error',
    )


def add_skip_without_area(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--skip-without-area',
        action='store_true',
        help='leave out and count boxes without outline, lines and points; else they are an error',
    )


def report_skipped(skipped: list[str] | None) -> None:
    if skipped:
        print(f'{len(skipped)} shapes without area are left out, such as {skipped[0]}')


def add_background_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--background',
        metavar='NAME',
        help='stuff class of the pixels that nothing covers; else they are void',
    )


def json_path(args: argparse.Namespace) -> Path:
    """The JSON to write.

    Raises:
        SystemExit: It, or the folder of its PNGs, is or contains something that is read.
    """
    path = args.out / f'panoptic_{args.name or args.images.resolve().name}.json'
    if args.name:
        with exit_on_error():
            if '/' in safe_name(args.name, '--name'):
                raise ValueError(f'--name {args.name!r} has a "/": it is part of a file name')
    written = [path, path.with_suffix(''), path.with_suffix('.partial')]
    read = [v for key, v in vars(args).items() if isinstance(v, Path) and key != 'out']
    for source in read:
        for target in written:
            if target.resolve() in (source.resolve(), *source.resolve().parents):
                raise SystemExit(
                    f'error: {target} is to be written, but {source} is read: choose another --out '
                    'or --name'
                )
    return path


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the program with the message of an error that is about the user's files."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None


def report(json_file: Path, images: Path, crowd_advice: str = '') -> dict:
    """Print what was made and the lines a config needs; returns the content of the JSON."""
    data = json.loads(json_file.read_bytes())
    things = {c['id']: c['name'] for c in data['categories'] if c['isthing']}
    stuff = {c['id']: c['name'] for c in data['categories'] if not c['isthing']}
    segments = [s for annotation in data['annotations'] for s in annotation['segments_info']]
    objects = Counter(s['category_id'] for s in segments if not s['iscrowd'])
    crowds = Counter(s['category_id'] for s in segments if s['iscrowd'])
    print(
        f'{len(data["images"])} images, {sum(objects[key] for key in things)} objects, '
        f'{crowds.total()} crowd regions, {sum(objects[key] for key in stuff)} stuff segments'
    )
    for what, advice, names in (
        (
            'have crowd regions, but no objects to learn from',
            crowd_advice,
            [name for key, name in things.items() if crowds[key] and not objects[key]],
        ),
        (
            'do not occur',
            '',
            [n for key, n in (things | stuff).items() if not crowds[key] and not objects[key]],
        ),
    ):
        if names:
            print(f'warning: classes that {what} ({len(names)}): {", ".join(names)}{advice}')
    root = os.path.commonpath([images.resolve(), json_file.resolve().parent])
    prefixes = [
        os.path.relpath(path.resolve(), root).replace(os.sep, '/') + '/'
        for path in (images, json_file.with_suffix(''))
    ]
    print(
        f'For the config:\n'
        f'    num_things_classes={len(things)}, num_stuff_classes={len(stuff)}\n'
        f'    data_root={_shown(root)!r}\n'
        f'    ann_file={os.path.relpath(json_file.resolve(), root)!r}\n'
        f'    data_prefix=dict(img={prefixes[0]!r}, seg={prefixes[1]!r})'
    )
    return data


def _shown(root: str) -> str:
    """A folder as a config would have it: relative where it lies below the current one."""
    relative = os.path.relpath(root)
    return (root if relative.startswith('..') else relative).rstrip('/') + '/'
