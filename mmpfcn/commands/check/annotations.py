"""The JSON of a panoptic data set, read without stopping at its first problem."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmpfcn.formats.file_content import read_content
from mmpfcn.formats.panoptic_json import FIELDS, TYPES, arrange_classes, problems
from mmpfcn.formats.panoptic_png import NUM_IDS

from .images import Job, Segment
from .problems import Findings, Problem


class Classes(NamedTuple):
    """Labels: places in ``names``, things first; ``labels`` has one for each category id of the
    JSON, None for those that the metainfo leaves out."""

    names: tuple[str, ...]
    num_things: int
    labels: dict[Any, int | None]


def read_json(path: Path) -> dict:
    """The content of a JSON file with images and categories.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it can not be used at all; the message names the file.
    """
    try:
        content = json.loads(read_content(path))
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path} is not there: mend data_root or ann_file') from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is no complete JSON ({error}): copy or make it again') from error
    for key in ('images', 'categories'):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f'{path} has no list of {key}: it is no COCO panoptic JSON')
        if not content[key]:
            raise ValueError(f'{path} has no {key}: its list is empty')
    for flaw in problems(content):
        if flaw.kind == 'json':
            raise ValueError(f'{path}{flaw.text}')
    return content


def check_records(content: dict, path: Path, findings: Findings) -> None:
    """What the reader of a run refuses about single records."""
    findings.add(Problem(flaw.kind, f'{path.name}{flaw.text}') for flaw in problems(content))


def check_categories(
    categories: Sequence, metainfo: Mapping, path: Path, findings: Findings
) -> Classes:
    """Arrange the classes as a run does; where it would stop, the file's, things first."""
    usable = _usable(categories, 'categories')
    _count_shared('category_name', usable, 'name', 'categories', findings)
    if not {'thing_classes', 'stuff_classes'} & set(metainfo):
        chosen = metainfo.get('classes', [c['name'] for c in usable])
        unclear = [c for c in usable if 'isthing' not in c and c['name'] in chosen]
        findings.add(Problem('isthing', f'{c["name"]} (id {c["id"]})') for c in unclear)
    by_id = _firsts(_with_own_names(usable), 'id')
    known = [{'isthing': 1, **category} for category in by_id.values()]
    try:
        arranged = arrange_classes(known, metainfo, str(path))
        names, num_things = arranged['classes'], len(arranged['thing_classes'])
    except ValueError as error:
        findings.add([Problem('metainfo', str(error))])
        names = tuple(c['name'] for c in sorted(known, key=lambda c: not c['isthing']))
        num_things = sum(bool(c['isthing']) for c in known)
    places = {name: label for label, name in enumerate(names)}
    return Classes(names, num_things, {i: places.get(c['name']) for i, c in by_id.items()})


def _with_own_names(categories: Sequence[dict]) -> Iterator[dict]:
    """Categories that share a name keep apart by their ids."""
    firsts = _firsts(categories, 'name')
    for category in categories:
        name, id_ = category['name'], category['id']
        own = name if firsts[name] is category else f'{name} (id {id_})'
        yield {**category, 'name': own}


def pair(content: dict, path: Path, findings: Findings) -> list[tuple[dict, dict | None]]:
    """Images with their annotations, None for an image without."""
    images, annotations = content['images'], content.get('annotations')
    images = _usable(images, 'images')
    if not annotations:
        findings.add([Problem('no_annotations', str(path))])
        return [(image, None) for image in images]
    annotations = _usable(annotations, 'annotations')
    by_image = _firsts(annotations, 'image_id')
    for kind, records, key, what in (
        ('image_name', images, 'file_name', 'images'),
        ('png_name', annotations, 'file_name', 'annotations'),
    ):
        _count_shared(kind, records, key, what, findings)
    ids = {image['id'] for image in images}
    findings.add(
        Problem('no_image', f'{a["file_name"]} of the image {a["image_id"]!r}')
        for a in annotations
        if a['image_id'] not in ids
    )
    findings.add(
        Problem('no_annotation', f'{image["file_name"]} (id {image["id"]!r})')
        for image in images
        if image['id'] not in by_image
    )
    return [(image, by_image.get(image['id'])) for image in images]


def make_jobs(
    pairs: Sequence[tuple[dict, dict | None]],
    classes: Classes,
    images: Path,
    pngs: Path,
    findings: Findings,
) -> Iterator[Job]:
    """What the files have to be held against; finds what the JSON alone shows to be wrong."""
    for image, annotation in pairs:
        segments: list[Segment] = []
        if annotation is not None:
            infos = _usable_segments(annotation, classes, findings)
            segments = [
                Segment(
                    s['id'],
                    classes.labels.get(s['category_id']),
                    bool(s.get('iscrowd', 0)),
                    s.get('area'),
                    s.get('bbox'),
                )
                for s in infos
            ]
        yield Job(
            image=images / image['file_name'],
            png=None if annotation is None else pngs / annotation['file_name'],
            size=(image['height'], image['width']),
            segments=segments,
        )


def _usable_segments(annotation: dict, classes: Classes, findings: Findings) -> list[dict]:
    """Segments with a possible id, the first of each."""
    infos = [s for s in _usable(annotation['segments_info'], 'segments') if type(s['id']) is int]
    labels = Counter(classes.labels.get(s['category_id']) for s in infos if not s.get('iscrowd'))
    findings.add(
        Problem('stuff_twice', f'{annotation["file_name"]}: {count} of {classes.names[label]}')
        for label, count in labels.items()
        if label is not None and label >= classes.num_things and count > 1
    )
    return [s for id_, s in _firsts(infos, 'id').items() if 0 < id_ < NUM_IDS]


def _firsts(records: Iterable[dict], key: str) -> dict[Any, dict]:
    """The first record of each value of the key, in the order of the records."""
    firsts: dict[Any, dict] = {}
    for record in records:
        firsts.setdefault(record[key], record)
    return firsts


def _count_shared(
    kind: str, records: Sequence[dict], key: str, what: str, findings: Findings
) -> None:
    shared = Counter(record[key] for record in records)
    findings.add(
        Problem(kind, f'{key} {value!r} of {count} {what}')
        for value, count in shared.items()
        if count > 1
    )


def _usable(records: Sequence, kind: str) -> list[dict]:
    """The records that have the fields they need, of the right types."""
    fields = {'segments': ('id', 'category_id'), **FIELDS}[kind]
    return [
        record
        for record in records
        if isinstance(record, dict)
        and all(isinstance(record.get(field), TYPES[field]) for field in fields)
    ]
