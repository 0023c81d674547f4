"""Fields of the JSON files that converters read: there, of the right type, and finite.

Among them the forms that the `segmentation` of a COCO annotation has in the field, as one RLE.
"""

from collections.abc import Iterable

import numpy as np
from pycocotools import mask as mask_utils

KINDS = {
    'a text': str,
    'a whole number': int,
    'a number': (int, float),
    'a number or a text': (int, str),
    'a list': list,
    'an object {...}': dict,
}
FORMS = 'polygons [[x1, y1, x2, y2, ...], ...] or an RLE {"size": [h, w], "counts": ...}'
LARGEST = 2**20
"""Pixels; what lies further off is a mistake that would take hours and all memory to fill."""


def field(record: object, name: str, kind: str, where: str) -> object:
    """A field of a JSON object; ValueError where it is none, or the field is not there or wrong.

    Args:
        kind: what is expected, a key of :data:`KINDS`; a number is finite and within LARGEST.
        where: file and entry, for the message.
    """
    if not isinstance(record, dict):
        raise ValueError(f'{where} is {short(record)}, expected an object {{...}}: export it again')
    if name not in record:
        raise ValueError(f'{where} has no "{name}": expected {kind}; add it')
    value = record[name]
    wrong, limit = not isinstance(value, KINDS[kind]) or isinstance(value, bool), ''
    if kind == 'a number':
        wrong, limit = wrong or not is_number(value), f' of at most {LARGEST}'
    elif isinstance(value, int) and abs(value) >= 2**63:  # arrays have 64 bits
        wrong, limit = True, ' of at most 64 bits'
    elif name in ('name', 'label'):  # of a class
        wrong, limit = wrong or value == '', ' that is not empty'
    if wrong:
        raise ValueError(f'{where}: "{name}" is {short(value)}, expected {kind}{limit}: correct it')
    return value


def check_category(category: object, where: str) -> None:
    """Look, as :func:`field`, at `name` of a class and what else of it is used and there."""
    field(category, 'name', 'a text', where)
    if category.get('supercategory') is not None:
        field(category, 'supercategory', 'a text', where)
    color = category.get('color')
    if category.get('isthing') not in (None, 0, 1):
        wrong, expected = 'isthing', '1 or 0'
    elif color is not None and not (
        isinstance(color, list)
        and len(color) == 3
        and all(type(x) is int and 0 <= x <= 255 for x in color)
    ):
        wrong, expected = 'color', 'a list [red, green, blue] of whole numbers from 0 to 255'
    else:
        return
    raise ValueError(
        f'{where} ({category["name"]}): "{wrong}" is {short(category[wrong])}, expected '
        f'{expected}: correct it'
    )


def numbers(record: dict, names: str, where: str) -> list[float]:
    """The numbers of several fields, whose names stand in one text."""
    return [field(record, name, 'a number', where) for name in names.split()]


def is_number(value: object) -> bool:
    """Whether it can be a coordinate in pixels."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= LARGEST  # which NaN is not


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def some(names: Iterable[str], limit: int = 3) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more


def parts_of(segmentation: object, where: str) -> list[list[float] | dict]:
    """Polygons (x1, y1, x2, y2, ...) and RLEs, whatever the nesting.

    A flat list is one polygon, a list of pairs its points; lists in lists are parts of one object.
    What is none of this, or has a number that is not finite, is a ValueError.
    """
    if isinstance(segmentation, dict):
        return [segmentation]
    if not isinstance(segmentation, list):
        raise ValueError(f'{where}: "segmentation" is {short(segmentation)}, expected {FORMS}')
    if all(map(is_number, segmentation)):
        if len(segmentation) % 2:
            raise ValueError(
                f'{where}: a polygon has {len(segmentation)} numbers, expected x and y in turn: '
                'draw it again'
            )
        return [segmentation]
    if not all(isinstance(part, list | dict) for part in segmentation):
        raise ValueError(
            f'{where}: "segmentation" has the form {short(segmentation)}, expected {FORMS} with '
            f'finite numbers of at most {LARGEST}: draw it again or export it in one of these forms'
        )
    if len(segmentation) > 2 and all(
        isinstance(point, list) and len(point) == 2 and all(map(is_number, point))
        for point in segmentation
    ):
        return [[number for point in segmentation for number in point]]
    return [part for inner in segmentation for part in parts_of(inner, where)]


def encode(parts: list[list[float] | dict], height: int, width: int, where: str) -> dict:
    """Run-length encode the union of the parts; polygons of less than three points have no area.

    An RLE of another size, or that does not cover exactly its image, is a ValueError.
    """
    polygons = [part for part in parts if isinstance(part, list) and len(part) >= 6]
    rles = [_check_rle(part, height, width, where) for part in parts if isinstance(part, dict)]
    encoded = [mask_utils.frPyObjects(rle, height, width) for rle in rles]
    if polygons or not rles:
        encoded += mask_utils.frPyObjects(polygons or [[0.0] * 6], height, width)
    return mask_utils.merge(encoded)


def decode(rle: dict) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The columns of a compressed RLE that have pixels, (H, w), and where they are in the image.

    Of an object that is small in its image this takes a fraction of decoding all of it.
    """
    height, width = rle['size']
    if 4 * mask_utils.toBbox(rle)[2] > width:  # long runs in C
        return mask_utils.decode(rle), np.s_[:, :]
    ends = np.cumsum(_decompress(rle['counts'].decode(), 'the mask'))
    starts, stops = ends[: len(ends) // 2 * 2].reshape(-1, 2).T
    some = stops > starts
    first, last = (starts[some][0], stops[some][-1] - 1) if some.any() else (0, -1)
    left, right = first // height, last // height + 1
    steps = np.zeros((right - left) * height + 1, np.int8)
    np.add.at(steps, starts[some] - left * height, 1)
    np.add.at(steps, stops[some] - left * height, -1)
    mask = steps[:-1].cumsum(dtype=np.uint8).reshape(right - left, height).T
    return mask, np.s_[:, left:right]


def _check_rle(rle: dict, height: int, width: int, where: str) -> dict:
    size = field(rle, 'size', 'a list', where)
    if size != [height, width]:
        shown = ' x '.join(map(str, size[::-1]))
        raise ValueError(
            f'the RLE of {where} is {shown}, its image {width} x {height}: export it again'
        )
    counts = rle.get('counts')
    if isinstance(counts, str):
        counts = _decompress(counts, where)
    if not isinstance(counts, list) or not all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in counts
    ):
        raise ValueError(
            f'{where}: "counts" of the RLE is {short(rle.get("counts"))}, expected whole numbers '
            'from 0 or a compressed text: export it again'
        )
    if sum(counts) != height * width:
        raise ValueError(
            f'the RLE of {where} covers {sum(counts)} pixels, its image has {width} x {height} = '
            f'{height * width}: export it again'
        )
    return dict(size=size, counts=counts)


def _decompress(text: str, where: str) -> list[int]:
    """COCO's compressed counts: 5 bits a letter, from the third on minus the last but one."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64:
            raise ValueError(f'{where}: "counts" of the RLE has {letter!r}: export it again')
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        value -= (code & 16 and 1) << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError(f'{where}: "counts" of the RLE is cut off: export it again')
    return counts
