"""COCO annotation files (polygons and RLE), for coco_panoptic.py."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmpfcn.formats.safe_names import safe_name

from .classes import ClassSpec, Void, read_json
from .fields import check_category, field, parts_of, some


class CocoFile(NamedTuple):
    """A file in COCO's instance format."""

    path: Path  # of the file
    images: list[dict]  # its image records
    categories: dict[str, dict]  # name -> category, whose id is a whole number
    names: dict[str, str]  # text of a category's id in the file -> its name
    annotations: dict[str, list[dict]]  # text of an image's id -> annotations


class Outline(NamedTuple):
    """What an annotation says of an image; file and id are for messages, category None is void."""

    file: str
    id: int | str
    category: int | None
    segmentation: list[list[float] | dict]
    crowd: bool


def read_coco(path: Path, folder: Path) -> CocoFile:
    """Read and check a file of the images in a folder; errors name it and what is wrong."""
    data = read_json(path)
    parts = ('images', 'annotations', 'categories')
    if not isinstance(data, dict) or not all(isinstance(data.get(part), list) for part in parts):
        raise ValueError(f'{path} is not a COCO file: expected lists of {", ".join(parts)}')
    if any(isinstance(a, dict) and 'segments_info' in a for a in data['annotations'][:1]):
        raise ValueError(f'{path} is a COCO panoptic file already: it needs no conversion')
    images = [
        _checked_image(r, f'{path}: image {n}', folder) for n, r in enumerate(data['images'], 1)
    ]
    known = {}
    for image in images:
        other = known.setdefault(str(image['id']), image['file_name'])
        if other != image['file_name']:
            raise ValueError(
                f'{path}: images {other} and {image["file_name"]} have the same id {image["id"]}: '
                'give each its own, and its annotations that'
            )
    annotations = defaultdict(list)
    for number, annotation in enumerate(data['annotations'], 1):
        where = f'{path}: annotation {_number(annotation, number)}'
        image_id = field(annotation, 'image_id', 'a number or a text', where)
        field(annotation, 'category_id', 'a number or a text', where)
        if annotation.get('iscrowd', 0) not in (0, 1):
            raise ValueError(f'{where}: "iscrowd" is {annotation["iscrowd"]!r}, expected 0 or 1')
        if str(image_id) not in known:
            raise ValueError(
                f'{where} is of image {image_id!r}, which the file does not list: remove the '
                'annotation'
            )
        annotations[str(image_id)].append(annotation)
    used = {str(a['category_id']) for a in data['annotations']}
    names = _categories(path, data['categories'], used)
    whole = all(key.isdecimal() for key in names)  # else all count from 1
    categories = {
        entry['name']: dict(entry, id=int(key) if whole else number)
        for number, (key, entry) in enumerate(names.items(), 1)
    }
    names = {key: entry['name'] for key, entry in names.items()}
    return CocoFile(path, images, categories, names, dict(annotations))


def _number(annotation: object, number: int) -> object:
    """What an annotation is called in messages: its id, else its place in the list."""
    known = annotation.get('id') if isinstance(annotation, dict) else None
    return f'number {number}' if known is None else known


def _checked_image(record: dict, where: str, folder: Path) -> dict:
    field(record, 'id', 'a number or a text', where)
    field(record, 'file_name', 'a text', where)
    for key in ('height', 'width'):
        if key in record:
            field(record, key, 'a whole number', where)
    name = safe_name(record['file_name'], f'{where}: "file_name"', folder)
    return dict(record, file_name=name)


def _categories(path: Path, entries: list[dict], used: set[str]) -> dict[str, dict]:
    """The classes by the text of their id: equal entries are one, an unused root is none."""
    for number, entry in enumerate(entries, 1):
        where = f'{path}: category {_number(entry, number)}'
        check_category(entry, where)
        field(entry, 'id', 'a number or a text', where)
    above = {(e.get('supercategory'), str(e['id'])) for e in entries}
    kept: dict[tuple[str, str], dict] = {}
    for entry in entries:
        key, name = str(entry['id']), entry['name']
        root = entry.get('supercategory') in (None, '', 'none') and key not in used
        if not (root and any(parent == name and own != key for parent, own in above)):
            kept.setdefault((key, name), entry)
    by_id = {}
    for (key, name), entry in kept.items():
        if any(other['name'] == name for other in by_id.values()):
            raise ValueError(f'{path} has several categories {name!r}: rename one')
        if by_id.setdefault(key, entry) is not entry:
            raise ValueError(f'{path} has the category id {key} twice: rename one')
    return by_id


def default_specs(files: Sequence[CocoFile], void: Void) -> list[ClassSpec]:
    """Classes when the user gives none: the first file's are things unless it says otherwise."""
    specs = []
    for file in files:
        for name, category in file.categories.items():
            isthing = category.get('isthing')
            isthing = file is files[0] if isthing is None else bool(isthing)
            if name not in void.listed:
                specs.append(ClassSpec(name, isthing, None, category.get('color')))
    names = Counter(spec.name for spec in specs)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ValueError(
            f'{" and ".join(str(file.path) for file in files)} both have the classes '
            f'{some(twice)}: say by --things and --stuff what they are'
        )
    return sorted(specs, key=lambda spec: not spec.isthing)


def number_classes(
    specs: Sequence[ClassSpec], files: Sequence[CocoFile], background: str | None, has_png: bool
) -> list[ClassSpec]:
    """Give each class its category id: that of the first file, else of the second or of the PNGs.

    Where these would collide with ids of the first file, all of them are raised by its largest id.
    A class that is in none of the sources is a ValueError.
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
            if has_png and not spec.isthing:
                raise ValueError(
                    f'class {spec.name!r} needs the value of its pixels in the PNGs: '
                    f'{spec.name}=VALUE'
                )
            found = '; '.join(f'{file.path} has {some(file.categories, 100)}' for file in files)
            raise ValueError(f'class {spec.name!r} is not among the categories: {found}')
    offset = max(first.values()) if set(first.values()) & set(others.values()) else 0
    ids = first | {name: number + offset for name, number in others.items()}
    if background is not None and background not in ids:
        ids[background] = max([0, *ids.values()]) + 1
    return [spec._replace(id=ids[spec.name]) for spec in specs]


def outlines(
    file: CocoFile,
    image_id: int | str,
    ids: Mapping[str, int],  # name of a class -> category id of the panoptic file
    void: Void,
    crowds_are_objects: bool,  # take each `iscrowd: 1` for one object
    skipped: list[str] | None,  # gets the annotations that are only a box; None: they are an error
) -> list[Outline]:
    """The annotations of an image; ValueError where one is of an unknown category."""
    found = []
    for place, annotation in enumerate(file.annotations.get(str(image_id), []), 1):
        number = _number(annotation, place)
        where = f'{file.path}: annotation {number}'
        name = file.names.get(str(annotation['category_id']))
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
        segmentation = annotation.get('segmentation')
        parts = parts_of(segmentation, where) if segmentation else []
        if not any(parts):
            if skipped is None:
                raise ValueError(
                    f'{where} ({name}) has no segmentation: a box is no mask; draw its outline, '
                    'remove it, or pass --skip-without-area to leave out and count such annotations'
                )
            skipped.append(where)
            continue
        crowd = bool(annotation.get('iscrowd', 0)) and not crowds_are_objects
        found.append(Outline(file.path.name, number, ids.get(name), parts, crowd))
    return found
