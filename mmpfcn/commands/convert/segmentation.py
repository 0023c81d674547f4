"""The forms that the `segmentation` of a COCO annotation has in the field, as one RLE."""

from pycocotools import mask as mask_utils

from .fields import LARGEST, field, is_number, short

FORMS = 'polygons [[x1, y1, x2, y2, ...], ...] or an RLE {"size": [h, w], "counts": ...}'


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
