"""Make a panoptic data set of COCO instances, with or without annotations of stuff.

    python tools/dataset_converters/coco_panoptic.py data/coco/val2017 \\
        data/coco/annotations/instances_val2017.json --out data/mine/annotations \\
        --stuff-json data/coco/annotations/stuff_val2017.json --void other

The instances are polygons or RLE, as the COCO API, CVAT, Label Studio and others write them. Stuff
comes from a second JSON in the same format (of any number of annotations for a class), from PNGs of
class ids (--stuff-png with --stuff sky=157 ...), or from the first JSON, whose classes are things
unless --stuff names them. What nothing covers is void, unless --background says what it is.

In a panoptic map a pixel has one segment, but COCO's instances overlap: the table's outline goes
around the plate. Here smaller objects lie on top of larger ones, which is right for most such
pairs, and leaves something of both: a large object on top would hide small ones completely. (The
COCO panoptic API's converter stops at overlaps.) Crowd regions lie below all objects, stuff below
both.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from pycocotools import mask as mask_utils

from .classes import Void, add_background, make_categories, read_specs, read_void
from .coco import CocoFile, Outline, default_specs, number_classes, outlines, read_coco
from .fields import decode, encode, some
from .images import check_values, find_files, image_record, read_ids
from .own_data import exit_on_error, json_path, make, own_data_parser
from .segments import Canvas, Painted
from .writer import Job


class Classes(NamedTuple):
    """What the pixels of an image can be."""

    categories: list[dict]  # of the panoptic JSON
    background: int | None  # category id of what nothing covers; None is void
    values: dict[int, int]  # value of the stuff PNG -> category id
    void: Void  # what else the PNGs and annotations may have


def paint(classes: Classes, drawn: list[Outline], stuff_png: Path | None, image: dict) -> Painted:
    things = frozenset(category['id'] for category in classes.categories if category['isthing'])
    size = image['height'], image['width']
    canvas = Canvas(*size, things)
    if classes.background is not None:
        canvas.paint(np.ones(size, bool), classes.background)
    if stuff_png is not None:
        ids = read_ids(stuff_png, image)
        present = np.unique(ids).tolist()
        check_values(present, classes.values, classes.void, stuff_png)
        for value in present:
            canvas.paint(ids == value, classes.values.get(value))
    layers = []
    for outline in drawn:
        name = f'annotation {outline.id}'
        rle = encode(outline.segmentation, *size, f'{outline.file}: {name}')
        isthing = outline.category in things
        # void, stuff, crowds, objects
        layer = 0 if outline.category is None else 1 + isthing + (isthing and not outline.crowd)
        layers.append((layer, -float(mask_utils.area(rle)), outline, rle, name))
    for _, _, outline, rle, name in sorted(layers, key=lambda entry: entry[:2]):
        mask, where = decode(rle)
        canvas.paint(mask, outline.category, crowd=outline.crowd, name=name, where=where)
    return canvas.result()


def make_jobs(
    images: Path,
    files: list[CocoFile],
    png_folder: Path | None,
    written: Path,
    describe: Callable[[CocoFile, int | str], list[Outline]],
) -> list[Job]:
    """The images that the first file lists; `describe` gives a file's outlines of an image id.

    Raises:
        FileNotFoundError, ValueError: naming an image that is missing or of another size, or has no
            PNG, or an annotation that cannot be used.
    """
    records = files[0].images
    missing = [r['file_name'] for r in records if not (images / r['file_name']).is_file()]
    if missing:
        raise FileNotFoundError(
            f'{images} lacks {some(missing)}: IMAGES is the folder that the names in '
            f'{files[0].path} start from'
        )
    names = [PurePosixPath(record['file_name']) for record in records]
    stems = [name.with_suffix('').as_posix() for name in names]
    pngs = {}
    if png_folder is not None:
        pngs = find_files(png_folder, ['.png'], '--stuff-png', written)
        missing = [str(name) for stem, name in zip(stems, names, strict=True) if stem not in pngs]
        if missing:
            raise FileNotFoundError(f'{png_folder} has no PNG for {some(missing)}: add it')
    jobs = []
    for record, name, stem in zip(records, map(str, names), stems, strict=True):
        drawn = [o for file in files for o in describe(file, record['id'])]
        png = png_folder / pngs[stem] if pngs else None
        source = repr(drawn).encode() + (png.read_bytes() if png else b'')
        image = image_record(images, name, record['id'], source)
        size = record.get('height', image['height']), record.get('width', image['width'])
        if size != (image['height'], image['width']):
            raise ValueError(
                f'{images / name} is {image["width"]} x {image["height"]} (upright), but '
                f'{files[0].path} says {size[1]} x {size[0]}: use the image that was annotated'
            )
        jobs.append(Job(image, f'{stem}.png', (drawn, png, image)))
    return jobs


def prepare(args: argparse.Namespace, skipped: list[str] | None) -> tuple[Classes, list[Job]]:
    """Read everything but the pixels; errors name the file and what is wrong with it."""
    paths = [args.instances, *([args.stuff_json] if args.stuff_json else [])]
    void, files = read_void(args), [read_coco(path, args.images) for path in paths]
    named, background = add_background(
        read_specs(args) or default_specs(files, void), args.background
    )
    specs = number_classes(named, files, background, args.stuff_png is not None)
    ids = {spec.name: spec.id for spec in specs}
    values = {s.id: ids[s.name] for s in named if s.id is not None and not s.isthing}
    describe = partial(
        outlines, ids=ids, void=void, crowds_are_objects=args.crowds_are_objects, skipped=skipped
    )
    jobs = make_jobs(args.images, files, args.stuff_png, json_path(args), describe)
    ground = None if background is None else ids[background]
    return Classes(make_categories(specs), ground, values, void), jobs


def main() -> None:
    parser = own_data_parser(__doc__, 'NAME[=VALUE]', 'background', 'skip_without_area')
    parser.add_argument('instances', type=Path, metavar='INSTANCES', help='COCO instances JSON')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--stuff-json', type=Path, help='JSON like INSTANCES, of stuff')
    source.add_argument('--stuff-png', type=Path, help='folder of PNGs of class ids, for stuff')
    parser.add_argument(
        '--crowds-are-objects',
        action='store_true',
        help='each iscrowd: 1 is one object, as CVAT marks masks that were painted',
    )
    args = parser.parse_args()
    skipped = [] if args.skip_without_area else None
    with exit_on_error():
        classes, jobs = prepare(args, skipped)
    advice = ': pass --crowds-are-objects if each is one object (CVAT marks painted masks so)'
    more = dict(skipped=skipped, crowd_advice=advice)
    values = sorted(map(list, classes.values.items()))  # as JSON has it
    recipe = dict(made_by='coco_panoptic.py', background=classes.background, values=values)
    make(args, jobs, partial(paint, classes), classes.categories, **more, **recipe)
