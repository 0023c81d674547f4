"""The JSON of a panoptic data set, read without stopping at its first problem."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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


def read_json(path: Path, findings: Findings) -> dict:
    """The content of a JSON file; what the reader of a run refuses of its records is found.

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
    flaws = list(problems(content))
    for flaw in flaws:
        if flaw.kind == 'json':
            raise ValueError(f'{path}{flaw.text}')
    findings.add(Problem(flaw.kind, f'{path.name}{flaw.text}') for flaw in flaws)
    return content


def check_categories(
    categories: Sequence, metainfo: Mapping, path: Path, findings: Findings
) -> Classes:
    """Arrange the classes as a run does; where it would stop, the file's, things first."""
    usable = _usable(categories, 'categories')
    firsts = _find_shared('category_name', usable, 'name', 'categories', findings)
    if not {'thing_classes', 'stuff_classes'} & set(metainfo):
        chosen = metainfo.get('classes', [c['name'] for c in usable])
        unclear = [c for c in usable if 'isthing' not in c and c['name'] in chosen]
        findings.add(Problem('isthing', f'{c["name"]} (id {c["id"]})') for c in unclear)
    by_id: dict[Any, dict] = {}
    for category in usable:  # those that share a name keep apart by their ids
        name, id_ = category['name'], category['id']
        own = name if firsts[name] is category else f'{name} (id {id_})'
        by_id.setdefault(id_, {'isthing': 1, **category, 'name': own})
    known = list(by_id.values())
    try:
        arranged = arrange_classes(known, metainfo, str(path))
        names, num_things = arranged['classes'], len(arranged['thing_classes'])
    except ValueError as error:
        findings.add([Problem('metainfo', str(error))])
        names = tuple(c['name'] for c in sorted(known, key=lambda c: not c['isthing']))
        num_things = sum(bool(c['isthing']) for c in known)
    places = {name: label for label, name in enumerate(names)}
    return Classes(names, num_things, {i: places.get(c['name']) for i, c in by_id.items()})


def pair(content: dict, path: Path, findings: Findings) -> list[tuple[dict, dict | None]]:
    """Images with their annotations, None for an image without."""
    images = _usable(content['images'], 'images')
    if not content.get('annotations'):
        findings.add([Problem('no_annotations', str(path))])
        return [(image, None) for image in images]
    annotations = _usable(content['annotations'], 'annotations')
    by_image = {a['image_id']: a for a in reversed(annotations)}
    _find_shared('image_name', images, 'file_name', 'images', findings)
    _find_shared('png_name', annotations, 'file_name', 'annotations', findings)
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
    pairs: Sequence[tuple], classes: Classes, images: Path, pngs: Path, findings: Findings
) -> Iterator[Job]:
    """What the files have to be held against; finds what the JSON alone shows to be wrong."""
    for image, annotation in pairs:
        png = None if annotation is None else pngs / annotation['file_name']
        segments = [] if annotation is None else _segments(annotation, classes, findings)
        yield Job(images / image['file_name'], png, (image['height'], image['width']), segments)


def _segments(annotation: dict, classes: Classes, findings: Findings) -> list[Segment]:
    """Segments with a possible id, the first of each."""
    found = {}
    labels = Counter()
    for s in _usable(annotation['segments_info'], 'segments'):
        if type(s['id']) is int:
            label, crowd = classes.labels.get(s['category_id']), bool(s.get('iscrowd', 0))
            labels[label] += not crowd
            new = Segment(s['id'], label, crowd, s.get('area'), s.get('bbox'))
            found.setdefault(s['id'], new)
    findings.add(
        Problem('stuff_twice', f'{annotation["file_name"]}: {count} of {classes.names[label]}')
        for label, count in labels.items()
        if label is not None and label >= classes.num_things and count > 1
    )
    return [segment for id_, segment in found.items() if 0 < id_ < NUM_IDS]


def _find_shared(
    kind: str, records: Sequence[dict], key: str, what: str, findings: Findings
) -> dict[Any, dict]:
    """Find values of the key that several records have; gives the first record of each."""
    shared = Counter(record[key] for record in records)
    findings.add(
        Problem(kind, f'{key} {value!r} of {count} {what}')
        for value, count in shared.items()
        if count > 1
    )
    return {record[key]: record for record in reversed(records)}


def _usable(records: Sequence, kind: str) -> list[dict]:
    """The records that have the fields they need, of the right types."""
    fields = {'segments': ('id', 'category_id'), **FIELDS}[kind]
    return [
        record
        for record in records
        if isinstance(record, dict)
        and all(isinstance(record.get(field), TYPES[field]) for field in fields)
    ]
