"""COCO annotation files (polygons and RLE), for coco_panoptic.py."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pycocotools import mask as mask_utils

from .classes import ClassSpec, Void, read_json
from .images import some


class CocoFile(NamedTuple):
    """A file in COCO's instance format.

    Attributes:
        path: of the file.
        images: its image records.
        categories: name -> category.
        annotations: image id -> annotations.
    """

    path: Path
    images: list[dict]
    categories: dict[str, dict]
    annotations: dict[int | str, list[dict]]


class Outline(NamedTuple):
    """What an annotation says of an image; category None is void."""

    id: int | str
    category: int | None
    segmentation: list | dict
    crowd: bool


def read_coco(path: Path) -> CocoFile:
    """Read and check a file.

    Raises:
        FileNotFoundError, ValueError: naming the file and what is wrong with it.
    """
    data = read_json(path)
    parts = ('images', 'annotations', 'categories')
    if not isinstance(data, dict) or not all(isinstance(data.get(part), list) for part in parts):
        raise ValueError(f'{path} is not a COCO file: expected lists of {", ".join(parts)}')
    if any('segments_info' in annotation for annotation in data['annotations'][:1]):
        raise ValueError(f'{path} is a COCO panoptic file already: it needs no conversion')
    names = Counter(category['name'] for category in data['categories'])
    if names and max(names.values()) > 1:
        raise ValueError(f'{path} has several categories {max(names, key=names.get)!r}: rename one')
    known = {image['id'] for image in data['images']}
    annotations = defaultdict(list)
    for annotation in data['annotations']:
        if annotation['image_id'] not in known:
            raise ValueError(
                f'{path}: annotation {annotation.get("id")} is of image '
                f'{annotation["image_id"]!r}, which the file does not list: remove the annotation'
            )
        annotations[annotation['image_id']].append(annotation)
    categories = {category['name']: category for category in data['categories']}
    return CocoFile(path, data['images'], categories, dict(annotations))


def default_specs(files: Sequence[CocoFile], void: Void) -> list[ClassSpec]:
    """Classes when the user gives none: the first file's are things unless it says otherwise."""
    specs = [
        ClassSpec(
            name, bool(category.get('isthing', file is files[0])), None, category.get('color')
        )
        for file in files
        for name, category in file.categories.items()
        if name not in void.listed
    ]
    names = Counter(spec.name for spec in specs)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ValueError(
            f'{" and ".join(str(file.path) for file in files)} both have the classes '
            f'{some(twice)}: say by --things and --stuff what they are'
        )
    return sorted(specs, key=lambda spec: not spec.isthing)


def number_classes(
    specs: Sequence[ClassSpec],
    files: Sequence[CocoFile],
    background: str | None,
    has_png: bool,
) -> list[ClassSpec]:
    """Give each class its category id: that of the first file, else of the second or of the PNGs.

    Where these would collide with ids of the first file, all of them are raised by its largest id.

    Raises:
        ValueError: A class is in none of the sources.
    """
    first, *more = ({n: c['id'] for n, c in file.categories.items()} for file in files)
    second = {name: number for ids in more for name, number in ids.items()}
    others = {}
    for spec in specs:
        if spec.name in first:
            continue
        if spec.name in second:
            others[spec.name] = second[spec.name]
        elif has_png and spec.id is not None and not spec.isthing:
            others[spec.name] = spec.id
        elif spec.name != background:
            raise ValueError(_unknown(spec, files, has_png))
    offset = max(first.values()) if set(first.values()) & set(others.values()) else 0
    ids = first | {name: number + offset for name, number in others.items()}
    if background is not None and background not in ids:
        ids[background] = max([0, *ids.values()]) + 1
    return [spec._replace(id=ids[spec.name]) for spec in specs]


def _unknown(spec: ClassSpec, files: Sequence[CocoFile], has_png: bool) -> str:
    if has_png and not spec.isthing:
        return f'class {spec.name!r} needs the value of its pixels in the PNGs: {spec.name}=VALUE'
    found = '; '.join(f'{file.path} has {some(file.categories, 100)}' for file in files)
    return f'class {spec.name!r} is not among the categories: {found}'


def outlines(
    file: CocoFile, image_id: int | str, ids: Mapping[str, int], void: Void
) -> list[Outline]:
    """The annotations of an image.

    Args:
        ids: name of a class -> category id of the panoptic file.

    Raises:
        ValueError: A category is unknown, or an annotation is only a box.
    """
    names = {category['id']: name for name, category in file.categories.items()}
    found = []
    for annotation in file.annotations.get(image_id, []):
        where = f'{file.path}: annotation {annotation.get("id")}'
        name = names.get(annotation['category_id'])
        if name is None:
            raise ValueError(
                f'{where} has category {annotation["category_id"]}, which the file does not list: '
                'add it to its categories'
            )
        if name not in ids and name not in void:
            raise ValueError(
                f'{where} is of {name!r}, which is none of your classes: list it, or pass '
                f'--void {name!r} (--void alone: whatever is not listed)'
            )
        if not annotation.get('segmentation'):
            raise ValueError(
                f'{where} ({name}) has no segmentation: a box is no mask; draw its outline or '
                'remove it'
            )
        found.append(
            Outline(
                annotation.get('id'),
                ids.get(name),
                annotation['segmentation'],
                bool(annotation.get('iscrowd', 0)),
            )
        )
    return found


def to_rle(outline: Outline, height: int, width: int) -> dict:
    """Run-length encode polygons (parts with fewer than three points have no area) or RLE.

    Raises:
        ValueError: An RLE is of another size.
    """
    segmentation = outline.segmentation
    if isinstance(segmentation, list):
        parts = [part for part in segmentation if len(part) >= 6]
        encoded = mask_utils.frPyObjects(parts or [[0.0] * 6], height, width)
        return mask_utils.merge(encoded)
    if list(segmentation['size']) != [height, width]:
        raise ValueError(
            f'the RLE of annotation {outline.id} is {segmentation["size"][1]} x '
            f'{segmentation["size"][0]}, its image {width} x {height}: export it again'
        )
    if isinstance(segmentation['counts'], list):
        return mask_utils.frPyObjects(segmentation, height, width)
    return segmentation
