"""Make a panoptic data set of images and polygons drawn with LabelMe, VIA 2 or ImageScope.

    python tools/dataset_converters/polygons_panoptic.py data/mine/train data/mine/train \\
        --out data/mine/annotations --things car person --stuff road sky

    python tools/dataset_converters/polygons_panoptic.py data/mine/train data/mine/via.json \\
        --attribute type --out data/mine/annotations --things car person --background ground

A folder has one LabelMe JSON or ImageScope XML for each image (it may be the folder of the images),
a JSON file is a project or an export of VIA 2. What was drawn later lies on top. In LabelMe, shapes
of a class with the same group_id are one object; an image that is only in the file (imageData) is
written beside the output. All shapes of a stuff class are one segment. Shapes with a label
of --void make their pixels void; so are pixels that nothing covers, unless --background says what
they are. Without a class list the labels that were found are shown.
"""

import argparse
import io
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from .classes import Void, add_background, make_categories, read_specs, read_void
from .fields import decode, encode, some
from .images import IMAGE_SUFFIXES, find_files, image_record, match
from .imagescope import read_imagescope
from .outlines import Drawing, Shape, read_labelme, read_via, write_embedded
from .own_data import exit_on_error, json_path, make, own_data_parser
from .segments import Canvas, Painted
from .writer import Job


def draw(
    categories: list[dict], background: str | None, shapes: list[Shape], image: dict
) -> Painted:
    by_name = {category['name']: category['id'] for category in categories}
    things = frozenset(category['id'] for category in categories if category['isthing'])
    size = image['height'], image['width']
    canvas = Canvas(*size, things)
    if background is not None:
        canvas.paint(np.ones(size, bool), by_name[background])
    for shape in shapes:
        mask, where = shape_mask(shape, *size)
        category = by_name.get(shape.label)
        canvas.paint(mask, category, shape.key, name=shape.name, where=where)
    return canvas.result()


def shape_mask(shape: Shape, height: int, width: int) -> tuple[np.ndarray, tuple[slice, slice]]:
    """(h, w), 1 where the shape is, and the rows and columns of the image that these are."""
    if shape.bitmap is None:
        polygon = [number for point in shape.outline for number in point]
        return decode(encode([polygon], height, width, shape.name))
    png, x, y = shape.bitmap
    bitmap = np.array(Image.open(io.BytesIO(png))).astype(bool)
    bitmap = bitmap[max(-y, 0) :, max(-x, 0) :]
    mask = np.zeros((height, width), np.uint8)
    part = mask[max(y, 0) : max(y, 0) + bitmap.shape[0], max(x, 0) : max(x, 0) + bitmap.shape[1]]
    part[:] = bitmap[: part.shape[0], : part.shape[1]]
    return mask, np.s_[:, :]


def check_labels(
    drawings: Mapping[str, Drawing], images: Mapping[str, str], names: frozenset[str], void: Void
) -> None:
    """ValueError where a label is unknown, naming the file and what to do."""
    for stem, drawing in drawings.items():
        for shape in drawing.shapes:
            if shape.label not in names and shape.label not in void:
                raise ValueError(
                    f'{drawing.file}: label {shape.label!r} in {images.get(stem, stem)} is none of '
                    f'your classes ({some(sorted(names), 10)}): correct it, add it to --things or '
                    f'--stuff, or pass --void {shape.label!r}'
                )


def prepare(
    args: argparse.Namespace, skipped: list[str] | None
) -> tuple[Path, list[Job], list[dict], str | None]:
    """Read everything but the pixels: the folder of the images, jobs, categories, background.

    Errors name the file and what is wrong with it.
    """
    out, folder, labelme = json_path(args), args.images, args.annotations.is_dir()
    images = find_files(folder, IMAGE_SUFFIXES, 'IMAGES', out, may_lack=labelme)
    specs, void = read_specs(args), read_void(args)
    only_class = specs[0].name if len(specs) == 1 else None
    if labelme and find_files(args.annotations, ['.xml'], 'ANNOTATIONS', out, may_lack=True):
        drawings = read_imagescope(args.annotations, images, out, only_class, skipped)
    elif labelme:
        drawings = read_labelme(args.annotations, images, out, skipped)
    else:
        drawings = read_via(args.annotations, args.attribute, folder, images, only_class, skipped)
    if not specs:
        counts = Counter(shape.label for drawing in drawings.values() for shape in drawing.shapes)
        found = ', '.join(f'{label} ({count})' for label, count in counts.most_common())
        raise ValueError(f'no classes given (--things, --stuff). Labels found: {found}')
    specs, background = add_background(specs, args.background)
    names = frozenset(spec.name for spec in specs)
    check_labels(drawings, images, names, void)
    if any(drawing.embedded for drawing in drawings.values()):
        target = out.with_suffix('.images')
        images = write_embedded(folder, images, drawings, target, args.overwrite)
        folder = target
    jobs = []
    matched = match(images, drawings, 'drawings', args.skip_unannotated)
    for number, (stem, name) in enumerate(matched.items(), 1):
        drawing = drawings[stem]
        image = image_record(folder, name, number, repr(drawing.shapes).encode())
        size = image['height'], image['width']
        if drawing.size not in (None, size):
            raise ValueError(
                f'{drawing.file} was drawn on {drawing.size[1]} x {drawing.size[0]} pixels, but '
                f'{name} is {size[1]} x {size[0]}: use the image it was drawn on'
            )
        jobs.append(Job(image, f'{stem}.png', (drawing.shapes, image)))
    return folder, jobs, make_categories(specs), background


def main() -> None:
    options = 'background', 'skip_unannotated', 'skip_without_area'
    parser = own_data_parser(__doc__, 'NAME', *options)
    parser.add_argument(
        'annotations',
        type=Path,
        metavar='ANNOTATIONS',
        help='folder of LabelMe or ImageScope files, or JSON of VIA',
    )
    parser.add_argument('--attribute', help='VIA: the region attribute that has the class')
    args = parser.parse_args()
    skipped = [] if args.skip_without_area else None
    with exit_on_error():
        images, jobs, categories, background = prepare(args, skipped)
    make(
        args,
        jobs,
        partial(draw, categories, background),
        categories,
        images=images,
        skipped=skipped,
        made_by='polygons_panoptic.py',
        background=background,
    )
