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

from .classes import Void, read_void
from .images import check_values, read_ids
from .own_data import exit_on_error, id_map_jobs, make, own_data_parser, value_categories
from .segments import segments_of

VALUES = 2**16  # of a 16-bit PNG
TOUCHING = np.ones((3, 3), bool)  # corners count: thin diagonal parts stay whole


def read_map(
    categories: list[dict], void: Void, components: bool, class_png: Path, image: dict
) -> tuple[np.ndarray, list[dict]]:
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
    parser = own_data_parser(__doc__, 'NAME=VALUE', 'skip_unannotated')
    parser.add_argument('class_ids', type=Path, metavar='CLASS_IDS', help='folder of PNGs')
    parser.add_argument(
        '--connected-components',
        action='store_true',
        help='each connected region of a thing class is an object',
    )
    args = parser.parse_args()
    with exit_on_error():
        categories, void = value_categories(args), read_void(args)
        jobs = id_map_jobs(args, [args.class_ids])
    recipe = dict(made_by='semantic_panoptic.py', connected_components=args.connected_components)
    read = partial(read_map, categories, void, args.connected_components)
    make(args, jobs, read, categories, **recipe)
