"""Annotation files of LabelMe and of the VGG Image Annotator (VIA 2): outlines with labels."""

import base64
import binascii
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mmpfcn.formats.atomic_files import write_atomic
from mmpfcn.formats.image_header import check_pixels
from mmpfcn.formats.safe_names import safe_name

from .classes import read_json
from .fields import LARGEST, field, is_number, numbers, short, some
from .images import IMAGE_SUFFIXES, find_files

CIRCLE = np.linspace(0, 2 * np.pi, 256, endpoint=False)
"""Angles of a circle's outline: it is off by 0.01 % of its area, and by 0.3 px at radius 4000."""
LABELME_OUTLINES = ('polygon', 'rotation', 'oriented_rectangle')
WITHOUT_AREA = 'draw it as {}, delete it, or pass --skip-without-area to leave out and count such'


class NoArea(ValueError):
    """A shape is a point or a line."""


class Shape(NamedTuple):
    """Something drawn in an image."""

    label: str  # name of its class
    name: str  # for messages, such as 'shape 3 (car)'
    outline: list[tuple[float, float]]  # x, y of its corners in pixels
    key: str | None = None  # parts of one object share it; None: an object of its own
    # PNG file instead of an outline, and the x, y of its first pixel
    bitmap: tuple[bytes, int, int] | None = None


class Drawing(NamedTuple):
    """What was drawn in an image."""

    file: Path  # of the annotations
    shapes: list[Shape]  # in the order of drawing
    size: tuple[int, int] | None = None  # (H, W) of the image as the file says it, or None
    # suffix of the image that the file holds itself; None: there is a file of it
    embedded: str | None = None


def read_labelme(
    folder: Path,  # with one file for each image, below it as the images are
    images: Mapping[str, str],  # relative name without suffix -> with it
    written: Path,  # what the converter makes; not searched
    skipped: list[str] | None,  # gets the shapes without area; None: they are an error
) -> dict[str, Drawing]:
    """Drawings by the relative name, without suffix, of their image, from LabelMe.

    ValueError names a file that is not LabelMe's, or has no image.
    """
    drawings: dict[str, Drawing] = {}
    for name in find_files(folder, ['.json'], 'ANNOTATIONS', written).values():
        file, data = folder / name, read_json(folder / name)
        if not isinstance(data, dict) or not isinstance(data.get('shapes'), list):
            raise ValueError(f'{file} has no "shapes": it is not a file of LabelMe; move it away')
        stem, embedded = _labelme_image(name, str(data.get('imagePath') or ''), images), None
        if stem is None and data.get('imageData'):
            stem = str(PurePosixPath(name).with_suffix(''))
            suffix = PurePosixPath(str(data.get('imagePath'))).suffix
            embedded = suffix if suffix.lower() in IMAGE_SUFFIXES else '.png'
        if stem is None:
            raise ValueError(
                f'{file}: neither {data.get("imagePath")!r} nor an image called like the file is '
                'among the images, nor is it in the file: add the image, or move the file away'
            )
        if stem in drawings:
            raise ValueError(f'{file} and {drawings[stem].file} are of the same image: remove one')
        shapes = with_area(partial(_labelme_shape, file), data['shapes'], skipped)
        size = None
        if data.get('imageHeight') is not None and data.get('imageWidth') is not None:
            keys = 'imageHeight', 'imageWidth'
            size = tuple(field(data, key, 'a whole number', str(file)) for key in keys)
        drawings[stem] = Drawing(file, shapes, size, embedded)
    return drawings


def _labelme_image(name: str, image_path: str, images: Mapping[str, str]) -> str | None:
    """By the name in the file, which Windows writes with backslashes, else by the file's own."""
    folder = PurePosixPath(name).parent
    named = folder / PurePosixPath(image_path.replace('\\', '/')).name
    if images.get(str(named.with_suffix('')) if named.name else '') == str(named):
        return str(named.with_suffix(''))
    own = str(PurePosixPath(name).with_suffix(''))
    return own if own in images else None


def write_embedded(
    folder: Path, images: dict, drawings: Mapping[str, Drawing], target: Path, overwrite: bool
) -> dict[str, str]:
    """Write the images that are only in their LabelMe files, and copy the others beside them.

    Gives relative name without suffix -> with it. ValueError names a file whose imageData is no
    image, and another image that is there already.
    """
    names = dict(images)
    for stem, drawing in drawings.items():
        if drawing.embedded is None:
            content = (folder / images[stem]).read_bytes()
        else:
            names[stem] = stem + drawing.embedded
            content = _decoded(read_json(drawing.file), 'imageData', str(drawing.file))
        path = target / names[stem]
        if not path.is_file() or overwrite:
            write_atomic(path, content)
        elif path.read_bytes() != content:
            raise ValueError(
                f'{path} is another image than that of {drawing.file}: delete it, or pass '
                '--overwrite to replace it'
            )
    return dict(sorted(names.items()))


def _decoded(record: dict, key: str, where: str) -> bytes:
    try:
        content = base64.b64decode(field(record, key, 'a text', where), validate=True)
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            image.verify()
    except (OSError, SyntaxError, binascii.Error) as error:
        message = f'{where}: "{key}" is no image in base64 ({error}): draw it again'
        raise ValueError(message) from None
    check_pixels(height, width, f'"{key}" of {where}')
    return content


def with_area(
    read: Callable[[int, Any], Shape], records: Iterable, skipped: list[str] | None
) -> list[Shape]:
    """What ``read`` makes of numbered records; one without area is skipped, or an error."""
    shapes = []
    for number, record in enumerate(records, 1):
        try:
            shapes.append(read(number, record))
        except NoArea as error:
            if skipped is None:
                raise
            skipped.append(str(error).split(', which')[0])
    return shapes


def _labelme_shape(file: Path, number: int, shape: dict) -> Shape:
    where = f'{file}: shape {number}'
    label = str(field(shape, 'label', 'a number or a text', where))
    name = f'shape {number} ({label})'
    where = f'{file}: {name}'
    kind = shape.get('shape_type') or 'polygon'
    points = xy_points(shape.get('points'), where)
    key = None if shape.get('group_id') is None else str(shape['group_id'])
    closed = kind == 'linestrip' and len(points) > 3 and points[0] == points[-1]
    bitmap, two = None, len(points) == 2
    (x1, y1), (x2, y2) = points if two else ((0, 0), (0, 0))
    if kind == 'rectangle' and two:
        points = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    elif kind == 'circle' and two:
        radius = float(np.hypot(x2 - x1, y2 - y1))
        points = ellipse(x1, y1, radius, radius)
    elif kind == 'ellipse' and two:  # the corners of its box
        points = ellipse((x1 + x2) / 2, (y1 + y2) / 2, abs(x2 - x1) / 2, abs(y2 - y1) / 2)
    elif kind == 'mask' and two:
        points, bitmap = [], (_decoded(shape, 'mask', where), int(x1), int(y1))
    elif not (
        ((kind in LABELME_OUTLINES or closed) and len(points) > 2)
        or (kind == 'rectangle' and len(points) == 4)
    ):
        raise NoArea(
            f'{where} is a {kind} of {len(points)} points, which has no area: '
            + WITHOUT_AREA.format('polygon, rectangle or circle')
        )
    return Shape(label, name, points, key, bitmap)


def read_via(
    file: Path,  # a project or an export
    attribute: str | None,  # of regions, with the class; None: the only one there is
    folder: Path,  # of the images
    images: Mapping[str, str],  # relative name without suffix -> with it
    only_class: str | None,  # of every region where no region has an attribute; None: an error
    skipped: list[str] | None,  # gets the regions without area; None: they are an error
) -> dict[str, Drawing]:
    """Drawings by the relative name, without suffix, of their image, from VIA 2.

    ValueError where the file is of another kind, an image is missing, or a region has no class.
    """
    regions = _via_regions(file, folder, images)
    counts = Counter(a for each in regions.values() for r in each for a in r['region_attributes'])
    if counts or only_class is None:
        if attribute is None and len(counts) != 1:
            raise ValueError(
                f'{file} has the region attributes {some(counts, 10) or "(none)"}: say which one '
                'has the class by --attribute NAME, or, without any, give exactly one class'
            )
        attribute, only_class = attribute or next(iter(counts)), None
    drawings: dict[str, Drawing] = {}
    for name, found in regions.items():
        read = partial(_via_shape, f'{file}: {name}', attribute, only_class)
        stem = PurePosixPath(name).with_suffix('')
        drawings[str(stem)] = Drawing(file, with_area(read, found, skipped))
    return drawings


def _via_regions(file: Path, folder: Path, images: Mapping[str, str]) -> dict[str, list[dict]]:
    data = read_json(file)
    data = data.get('_via_img_metadata', data) if isinstance(data, dict) else None
    entries = list(data.values()) if isinstance(data, dict) else []
    if not entries or not all(isinstance(e, dict) and 'regions' in e for e in entries):
        raise ValueError(
            f'{file} is neither a project nor a JSON export of VIA 2: in VIA choose "Annotation", '
            '"Export Annotations (as json)". A LabelMe data set is given as a folder'
        )
    known = set(images.values())
    regions: dict[str, list[dict]] = {}
    for number, entry in enumerate(entries, 1):
        where = f'{file}: image {number}'
        name = field(entry, 'filename', 'a text', where)
        name = safe_name(name, f'{where}: "filename"', folder)
        if name not in known:
            raise ValueError(f'{file}: image {name!r} is not among the images: add it')
        if name in regions:
            raise ValueError(f'{file} has the image {name!r} twice: remove one')
        found, where = entry['regions'], f'{file}: {name}'
        regions[name] = list(found.values()) if isinstance(found, dict) else found  # VIA 1: a dict
        if not isinstance(regions[name], list):
            message = f'{where}: "regions" is {short(found)}, expected a list: export it again'
            raise ValueError(message)
        for number, region in enumerate(regions[name], 1):
            for key in ('region_attributes', 'shape_attributes'):
                field(region, key, 'an object {...}', f'{where}: region {number}')
    return regions


def _via_shape(
    image: str, attribute: str | None, only_class: str | None, number: int, region: dict
) -> Shape:
    where = f'{image}: region {number}'
    value = only_class or region['region_attributes'].get(attribute)
    if isinstance(value, dict):  # of check boxes
        ticked = [name for name, on in value.items() if on]
        value = ticked[0] if len(ticked) == 1 else None
    if not value:
        raise ValueError(f'{where} has no {attribute!r}, or several: choose one in VIA')
    outline = _via_outline(where, region['shape_attributes'])
    return Shape(str(value), f'region {number} ({value})', outline)


def _via_outline(where: str, shape: dict) -> list[tuple[float, float]]:
    kind = shape.get('name')
    if kind in ('polygon', 'polyline'):
        xs, ys = (field(shape, f'all_points_{axis}', 'a list', where) for axis in 'xy')
        if len(xs) != len(ys):
            raise ValueError(f'{where} has {len(xs)} x and {len(ys)} y: draw it again')
        corners = xy_points(list(zip(xs, ys, strict=True)), where)
        closed = len(corners) > 3 and corners[0] == corners[-1]
        if len(corners) > 2 and (kind == 'polygon' or closed):
            return corners
    elif kind == 'rect':
        x1, y1, width, height = numbers(shape, 'x y width height', where)
        x2, y2 = x1 + width, y1 + height
        return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    elif kind == 'circle':
        x, y, radius = numbers(shape, 'cx cy r', where)
        return ellipse(x, y, radius, radius)
    elif kind == 'ellipse':
        theta = numbers(dict(dict(theta=0.0), **shape), 'theta', where)
        return ellipse(*numbers(shape, 'cx cy rx ry', where), *theta)
    raise NoArea(
        f'{where} is a {kind}, which has no area: '
        + WITHOUT_AREA.format('polygon, rect, circle or ellipse')
    )


def ellipse(x: float, y: float, rx: float, ry: float, theta: float = 0.0) -> list:
    """Outline of an ellipse that is turned by theta (radians, from x towards y)."""
    along, across = rx * np.cos(CIRCLE), ry * np.sin(CIRCLE)
    xs = x + along * np.cos(theta) - across * np.sin(theta)
    ys = y + along * np.sin(theta) + across * np.cos(theta)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def xy_points(points: object, where: str) -> list[tuple[float, float]]:
    """Corners as floats; ValueError where they are no list of pairs of numbers."""
    pairs = isinstance(points, list) and all(
        isinstance(p, list | tuple) and len(p) == 2 and all(map(is_number, p)) for p in points
    )
    if not pairs:
        numbers_of = f'finite numbers of at most {LARGEST}'
        raise ValueError(f'{where} has no list of x, y points ({numbers_of}): draw it again')
    return [(float(x), float(y)) for x, y in points]
