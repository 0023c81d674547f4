"""The JSON of the COCO panoptic format, and the order of its classes."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

from .file_content import read_content
from .panoptic_png import MAX_SEGMENTS, NUM_IDS

MAX_CLASSES = 254  # labels of a semantic map are bytes, and 255 is void
MAX_SIDE = 2**20  # of an image in pixels; a greater one is a mistake in the file

IDS = (int, str)
TYPES = dict(
    id=IDS, image_id=IDS, category_id=IDS, name=str, file_name=str, height=int, width=int,
    segments_info=list, isthing=int, iscrowd=int, color=list, bbox=(list, type(None)),
)  # fmt: skip
"""Of the fields that are read; the ids of segments are numbers."""
LENGTHS = dict(color=3, bbox=4)  # of the lists of numbers

FIELDS = dict(
    categories=('id', 'name'),
    images=('id', 'file_name', 'height', 'width'),
    annotations=('image_id', 'file_name', 'segments_info'),
)


class PanopticJson(NamedTuple):
    """A panoptic annotation file; ids, numbers or texts, are different."""

    categories: list[dict]
    images: list[dict]  # at least one
    annotations: dict[Any, dict] | None  # by image id; None in a file without, as of a test set


def read_panoptic_json(path: str, backend_args: dict | None = None) -> PanopticJson:
    """Read a COCO panoptic JSON; raises FileNotFoundError, or ValueError for no JSON and for the
    first of :func:`problems`.
    """
    try:
        content = json.loads(read_content(path, backend_args))  # also behind a byte order mark
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'annotation file {path} is not there: mend data_root or ann_file of the data set'
        ) from error
    except (ValueError, RecursionError) as error:  # brackets nested thousands deep
        raise ValueError(
            f'annotation file {path} is no complete JSON ({error}): copy or make it again'
        ) from error
    for flaw in problems(content):
        raise ValueError(f'annotation file {path}{flaw.text}')
    annotations = content.get('annotations') or None
    if annotations is not None:
        annotations = {item['image_id']: item for item in annotations}
    return PanopticJson(content['categories'], content['images'], annotations)


class Flaw(NamedTuple):
    """What is wrong with a panoptic JSON."""

    kind: str  # ``json`` (of no use at all) or another of the report of ``mmpfcn check``
    text: str  # follows the name of the file


def problems(content: Any) -> Iterator[Flaw]:
    """Everything that is wrong with a panoptic JSON, in the order in which it is looked for.

    It is of another format or empty, a record lacks a field or has one of no use, an id is there
    twice, a segment has an unknown category or an impossible id.
    """
    for key in ('categories', 'images'):
        if not isinstance(content, dict) or not content.get(key):
            yield Flaw(
                'json',
                f' has no {key}: expected a COCO panoptic JSON with '
                'images, annotations and categories (docs/datasets.md shows one)',
            )
            return
        yield from record_flaws(key, content[key], FIELDS[key])
        yield from _id_flaws(key, content[key])
    for image in _dicts(content['images']):
        sides = image.get('height'), image.get('width')
        if all(isinstance(x, int) for x in sides) and not all(0 < x <= MAX_SIDE for x in sides):
            yield Flaw(
                'field',
                f': image {image.get("file_name")} has {sides[1]} x {sides[0]} pixels, expected 1 '
                f'to {MAX_SIDE} a side: mend width and height',
            )
    annotations = content.get('annotations') or []
    first = annotations[0] if isinstance(annotations, list) and annotations else None
    if isinstance(first, dict) and 'segments_info' not in first:
        yield Flaw(
            'json',
            ' has annotations without segments_info: it looks like COCO '
            'instances; tools/dataset_converters/coco_panoptic.py makes a panoptic data set of it',
        )
        return
    yield from record_flaws('annotations', annotations, FIELDS['annotations'])
    yield from _id_flaws('annotations', annotations)
    ids = (category.get('id') for category in _dicts(content['categories']))
    known = dict.fromkeys(id_ for id_ in ids if isinstance(id_, IDS))  # in their order
    for annotation in _dicts(annotations):
        if isinstance(segments := annotation.get('segments_info'), list):
            name = annotation.get('file_name')
            yield from record_flaws(f'segment of {name}', segments, ('id', 'category_id'))
            yield from _segment_flaws(name, segments, known)


def _segment_flaws(name: Any, segments: list, categories: Collection) -> Iterator[Flaw]:
    """What is wrong with the segments of an image; ``categories`` are the ids of the file."""
    if len(segments) > MAX_SEGMENTS:
        yield Flaw(
            'field',
            f': {name} has {len(segments)} segments, expected at most {MAX_SEGMENTS} in an image: '
            'cut it into tiles',
        )
    numbered = [s for s in _dicts(segments) if isinstance(s.get('id'), IDS)]
    for segment in numbered:
        category, id_ = segment.get('category_id'), segment['id']
        if isinstance(category, IDS) and category not in categories:
            yield Flaw(
                'unknown_category',
                f': segment {id_} of {name} has the category_id {category!r}, which is not among '
                f'the categories {[*categories]}: add the category or mend the segment',
            )
        if isinstance(id_, str):
            yield Flaw(
                'field',
                f': a segment of {name} has the id {id_!r}, expected a number, without quotation '
                'marks',
            )
        elif not 0 < id_ < NUM_IDS:
            yield Flaw(
                'segment_range',
                f': a segment of {name} has the id {id_}, expected 1 to {NUM_IDS - 1} (0 is void): '
                'number it anew, in the PNG as well',
            )
    if twice := _repeated(s['id'] for s in numbered):
        yield Flaw(
            'segment_id',
            f': several segments of {name} have the ids {twice[:5]}: one id in the PNG can only be '
            'one segment, join or renumber them',
        )


def _dicts(records: Any) -> Iterator[dict]:
    return (x for x in (records if isinstance(records, list) else ()) if isinstance(x, dict))


def _repeated(values: Iterable) -> list:
    return [value for value, count in Counter(values).items() if count > 1]


def require_fields(path: str, what: str, records: Sequence[Mapping], fields: Sequence[str]) -> None:
    """Raise ValueError with the first of :func:`record_flaws`."""
    for flaw in record_flaws(what, records, fields):
        raise ValueError(f'annotation file {path}{flaw.text}')


def record_flaws(what: str, records: Any, fields: Sequence[str]) -> Iterator[Flaw]:
    """Records in which a field is missing or of no use, with the start of each."""
    if not isinstance(records, list):
        got = f'got {str(records)[:100]}'
        yield Flaw('json', f': {what} should be a list, {got}: docs/datasets.md shows the format')
        return
    for record in records:
        known = record if isinstance(record, dict) else {}
        lacking = [field for field in fields if field not in known]
        if lacking:
            yield Flaw(
                'field',
                f': {what} without {", ".join(lacking)}: {str(record)[:100]}: add it '
                '(docs/datasets.md shows the format) or remove the record',
            )
        wrong = [field for field in TYPES if field in known and not _is_usable(field, known[field])]
        if what == 'categories' and known.get('name') == '':
            wrong.append('name')
        if wrong:
            yield Flaw(
                'field',
                f': {what} with an unusable {", ".join(wrong)}: {str(record)[:100]}: '
                'docs/datasets.md shows the format',
            )


def _is_usable(field: str, value: Any) -> bool:
    if isinstance(value, TYPES[field]) and field in LENGTHS and value:
        return len(value) == LENGTHS[field] and all(isinstance(x, int | float) for x in value)
    return isinstance(value, TYPES[field])


def _id_flaws(key: str, records: Any) -> Iterator[Flaw]:
    what = 'image_id' if key == 'annotations' else 'id'
    kinds = dict(categories='category_id', images='image_id', annotations='annotation_twice')
    ids = [id_ for record in _dicts(records) if isinstance(id_ := record.get(what), IDS)]
    for id_ in ids:
        if isinstance(id_, int) and not abs(id_) < 2**63:
            yield Flaw(
                'field',
                f': {key} have the {what} {id_}, expected a text or a number of 64 bits: renumber '
                'them',
            )
    if twice := _repeated(ids):
        yield Flaw(
            kinds[key],
            f': {len(twice)} {key} share their {what}, such as {twice[:5]}: remove or renumber '
            'them',
        )


def arrange_classes(
    categories: Sequence[Mapping], metainfo: Mapping[str, Any], path: str
) -> dict[str, Any]:
    """Classes in the order of labels: things first, whatever the order in the file.

    Which classes there are, and their order, is said by ``thing_classes`` and ``stuff_classes`` of
    the config's ``metainfo`` (then ``isthing`` of the file does not count), or by its ``classes``,
    or by neither of them: then all of the file's. ``palette`` is in the order of ``classes``, or of
    things and stuff. ``path`` of the JSON is for messages.

    Returns ``classes``, ``thing_classes``, ``stuff_classes``, ``palette`` and ``category_ids``;
    labels are places in ``classes``. Raises ValueError for a name that the file lacks or has twice,
    ``isthing`` missing, more than 254 classes.
    """
    by_name = {category['name']: category for category in categories}
    if twice := _repeated(category['name'] for category in categories):
        raise ValueError(f'{path}: several categories are called {twice}: give each its own name')
    things, stuff = _split(by_name, metainfo, path)
    classes = (*things, *stuff)
    if not 0 < len(classes) <= MAX_CLASSES:
        raise ValueError(
            f'{path}: the data set has {len(classes)} classes, expected 1 to {MAX_CLASSES}: choose '
            'them by metainfo=dict(thing_classes=..., stuff_classes=...)'
        )
    return dict(
        classes=classes,
        thing_classes=things,
        stuff_classes=stuff,
        palette=_palette(by_name, classes, metainfo),
        category_ids=[by_name[name]['id'] for name in classes],
    )


def _split(by_name: dict, metainfo: Mapping, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if 'thing_classes' in metainfo or 'stuff_classes' in metainfo:
        things = tuple(metainfo.get('thing_classes', ()))
        rest = (name for name in metainfo.get('classes', ()) if name not in things)
        stuff = tuple(metainfo.get('stuff_classes', rest))
        if both := set(things) & set(stuff):
            raise ValueError(f'metainfo names {sorted(both)} as thing_classes and stuff_classes')
        _check_known((*things, *stuff), by_name, path)
        return things, stuff
    chosen = tuple(metainfo.get('classes', by_name))
    _check_known(chosen, by_name, path)
    unknown = [name for name in chosen if 'isthing' not in by_name[name]]
    if unknown:
        raise ValueError(
            f'{path}: categories {unknown[:5]} have no "isthing": add 1 (countable things) or 0 '
            '(stuff) to each category of the file, or name them in the config by '
            'metainfo=dict(thing_classes=(...), stuff_classes=(...))'
        )
    things = tuple(name for name in chosen if by_name[name]['isthing'])
    return things, tuple(name for name in chosen if name not in things)


def _check_known(names: Sequence[str], by_name: dict, path: str) -> None:
    for name in names:
        if name not in by_name:
            near = get_close_matches(name, by_name, 1)
            hint = f'did you mean {near[0]!r}?' if near else f'it has {", ".join(by_name)}'
            raise ValueError(f'metainfo names the class {name!r}, which {path} lacks: {hint}')
    if len(set(names)) < len(names):
        raise ValueError(f'metainfo names a class twice: {names}')


def _palette(by_name: dict, classes: Sequence[str], metainfo: Mapping) -> list[tuple[int, ...]]:
    """RGB of each class: of the config, else of the file, else random but the same every time."""
    if metainfo.get('palette') is not None:
        order = metainfo.get('classes', classes)
        if len(metainfo['palette']) != len(order):
            raise ValueError(
                f'metainfo has {len(metainfo["palette"])} colours in its palette for '
                f'{len(order)} classes: give one for each'
            )
        colours = dict(zip(order, metainfo['palette'], strict=True))
        return [tuple(colours[name]) for name in classes]
    if all('color' in by_name[name] for name in classes):
        return [tuple(by_name[name]['color']) for name in classes]
    colours = np.random.RandomState(42).randint(0, 256, (len(classes), 3))  # those of mmdet
    return [tuple(colour) for colour in colours.tolist()]
