"""Prepare Mapillary Vistas, as it is downloaded, for training: v1.2 and v2.0, what is there.

    python tools/dataset_converters/mapillary_panoptic.py data/mapillary

Vistas has panoptic annotations already: `panoptic_2018.json` (v1.2) or `panoptic_2020.json` (v2.0)
among the PNGs in `{training,validation}/panoptic` or `{training,validation}/{v1.2,v2.0}/panoptic`.
Of them it makes `annotations/panoptic_{train,val}.json` (v2.0: `..._v2.0.json`), in which

- categories are things first;
- images have the name of the file that is there, and names of PNGs are relative to `training` or
  `validation`, so that one data_prefix fits to either place. The PNGs stay where they are;
- height, width, area and bbox are those of the pixels, and segments without pixels are left out. A
  warning counts what was different (v1.2 has height and width exchanged).

What cannot be put right without a guess stops it: files that are missing or damaged, a JPEG and a
PNG of different size, ids in a PNG that the JSON lacks (both versions mixed up), or unknown
categories. For that every PNG is decoded once, one at a time in each process. A run that is stopped
goes on where it was.
"""

import argparse
import json
from functools import partial
from pathlib import Path

from mmpfcn.formats.file_content import read_content
from mmpfcn.formats.panoptic_json import problems
from mmpfcn.formats.panoptic_png import read_panoptic_png

from .images import check_same_size
from .segments import check_segments
from .writer import Job, Record, build, download_parser

VERSION = 1  # to be raised when the result changes
SPLITS = {'training': 'train', 'validation': 'val'}
JSON_NAMES = {'v1.2': 'panoptic_2018.json', 'v2.0': 'panoptic_2020.json'}
LAYOUT = """expected the folder that the download of
www.mapillary.com/dataset/vistas was unpacked in:
  {training,validation}/images/*.jpg
  {training,validation}/panoptic/: panoptic_2018.json, *.png; or both in v1.2/panoptic/
  {training,validation}/v2.0/panoptic/: panoptic_2020.json, *.png"""


def find_sources(args: argparse.Namespace) -> dict[tuple[str, str], Path]:
    """(folder, version) -> JSON, in either of its places; every folder has all the versions."""
    versions = [args.version] if args.version else [*JSON_NAMES]
    wanted = [(split, version) for version in versions for split in args.splits]
    found = {}
    for split, version in wanted:
        for place in (f'{version}/panoptic', 'panoptic'):
            path = args.path / split / place / JSON_NAMES[version]
            if path.is_file():
                found[split, version] = path
    there = {version for _, version in found} or versions
    for split, version in wanted:
        if version in there and (split, version) not in found:
            raise SystemExit(
                f'error: {args.path / split} has no panoptic/{JSON_NAMES[version]}, nor in '
                f'{version}/: {LAYOUT}'
            )
    return found


def load(path: Path) -> dict:
    """The JSON of a split, with categories things first."""
    try:
        content = json.loads(read_content(path))
        flaws = [*problems(content)] if content['images'] else []
        content['categories'].sort(key=lambda category: not category['isthing'])
        content['annotations'] = {a['image_id']: a for a in content['annotations']}
        content['images'] = {image['id']: image for image in content['images']}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SystemExit(
            f'error: {path} is no complete panoptic JSON of Mapillary Vistas '
            f'({type(error).__name__}: {error}): unpack it again'
        ) from None
    for flaw in flaws:
        if flaw.kind != 'unknown_category':  # found with the image, which is named then
            raise SystemExit(f'error: {path}{flaw.text}')
    for image_id in content['images'].keys() ^ content['annotations'].keys():
        where = 'images' if image_id in content['images'] else 'annotations'
        raise SystemExit(f'error: {path} has the id {image_id!r} only in its {where}')
    return content


def make_jobs(json_path: Path, split_folder: Path, content: dict) -> list[Job]:
    images = {path.stem: path.name for path in sorted((split_folder / 'images').iterdir())}
    pngs = {path.name for path in json_path.parent.glob('*.png')}
    jobs = []
    for image_id, image in content['images'].items():
        annotation = content['annotations'][image_id]
        stem = Path(image['file_name']).stem
        png_name = Path(annotation['file_name']).with_suffix('.png').name
        for name, there, folder in (
            (image['file_name'], stem in images, split_folder / 'images'),
            (png_name, png_name in pngs, json_path.parent),
        ):
            if not there:
                raise SystemExit(
                    f'error: {folder / name} is missing; {json_path} names it: unpack it again'
                )
        path = split_folder / 'images' / images[stem]
        png = json_path.parent / png_name
        record = dict(image, file_name=path.name)
        size = record.pop('height', None), record.pop('width', None)
        source = path, png, size, annotation['segments_info']
        jobs.append(Job(record, png.relative_to(split_folder).as_posix(), source))
    return jobs


def check(category_ids: frozenset[int], job: Job, folder: Path) -> Record:
    """Compare an image's part of the JSON with its files; nothing is written to the folder."""
    image, png, said_size, said = job.source
    ids = read_panoptic_png(str(png))
    height, width = ids.shape
    check_same_size(png, ids, image)
    listed = [dict(dict(iscrowd=0), **segment) for segment in said]
    segments = check_segments(
        ids,
        listed,
        category_ids,
        f'{png} has pixels of the ids {{}}, for which the JSON has no segment: PNG and JSON are of '
        'different versions; unpack both again',
    )
    by_id = {segment['id']: segment for segment in said}
    notes = ['segments without pixels are left out'] if len(segments) < len(said) else []
    for key in ('area', 'bbox'):
        if any(by_id[segment['id']].get(key) != segment[key] for segment in segments):
            notes.append(f'{key} of a segment was not that of its pixels and is put right')
    if said_size == (width, height) != (height, width):
        notes.append('height and width were exchanged in the JSON and are put right')
    elif said_size != (height, width):
        notes.append('height and width were wrong in the JSON and are put right')
    entry = dict(image_id=job.image['id'], file_name=job.png_name, segments_info=segments)
    left_out = [f'segment {key}' for key in by_id if key not in {s['id'] for s in segments}]
    image = dict(job.image, height=height, width=width)
    return Record(image, entry, notes, dict(segments=[len(said), left_out]))


def main(argv: list[str] | None = None) -> None:
    parser = download_parser(
        __doc__,
        'training and validation',
        choices=[*SPLITS],
        default=[*SPLITS],
        help='folders to prepare (default: training validation)',
    )
    parser.add_argument(
        '--version', choices=[*JSON_NAMES], help='prepare this one only (default: what is there)'
    )
    args = parser.parse_args(argv)
    for split in args.splits:
        if not (args.path / split / 'images').is_dir():
            parser.error(f'{args.path} has no folder {split}/images: {LAYOUT}')
    for (split, version), json_path in find_sources(args).items():
        content = load(json_path)
        jobs, categories = make_jobs(json_path, args.path / split, content), content['categories']
        annotate = partial(check, frozenset(category['id'] for category in categories))
        end = '' if version == 'v1.2' else f'_{version}'
        path = (args.out or args.path) / 'annotations' / f'panoptic_{SPLITS[split]}{end}.json'
        recipe = dict(made_by='mapillary_panoptic.py', version=VERSION, vistas=version)
        way = dict(workers=args.workers, overwrite=args.overwrite, png_root=args.path / split)
        build(jobs, annotate, categories, path, recipe=recipe, **way)
