"""Make a panoptic data set of images and masks of objects of one class, such as nuclei.

    python tools/dataset_converters/objects_panoptic.py data/mine/train data/mine/train_masks \\
        --out data/mine/annotations --things nucleus --background background

For an image `a/b.jpg` MASKS has a map of its objects, `a/b.png` or with another suffix, in which
the value of a pixel is the number of its object and 0 is none; or a folder `a/b/` with a mask of
each object, which is what is not 0. PNG, TIFF and BMP have one channel; `.npy` and `.mat` an array
of the image's size, `.mat` with several of them one that is called `inst_map`. Where masks overlap,
the smaller object is on top. Pixels of no object are void, unless --background says what they are.
"""

import io
import json
from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from pycocotools import mask as mask_utils
from scipy.io import loadmat

from mmpfcn.formats.file_content import read_content

from .classes import Void, add_background, make_categories, read_specs, read_void
from .fields import decode
from .images import IMAGE_SUFFIXES, find_files, image_record, match, read_ids, whole_numbers
from .own_data import exit_on_error, json_path, make, own_data_parser
from .segments import Canvas, Painted, segments_of
from .writer import Job

ARRAYS = ('.npy', '.mat')
VARIABLE = 'inst_map'  # the map of objects in a .mat that has several arrays


def read_objects(
    thing: int, ground: int | None, void: Void, files: list[Path], one_each: bool, image: dict
) -> tuple[np.ndarray, list[dict]] | Painted:
    """Ids and segments of a map of objects, or of a mask of each."""
    if one_each:
        return paint_masks(thing, ground, files, image)

    def describe(number: int) -> tuple[int, bool] | None:
        if number in void:
            return None
        if number < 0:
            raise ValueError(
                f'{files[0]} has the value {number}, expected numbers of objects from 0: correct '
                f'it, or pass --void {number}'
            )
        return (thing, False) if number else ground and (ground, False)

    return segments_of(read_map(files[0], image), describe)


def paint_masks(thing: int, ground: int | None, files: list[Path], image: dict) -> Painted:
    size = image['height'], image['width']
    canvas = Canvas(*size, frozenset([thing]))
    if ground is not None:
        canvas.paint(np.ones(size, bool), ground)
    layers = []
    for file in files:
        rle = mask_utils.encode(np.asfortranarray(read_map(file, image) != 0, np.uint8))
        layers.append((-int(mask_utils.area(rle)), file.name, rle))
    for _, name, rle in sorted(layers, key=lambda layer: layer[:2]):
        mask, where = decode(rle)
        canvas.paint(mask, thing, name=name, where=where)
    return canvas.result()


def read_map(file: Path, image: dict) -> np.ndarray:
    """(H, W) int32 of a file, of the image's size; ValueError names it and what is wrong."""
    if file.suffix.lower() not in ARRAYS:
        return read_ids(file, image)
    content = io.BytesIO(read_content(file))
    try:
        if file.suffix.lower() == '.npy':
            arrays = {'array': np.load(content, allow_pickle=False)}
        else:
            arrays = {k: v for k, v in loadmat(content).items() if not k.startswith('__')}
    except Exception as error:  # both have many for what a file can be
        raise ValueError(
            f'{file} cannot be read ({error}): save it again, as one array of numbers or a .mat of '
            'version 7'
        ) from error
    size = image['height'], image['width']
    dense = {
        k: x for k, x in arrays.items() if isinstance(x, np.ndarray) and x.dtype.kind in 'buif'
    }
    fits = [key for key, array in dense.items() if array.shape == size]
    key = fits[0] if len(fits) == 1 else VARIABLE
    if key not in fits:
        shown = ', '.join(
            f'{key} {x.shape if key in dense else type(x).__name__}' for key, x in arrays.items()
        )
        raise ValueError(
            f'{file} has {shown or "nothing"}, expected one array of numbers of {size}, the '
            f'size of {image["file_name"]}, or among several one that is called {VARIABLE}: save '
            'the map of objects alone'
        )
    return whole_numbers(arrays[key], file)


def find_jobs(images: Path, masks: Path, written: Path, skip: bool) -> list[Job]:
    """The images with their map of objects, or their masks of one each.

    Raises:
        FileNotFoundError, ValueError: a folder is empty, or they do not fit; naming the file.
    """
    names = find_files(images, IMAGE_SUFFIXES, 'IMAGES', written)
    owned: dict[str, list[Path]] = defaultdict(list)
    first, parts = {}, set()
    for stem, name in find_files(masks, (*IMAGE_SUFFIXES, *ARRAYS), 'MASKS', written).items():
        parent = PurePosixPath(stem).parent.as_posix()
        is_part = stem not in names and parent in names
        owner = parent if is_part else stem
        if owned[owner] and (owner in parts) != is_part:
            raise ValueError(f'{masks} has both {first[owner]} and {name} for one image: keep one')
        owned[owner].append(masks / name)
        first.setdefault(owner, name)
        parts |= {owner} if is_part else set()
    jobs = []
    for number, (stem, name) in enumerate(match(names, first, 'masks', skip).items(), 1):
        content = b''.join(file.read_bytes() for file in owned[stem])
        image = image_record(images, name, number, content)
        jobs.append(Job(image, f'{stem}.png', (owned[stem], stem in parts, image)))
    return jobs


def main() -> None:
    parser = own_data_parser(__doc__, 'NAME', 'background', 'skip_unannotated')
    parser.add_argument('masks', type=Path, metavar='MASKS', help='folder of the masks')
    args = parser.parse_args()
    with exit_on_error():
        named = read_specs(args)
        if len(named) != 1 or not named[0].isthing:
            raise ValueError(
                f'the classes are {[spec.name for spec in named]}, expected exactly one, by '
                '--things NAME; id_maps_panoptic.py is for several classes'
            )
        specs, background = add_background(named, args.background)
        categories = make_categories(specs)
        jobs = find_jobs(args.images, args.masks, json_path(args), args.skip_unannotated)
    thing, ground = (*(category['id'] for category in categories), None)[:2]
    read = partial(read_objects, thing, ground, read_void(args))
    make(args, jobs, read, categories, made_by='objects_panoptic.py', background=background)
    annotations = json.loads(json_path(args).read_bytes())['annotations']
    counts = [sum(s['category_id'] == thing for s in x['segments_info']) for x in annotations]
    if max(counts) == 1 and not any(one_each for _, _, (_, one_each, _) in jobs):
        print(
            'warning: no image has more than one object. If the masks show objects by 1 or 255 '
            'only, all of an image became one: number them first, such as by scipy.ndimage.label'
        )
