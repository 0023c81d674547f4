"""Make a panoptic data set of images and PNGs of class ids, without instances.

    python tools/dataset_converters/semantic_panoptic.py data/mine/train data/mine/train_classes \\
        --out data/mine/annotations --things car=26 --stuff road=7 sky=23 --void 0 255 \\
        --connected-components

The PNGs are grey (8 or 16 bit) or palette images of the image's size, matched by name: `a/b.jpg`
and `a/b.png`. All pixels of a stuff class are one segment. All pixels of a thing class are one
crowd, from which no object is learnt; with --connected-components each connected region is an
object. That is wrong wherever two objects touch (they become one) or one is cut by something in
front of it (it becomes two): use it where objects lie apart.
"""

from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from .classes import Void, make_categories, read_specs, read_void, require_values
from .images import IMAGE_SUFFIXES, check_values, find_files, image_record, match, read_ids
from .own_data import add_skip, exit_on_error, json_path, own_data_parser, report
from .segments import segments_of
from .writer import Job, convert

VALUES = 2**16  # of a 16-bit PNG
TOUCHING = np.ones((3, 3), bool)  # corners count: thin diagonal parts stay whole


def read_map(
    categories: list[dict], void: Void, components: bool, class_png: Path, image: dict
) -> tuple[np.ndarray, list[dict]]:
    """The panoptic map of an image, see `_segments.segments_of`."""
    classes = read_ids(class_png, image)
    isthing = {category['id']: category['isthing'] for category in categories}
    present = np.unique(classes).tolist()
    check_values(present, isthing, void, class_png)
    owners: list[int] = []  # class of each region
    for value in present if components else []:
        if isthing.get(value):
            regions, count = ndimage.label(classes == value, TOUCHING)
            inside = regions > 0
            classes[inside] = regions[inside] + (VALUES + len(owners) - 1)
            owners += [value] * count

    def describe(code: int) -> tuple[int, bool] | None:
        if code >= VALUES:
            return owners[code - VALUES], False
        return (code, bool(isthing[code])) if code in isthing else None

    return segments_of(classes, describe)


def main() -> None:
    parser = own_data_parser(__doc__, 'NAME=VALUE')
    parser.add_argument('class_ids', type=Path, metavar='CLASS_IDS', help='folder of PNGs')
    parser.add_argument(
        '--connected-components',
        action='store_true',
        help='each connected region of a thing class is an object',
    )
    add_skip(parser)
    args = parser.parse_args()
    with exit_on_error():
        specs, void = read_specs(args), read_void(args)
        require_values(specs)
        categories = make_categories(specs)
        images = find_files(args.images, IMAGE_SUFFIXES, 'IMAGES', json_path(args))
        classes = find_files(args.class_ids, ['.png'], 'CLASS_IDS', json_path(args))
        jobs = []
        matched = match(images, classes, 'class ids', args.skip_unannotated)
        for number, (stem, name) in enumerate(matched.items(), 1):
            png = args.class_ids / classes[stem]
            image = image_record(args.images, name, number, png.read_bytes())
            jobs.append(Job(image, f'{stem}.png', (png, image)))
    convert(
        jobs,
        partial(read_map, categories, void, args.connected_components),
        categories,
        json_path(args),
        recipe=dict(
            made_by='semantic_panoptic.py',
            version=1,
            connected_components=args.connected_components,
            categories=categories,
            void=void.as_json(),
        ),
        workers=args.workers,
        overwrite=args.overwrite,
    )
    report(json_path(args), args.images)


if __name__ == '__main__':
    main()
