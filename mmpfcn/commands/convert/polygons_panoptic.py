"""Make a panoptic data set of images and polygons that were drawn with LabelMe or VIA 2.

    python tools/dataset_converters/polygons_panoptic.py data/mine/train data/mine/train \\
        --out data/mine/annotations --things car person --stuff road sky

    python tools/dataset_converters/polygons_panoptic.py data/mine/train data/mine/via.json \\
        --attribute type --out data/mine/annotations --things car person --background ground

A folder has one LabelMe JSON for each image (it may be the folder of the images), a JSON file is a
project or an export of VIA 2. What was drawn later lies on top. In LabelMe, shapes of a class with
the same group_id are one object. All shapes of a stuff class are one segment. Shapes with a label
of --void make their pixels void; so are pixels that nothing covers, unless --background says what
they are. Without a class list the labels that were found are shown.
"""

import io
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from .classes import Void, add_background, make_categories, read_specs, read_void
from .images import IMAGE_SUFFIXES, find_files, image_record, match, some
from .outlines import Drawing, Shape, read_labelme, read_via
from .own_data import (
    add_background_argument,
    add_skip,
    add_skip_without_area,
    exit_on_error,
    json_path,
    own_data_parser,
    report,
    report_skipped,
)
from .segments import Canvas, outline_mask
from .writer import Job, convert


def draw(
    categories: list[dict], background: str | None, shapes: list[Shape], image: dict
) -> tuple[np.ndarray, list[dict]]:
    """The panoptic map of an image: ids (H, W) and segments."""
    by_name = {category['name']: category['id'] for category in categories}
    things = frozenset(category['id'] for category in categories if category['isthing'])
    size = image['height'], image['width']
    canvas = Canvas(*size, things)
    if background is not None:
        canvas.paint(np.ones(size, bool), by_name[background])
    for shape in shapes:
        canvas.paint(shape_mask(shape, *size), by_name.get(shape.label), shape.key)
    return canvas.ids, canvas.segments


def shape_mask(shape: Shape, height: int, width: int) -> np.ndarray:
    """(H, W), 1 where the shape is."""
    if shape.bitmap is None:
        return outline_mask(shape.outline, height, width)
    png, x, y = shape.bitmap
    bitmap = np.array(Image.open(io.BytesIO(png))).astype(bool)
    mask = np.zeros((height, width), np.uint8)
    part = mask[y : y + bitmap.shape[0], x : x + bitmap.shape[1]]
    part[:] = bitmap[: part.shape[0], : part.shape[1]]
    return mask


def check_drawing(drawing: Drawing, image: dict, names: frozenset[str], void: Void) -> None:
    """Stop when a label is unknown or the image is not the one that was drawn on.

    Raises:
        ValueError: naming the file and what to do.
    """
    size = image['height'], image['width']
    if drawing.size not in (None, size):
        raise ValueError(
            f'{drawing.file} was drawn on {drawing.size[1]} x {drawing.size[0]} pixels, but '
            f'{image["file_name"]} is {size[1]} x {size[0]}: use the image it was drawn on'
        )
    for shape in drawing.shapes:
        if shape.label not in names and shape.label not in void:
            raise ValueError(
                f'{drawing.file}: label {shape.label!r} in {image["file_name"]} is none of your '
                f'classes ({some(sorted(names), 10)}): correct it, add it to --things or --stuff, '
                f'or pass --void {shape.label!r}'
            )


def labels_in(drawings: Mapping[str, Drawing]) -> str:
    counts = Counter(shape.label for drawing in drawings.values() for shape in drawing.shapes)
    return ', '.join(f'{label} ({count})' for label, count in counts.most_common())


def main() -> None:
    parser = own_data_parser(__doc__, 'NAME')
    parser.add_argument(
        'annotations',
        type=Path,
        metavar='ANNOTATIONS',
        help='folder of LabelMe files, or JSON of VIA',
    )
    parser.add_argument('--attribute', help='VIA: the region attribute that has the class')
    add_background_argument(parser)
    add_skip(parser)
    add_skip_without_area(parser)
    args = parser.parse_args()
    skipped = [] if args.skip_without_area else None
    with exit_on_error():
        out = json_path(args)
        images = find_files(args.images, IMAGE_SUFFIXES, 'IMAGES', out)
        specs, void = read_specs(args), read_void(args)
        if args.annotations.is_dir():
            drawings = read_labelme(args.annotations, images, out, skipped)
        else:
            only_class = specs[0].name if len(specs) == 1 else None
            drawings = read_via(args.annotations, args.attribute, images, only_class, skipped)
        if not specs:
            raise ValueError(
                f'no classes given (--things, --stuff). Labels found: {labels_in(drawings)}'
            )
        specs, background = add_background(specs, args.background)
        categories = make_categories(specs)
        names = frozenset(spec.name for spec in specs)
        jobs = []
        matched = match(images, drawings, 'drawings', args.skip_unannotated)
        for number, (stem, name) in enumerate(matched.items(), 1):
            drawing = drawings[stem]
            image = image_record(args.images, name, number, repr(drawing.shapes).encode())
            check_drawing(drawing, image, names, void)
            jobs.append(Job(image, f'{stem}.png', (drawing.shapes, image)))
    convert(
        jobs,
        partial(draw, categories, background),
        categories,
        json_path(args),
        recipe=dict(
            made_by='polygons_panoptic.py',
            version=1,
            background=background,
            categories=categories,
            void=void.as_json(),
        ),
        workers=args.workers,
        overwrite=args.overwrite,
    )
    report_skipped(skipped)
    report(json_path(args), args.images)


if __name__ == '__main__':
    main()
