"""An image and its panoptic PNG held against the JSON."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmpfcn.formats.image_header import PNG_SIGNATURE, read_header
from mmpfcn.formats.panoptic_png import COLOUR_TYPES, read_complete, read_panoptic_png
from mmpfcn.formats.read_image import decode_image
from mmpfcn.structures.label_map import segment_areas, segment_boxes, segment_index

from .problems import Problem

UPRIGHT, SIDES_SWAPPED = (0, 1), (5, 6, 7, 8)
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
    """What the files hold.

    Attributes:
        problems: what is wrong.
        size: (H, W) in pixels of the PNG, else of the image; None if neither can be read.
        segments: (n, 3) of those with pixels and a label: label, crowd (0 or 1), area in pixels.
        sides: sqrt(box area) in pixels of each object (no crowd), after resizing.
        void: pixels without label; None without a readable PNG.
    """

    problems: list[Problem]
    size: tuple[int, int] | None
    segments: np.ndarray
    sides: np.ndarray
    void: int | None


def check_image(
    job: Job, num_things: int, resized: Callable[[int, int], tuple[float, float]]
) -> Result:
    """Read both files of an image.

    Args:
        job: what the JSON says.
        num_things: labels below it are things.
        resized: height and width of an image that has the size (height, width) before resizing.
    """
    problems: list[Problem] = []
    image_size, size_in_file, orientation = _check_image_file(job, problems)
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
    problems += _find_unknown(job, ids, index, int(areas[0]))

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
    job: Job, problems: list[Problem]
) -> tuple[tuple[int, int] | None, tuple[int, int] | None, int]:
    """Size as loaded, size in the file, both (H, W) or None, and EXIF orientation."""
    try:
        content = read_complete(str(job.image), 'image')
    except FileNotFoundError:
        problems.append(Problem('image_missing', str(job.image)))
        return None, None, 1
    except (ValueError, OSError) as error:
        problems.append(Problem('image_broken', str(error)))
        return None, None, 1
    try:
        size = decode_image(content, str(job.image)).shape[:2]
    except ValueError as error:
        problems.append(Problem('image_broken', str(error)))
        return None, None, 1
    header = read_header(content)
    if header is None:
        return size, size, 1  # of a format without orientation
    return size, (header.height, header.width), header.orientation


def _read_png(path: Path, problems: list[Problem]) -> np.ndarray | None:
    try:
        return read_panoptic_png(str(path))
    except FileNotFoundError:
        problems.append(Problem('png_missing', str(path)))
    except (ValueError, OSError) as error:
        problems.append(_describe_png(path, error))
    return None


def _describe_png(path: Path, error: Exception) -> Problem:
    """Whether a PNG that can not be used is broken or of a wrong type."""
    try:
        with path.open('rb') as file:
            header = file.read(26)
    except OSError:
        header = b''
    if header.startswith(PNG_SIGNATURE) and len(header) == 26:
        depth, colour = header[24], COLOUR_TYPES.get(header[25], header[25])
        if depth != 8 or colour not in ('RGB', 'RGBA'):
            return Problem('png_type', f'{path}: {colour}, {depth} bits a channel')
    return Problem('png_broken', str(error))


def _compare_sizes(
    job: Job,
    image: tuple[int, int],
    png: tuple[int, int],
    in_file: tuple[int, int],
    orientation: int,
) -> list[Problem]:
    """Sizes are (H, W); ``image`` is what OpenCV loads, turned by the EXIF orientation."""
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
        Problem(kind, f'{job.png}: segment {_some(found)}', len(found))
        for kind, found in (('no_pixels', empty), ('area', other_area), ('bbox', other_box))
        if found
    ]


def _find_unknown(job: Job, ids: np.ndarray, index: np.ndarray, rest: int) -> list[Problem]:
    if not rest:
        return []
    unknown = ids[index == 0]
    unknown = unknown[unknown != 0]
    if not len(unknown):
        return []
    found = [str(id_) for id_ in np.unique(unknown)]
    text = f'{job.png}: {len(unknown)} pixels have the id {_some(found)}'
    return [Problem('unknown_pixels', text, len(unknown))]


def _some(items: Sequence[str]) -> str:
    rest = len(items) - EXAMPLES
    return ', '.join(items[:EXAMPLES]) + (f' and {rest} more' if rest > 0 else '')


def _by(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'
