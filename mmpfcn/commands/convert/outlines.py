"""Annotation files of LabelMe and of the VGG Image Annotator (VIA 2): outlines with labels."""

import base64
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from .classes import read_json
from .images import find_files, some

CIRCLE = np.linspace(0, 2 * np.pi, 256, endpoint=False)
"""Angles of a circle's outline: it is off by 0.01 % of its area, and by 0.3 px at radius 4000."""
LABELME_OUTLINES = ('polygon', 'rotation', 'oriented_rectangle')


class Shape(NamedTuple):
    """Something drawn in an image.

    Attributes:
        label: name of its class.
        outline: x, y of its corners in pixels.
        key: parts of one object share it; None: an object of its own.
        bitmap: PNG file instead of an outline, and the x, y of its first pixel.
    """

    label: str
    outline: list[tuple[float, float]]
    key: str | None = None
    bitmap: tuple[bytes, int, int] | None = None


class Drawing(NamedTuple):
    """The shapes of an image in the order of drawing; what the file says of its size, or None."""

    file: Path
    shapes: list[Shape]
    size: tuple[int, int] | None


def read_labelme(folder: Path, images: Mapping[str, str]) -> dict[str, Drawing]:
    """Read a folder of LabelMe files, one for each image, below it as the images are.

    Args:
        images: relative name without suffix -> with it.

    Returns:
        Relative name of the image without suffix -> its drawing.

    Raises:
        ValueError: A file is not LabelMe's, or has no image; naming it.
    """
    drawings: dict[str, Drawing] = {}
    for name in find_files(folder, ['.json'], 'ANNOTATIONS').values():
        file, data = folder / name, read_json(folder / name)
        if not isinstance(data, dict) or not isinstance(data.get('shapes'), list):
            raise ValueError(f'{file} has no "shapes": it is not a file of LabelMe; move it away')
        stem = _labelme_image(name, str(data.get('imagePath') or ''), images)
        if stem is None:
            raise ValueError(
                f'{file}: neither {data.get("imagePath")!r} nor an image called like the file is '
                'among the images: add the image, or move the file away'
            )
        if stem in drawings:
            raise ValueError(f'{file} and {drawings[stem].file} are of the same image: remove one')
        shapes = [_labelme_shape(file, number, s) for number, s in enumerate(data['shapes'], 1)]
        size = data.get('imageHeight'), data.get('imageWidth')
        drawings[stem] = Drawing(file, shapes, None if None in size else size)
    return drawings


def _labelme_image(name: str, image_path: str, images: Mapping[str, str]) -> str | None:
    """By the name in the file, which Windows writes with backslashes, else by the file's own."""
    folder = PurePosixPath(name).parent
    named = folder / PurePosixPath(image_path.replace('\\', '/')).name
    if images.get(str(named.with_suffix('')) if named.name else '') == str(named):
        return str(named.with_suffix(''))
    own = str(PurePosixPath(name).with_suffix(''))
    return own if own in images else None


def _labelme_shape(file: Path, number: int, shape: dict) -> Shape:
    kind, label = shape.get('shape_type', 'polygon'), str(shape.get('label'))
    points = _points(shape.get('points'), f'{file}: shape {number} ({label})')
    key = None if shape.get('group_id') is None else str(shape['group_id'])
    if kind in LABELME_OUTLINES or (kind == 'rectangle' and len(points) == 4):
        return Shape(label, points, key)
    if kind in ('rectangle', 'circle', 'mask') and len(points) == 2:
        (x1, y1), (x2, y2) = points
        if kind == 'rectangle':
            return Shape(label, [(x1, y1), (x2, y1), (x2, y2), (x1, y2)], key)
        if kind == 'circle':
            radius = float(np.hypot(x2 - x1, y2 - y1))
            return Shape(label, ellipse(x1, y1, radius, radius), key)
        return Shape(label, [], key, (base64.b64decode(shape['mask']), int(x1), int(y1)))
    raise ValueError(
        f'{file}: shape {number} ({label}) is a {kind} of {len(points)} points, which has no area: '
        'draw it as polygon, rectangle or circle, or delete it'
    )


def read_via(file: Path, attribute: str | None, images: Mapping[str, str]) -> dict[str, Drawing]:
    """Read a project or an export of VIA 2.

    Args:
        attribute: region attribute with the class; None: the only one there is.
        images: relative name without suffix -> with it.

    Returns:
        Relative name of the image without suffix -> its drawing.

    Raises:
        ValueError: The file is not VIA 2's, an image is missing, or a region has no class.
    """
    data = read_json(file)
    data = data.get('_via_img_metadata', data) if isinstance(data, dict) else None
    entries = list(data.values()) if isinstance(data, dict) else []
    if not entries or not all(isinstance(e, dict) and 'regions' in e for e in entries):
        raise ValueError(
            f'{file} is neither a project nor a JSON export of VIA 2: in VIA choose "Annotation", '
            '"Export Annotations (as json)". A LabelMe data set is given as a folder'
        )
    attribute = attribute or _only_attribute(file, entries)
    by_name = {name: stem for stem, name in images.items()}
    drawings: dict[str, Drawing] = {}
    for entry in entries:
        name = str(entry['filename'])
        if name not in by_name:
            raise ValueError(f'{file}: image {name!r} is not among the images: add it')
        shapes = [
            _via_shape(f'{file}: {name}: region {number}', region, attribute)
            for number, region in enumerate(_regions(entry), 1)
        ]
        drawings[by_name[name]] = Drawing(file, shapes, None)
    return drawings


def _regions(entry: dict) -> list[dict]:
    """A list, in VIA 1 a dict."""
    regions = entry['regions']
    return list(regions.values()) if isinstance(regions, dict) else regions


def _only_attribute(file: Path, entries: list[dict]) -> str:
    counts = Counter(
        name for e in entries for region in _regions(e) for name in region['region_attributes']
    )
    if len(counts) != 1:
        raise ValueError(
            f'{file} has the region attributes {some(counts, 10) or "(none)"}: say which one has '
            'the class by --attribute NAME'
        )
    return next(iter(counts))


def _via_shape(where: str, region: dict, attribute: str) -> Shape:
    value = region['region_attributes'].get(attribute)
    if isinstance(value, dict):  # of check boxes
        ticked = [name for name, on in value.items() if on]
        value = ticked[0] if len(ticked) == 1 else None
    if not value:
        raise ValueError(f'{where} has no {attribute!r}, or several: choose one in VIA')
    shape = region['shape_attributes']
    kind = shape.get('name')
    if kind == 'polygon':
        corners = list(zip(shape['all_points_x'], shape['all_points_y'], strict=True))
        return Shape(str(value), _points(corners, where))
    if kind == 'rect':
        x1, y1 = shape['x'], shape['y']
        x2, y2 = x1 + shape['width'], y1 + shape['height']
        return Shape(str(value), [(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    if kind == 'circle':
        return Shape(str(value), ellipse(shape['cx'], shape['cy'], shape['r'], shape['r']))
    if kind == 'ellipse':
        radii = shape['rx'], shape['ry']
        return Shape(str(value), ellipse(shape['cx'], shape['cy'], *radii, shape.get('theta', 0.0)))
    raise ValueError(
        f'{where} is a {kind}, which has no area: draw it as polygon, rect, circle or ellipse, or '
        'delete it'
    )


def ellipse(
    x: float, y: float, rx: float, ry: float, theta: float = 0.0
) -> list[tuple[float, float]]:
    """Outline of an ellipse that is turned by theta (radians, from x towards y)."""
    along, across = rx * np.cos(CIRCLE), ry * np.sin(CIRCLE)
    xs = x + along * np.cos(theta) - across * np.sin(theta)
    ys = y + along * np.sin(theta) + across * np.cos(theta)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def _points(points: object, where: str) -> list[tuple[float, float]]:
    try:
        return [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError):
        raise ValueError(f'{where} has no list of x, y points: draw it again') from None
