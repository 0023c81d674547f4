"""Make a panoptic data set of images, PNGs of class ids and PNGs of instance ids.

    python tools/dataset_converters/id_maps_panoptic.py data/mine/train data/mine/train_classes \\
        data/mine/train_instances --out data/mine/annotations \\
        --things car=26 person=24 --stuff road=7 sky=23 --void 0 255

The PNGs are grey (8 or 16 bit) or palette images of the image's size, matched by name: `a/b.jpg`,
`a/b.png` and `a/b.png`. An object is what has one class id and one instance id. Pixels of a thing
class with the instance id 0 are a crowd: a region of objects that nobody separated. Instance ids
of stuff mean nothing. A class id that is not listed is an error, unless --void has it.
"""

from functools import partial
from pathlib import Path

import numpy as np

from .classes import Void, read_void
from .images import check_values, read_ids
from .own_data import exit_on_error, id_map_jobs, make, own_data_parser, value_categories
from .segments import segments_of

INSTANCES = 2**16  # instance ids of a 16-bit PNG


def read_maps(
    categories: list[dict], void: Void, class_png: Path, instance_png: Path, image: dict
) -> tuple[np.ndarray, list[dict]]:
    classes, instances = read_ids(class_png, image), read_ids(instance_png, image)
    isthing = {category['id']: category['isthing'] for category in categories}
    check_values(np.unique(classes).tolist(), isthing, void, class_png)
    instances[~np.isin(classes, [key for key, thing in isthing.items() if thing])] = 0

    def describe(code: int) -> tuple[int, bool] | None:
        category, instance = divmod(code, INSTANCES)
        return (category, isthing[category] and not instance) if category in isthing else None

    return segments_of(
        classes.astype(np.uint32) * INSTANCES + instances.astype(np.uint32), describe
    )


def main() -> None:
    parser = own_data_parser(__doc__, 'NAME=VALUE', 'skip_unannotated')
    parser.add_argument('class_ids', type=Path, metavar='CLASS_IDS', help='folder of PNGs')
    parser.add_argument('instance_ids', type=Path, metavar='INSTANCE_IDS', help='folder of PNGs')
    args = parser.parse_args()
    with exit_on_error():
        categories, void = value_categories(args), read_void(args)
        jobs = id_map_jobs(args, [args.class_ids, args.instance_ids])
    read = partial(read_maps, categories, void)
    make(args, jobs, read, categories, made_by='id_maps_panoptic.py')
