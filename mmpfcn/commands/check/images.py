"""An image and its panoptic PNG held against the JSON."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmpfcn.formats.image_header import read_header
from mmpfcn.formats.label_map import segment_areas, segment_boxes, segment_index
from mmpfcn.formats.panoptic_png import WrongPixels, read_complete, read_panoptic_png
from mmpfcn.formats.pixels import COLOUR, PixelRule, UnfitPixels
from mmpfcn.formats.read_image import decode_image

from ..convert.fields import some
from .problems import Problem

UPRIGHT, SIDES_SWAPPED = (0, 1), (5, 6, 7, 8)
Size = tuple[int, int]  # (H, W)
EXAMPLES = 5  # ids named in one line


class Segment(NamedTuple):
    """A segment of the JSON; ``label`` is None if its category is unknown or left out."""

    id: int
    label: int | None
    crowd: bool
    area: Any
    bbox: Any


class Job(NamedTuple):
    """An image of the JSON; ``size`` is (H, W), ``png`` None without an annotation."""

    image: Path
    png: Path | None
    size: tuple[int, int]
    segments: list[Segment]


class Result(NamedTuple):
    """What the files hold."""

    problems: list[Problem]  # what is wrong
    # (H, W) in pixels of the PNG, else of the image; None if neither can be read
    size: tuple[int, int] | None
    # (n, 3) of those with pixels and a label: label, crowd (0 or 1), area in pixels
    segments: np.ndarray
    sides: np.ndarray  # sqrt(box area) in pixels of each object (no crowd), after resizing
    void: int | None  # pixels without label; None without a readable PNG


def check_image(
    job: Job,
    num_things: int,
    resized: Callable[[int, int], tuple[float, float]],
    rule: PixelRule,
) -> Result:
    """Read both files of an image, and hold them against what the JSON says.

    Labels below ``num_things`` are things; ``resized`` gives (height, width) of an image that has
    this size before resizing, ``rule`` says how it is read.
    """
    problems: list[Problem] = []
    image_size, size_in_file, orientation = _check_image_file(job, rule, problems)
    ids = None if job.png is None else _read_png(job.png, problems)
    size = image_size if ids is None else ids.shape
    nothing = Result(problems, size, np.zeros((0, 3), np.int64), np.zeros(0), None)
    if ids is None:
        return nothing
    if image_size is not None:
        problems += _compare_sizes(job, image_size, ids.shape, size_in_file, orientation)
    index = segment_index(ids, [segment.id for segment in job.segments])
    areas = segment_areas(index, len(job.segments))
    boxes = segment_boxes(index, len(job.segments))
    boxes[:, 2:] -= boxes[:, :2]  # now x, y, width, height, as in the JSON
    problems += _compare_segments(job, areas[1:], boxes)
    unknown = ids[(index == 0) & (ids != 0)]
    if len(unknown):
        found = some(map(str, np.unique(unknown)), EXAMPLES)
        text = f'{job.png}: {len(unknown)} pixels have the id {found}'
        problems.append(Problem('unknown_pixels', text, len(unknown)))
    used = [i for i, s in enumerate(job.segments) if s.label is not None and areas[i + 1]]
    rows = [(job.segments[i].label, job.segments[i].crowd, areas[i + 1]) for i in used]
    objects = [i for i in used if job.segments[i].label < num_things and not job.segments[i].crowd]
    to = resized(*ids.shape)
    factor = np.sqrt(to[0] / ids.shape[0] * to[1] / ids.shape[1])
    segments = np.array(rows, np.int64).reshape(-1, 3)
    return nothing._replace(
        segments=segments,
        sides=np.sqrt(boxes[objects, 2:].prod(1)) * factor,
        void=ids.size - int(segments[:, 2].sum()),
    )


def _check_image_file(
    job: Job, rule: PixelRule, problems: list[Problem]
) -> tuple[Size | None, Size | None, int]:
    """Size as loaded, size in the file, and EXIF orientation."""
    try:
        content = read_complete(str(job.image), 'image')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of lost bits, which are counted below
            pixels = decode_image(content, str(job.image), rule=rule)
        size = rule.fit(pixels, str(job.image)).shape[:2]
    except UnfitPixels as error:
        problems.append(Problem('channels', str(error)))
        return None, None, 1
    except (ValueError, OSError) as error:
        missing = isinstance(error, FileNotFoundError)
        kind, text = ('image_missing', job.image) if missing else ('image_broken', error)
        problems.append(Problem(kind, str(text)))
        return None, None, 1
    header = read_header(content)
    if header is not None and header.bits > 8 and rule == COLOUR:
        problems.append(Problem('bits', f'{job.image}: {header.bits} bits'))
    if header is None:
        return size, size, 1  # of a format without orientation
    return size, (header.height, header.width), header.orientation


def _read_png(path: Path, problems: list[Problem]) -> np.ndarray | None:
    try:
        return read_panoptic_png(str(path))
    except FileNotFoundError:
        problems.append(Problem('png_missing', str(path)))
    except WrongPixels as error:
        problems.append(Problem('png_type', str(error)))
    except (ValueError, OSError) as error:
        problems.append(Problem('png_broken', str(error)))
    return None


def _compare_sizes(
    job: Job, image: Size, png: Size, in_file: Size, orientation: int
) -> list[Problem]:
    """``image`` is what OpenCV loads, turned by the EXIF orientation."""
    text = f'{job.image}: {_by(image)}, PNG {_by(png)}'
    if image != png:
        if orientation in SIDES_SWAPPED and in_file == png:
            return [Problem('exif_turned', f'{text} (EXIF orientation {orientation})')]
        return [Problem('png_size', text)]
    problems = []
    tells = orientation in SIDES_SWAPPED and in_file != image
    if orientation not in UPRIGHT and not tells:
        problems.append(Problem('exif_unsure', f'{job.image} (EXIF orientation {orientation})'))
    if image != job.size:
        text = f'{job.image}: {_by(image)}, JSON {_by(job.size)}'
        problems.append(Problem('json_size', text))
    return problems


def _compare_segments(job: Job, areas: np.ndarray, boxes: np.ndarray) -> list[Problem]:
    empty, other_area, other_box = [], [], []
    for segment, area, box in zip(job.segments, areas.tolist(), boxes.tolist(), strict=True):
        if not area:
            empty.append(str(segment.id))
            continue
        if segment.area is not None and segment.area != area:
            other_area.append(f'{segment.id} (JSON {segment.area}, PNG {area})')
        if segment.bbox is not None and segment.bbox != box:
            other_box.append(f'{segment.id} (JSON {segment.bbox}, PNG {box})')
    return [
        Problem(kind, f'{job.png}: segment {some(found, EXAMPLES)}', len(found))
        for kind, found in (('no_pixels', empty), ('area', other_area), ('bbox', other_box))
        if found
    ]


def _by(size: Size) -> str:
    return f'{size[0]} x {size[1]}'
