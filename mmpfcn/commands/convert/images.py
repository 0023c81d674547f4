"""Images and PNGs of ids for the converters for data of your own, matched by relative name."""

import io
import os
import zlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from mmpfcn.formats import image_size
from mmpfcn.formats.file_content import read_content
from mmpfcn.formats.image_header import MAX_PIXELS, check_pixels

from .classes import Void
from .fields import some

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm')
Image.MAX_IMAGE_PIXELS = None  # check_pixels has the limit of all our tools
ID_MODES = ('L', 'P', '1', 'I', 'I;16', 'I;16B', 'F')
LOSSY = ('JPEG', 'MPO')


def find_files(
    folder: Path, suffixes: Collection[str], what: str, written: Path, may_lack: bool = False
) -> dict[str, str]:
    """Files below a folder, in sub-folders too: relative name without its suffix -> with it.

    Args:
        what: name of the folder for messages.
        written: JSON that this converter makes; neither it, its PNGs and its working folder nor
            those of other sets beside it are found.
        may_lack: whether there may be no such file.

    Raises:
        FileNotFoundError: there is no such folder, or no such file in it.
        ValueError: two files differ in their suffix only.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'{what}: {folder} is not a folder')
    found: dict[str, str] = {}
    for parent, folders, names in os.walk(folder, followlinks=True):
        if Path(parent).resolve() == written.parent.resolve():
            made = _made_by_converters(parent, folders, written)
            folders[:] = [name for name in folders if name not in made]
            names = [name for name in names if name not in made]
        for name in names:
            if name.startswith('.') or not name.lower().endswith(tuple(suffixes)):
                continue
            relative = Path(parent, name).relative_to(folder)
            stem = relative.with_suffix('').as_posix()
            if stem in found:
                raise ValueError(
                    f'{folder} has both {found[stem]} and {relative.as_posix()}, which would share '
                    'one PNG: rename one of them'
                )
            found[stem] = relative.as_posix()
    if not (found or may_lack):
        raise FileNotFoundError(f'{what}: {folder} has no file that ends in {", ".join(suffixes)}')
    return dict(sorted(found.items()))


def _made_by_converters(parent: str, folders: list[str], written: Path) -> set[str]:
    """Names in an output folder: panoptic_NAME with .json, .partial, .images and without."""
    made = {written.name, written.stem}
    for name in folders:
        stem = name.removesuffix('.partial').removesuffix('.images')
        if stem.startswith('panoptic_') and (
            stem != name or Path(parent, f'{stem}.json').is_file()
        ):
            made |= {name, stem, f'{stem}.json'}
    return made


def match(
    images: Mapping[str, str], others: Mapping[str, str], what: str, skip: bool
) -> dict[str, str]:
    """The images that have an annotation of the same relative name; all must, unless `skip`."""
    orphans = sorted(others.keys() - images.keys())
    if orphans:
        raise ValueError(
            f'{what} without image: {some(others[stem] for stem in orphans)}; they are matched by '
            'name without suffix, sub-folders included'
        )
    missing = sorted(images.keys() - others.keys())
    if missing and not skip:
        raise ValueError(
            f'images without {what}: {some(images[stem] for stem in missing)}; add them, or leave '
            'these images out with --skip-unannotated'
        )
    return {stem: name for stem, name in images.items() if stem in others}


def image_record(folder: Path, name: str, image_id: int, annotation: bytes) -> dict:
    """The COCO record of an image.

    When the annotation, what its segments are made from, changes, so does the record, and the
    writer knows that the image has to be converted again.
    """
    height, width = image_size(folder / name)
    made_from = f'{zlib.crc32(annotation):08x}'
    return dict(id=image_id, file_name=name, height=height, width=width, made_from=made_from)


def read_ids(path: Path, image: dict) -> np.ndarray:
    """(H, W) int32, the grey values or palette indices of a file of the image's size."""
    content = read_content(path)
    try:
        with Image.open(io.BytesIO(content)) as file:
            mode, (width, height) = file.mode, file.size
            fits = width * height <= MAX_PIXELS
            lossy, pages = file.format in LOSSY, _count_pages(file)
            ids = np.array(file) if mode in ID_MODES and fits else None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f'{path} cannot be decoded ({error}): write it again') from error
    check_pixels(height, width, str(path))
    if ids is None:
        raise ValueError(
            f'{path} has {mode} pixels, expected a grey (8 or 16 bit) or palette PNG: turn its '
            'colours into one id per pixel first'
        )
    if lossy or pages > 1:
        raise ValueError(
            f'{path} is {"a JPEG, which changes numbers" if lossy else f"{pages} pages"}, expected '
            'one id per pixel, such as in a PNG: save it so from what it was made of'
        )
    if ids.shape != (image['height'], image['width']):
        raise ValueError(
            f'{path} is {ids.shape[1]} x {ids.shape[0]}, but its image {image["file_name"]} is '
            f'{image["width"]} x {image["height"]}: they must have the same size'
        )
    return whole_numbers(ids, path)


def _count_pages(file: Image.Image) -> int:
    """How many there are; 1 where the second is of another size, as smaller copies are."""
    pages, sizes = getattr(file, 'n_frames', 1), []
    for page in range(min(pages, 2))[::-1]:  # ends at the first
        file.seek(page)
        sizes.append(file.size)
    return pages if len({*sizes}) == 1 else 1


def whole_numbers(array: np.ndarray, path: Path) -> np.ndarray:
    """int32 of the same numbers; ValueError where they are not whole, or too large."""
    with np.errstate(invalid='ignore'):  # NaN
        numbers = array.astype(np.int32)
    if (numbers != array).any():
        raise ValueError(
            f'{path} has {array.dtype} numbers that are not whole or beyond 32 bits, expected ids'
        )
    return numbers


def check_same_size(annotation: Path, ids: np.ndarray, image: Path) -> None:
    """ValueError where the annotation of a download, (H, W), is not of the size of its image."""
    size = image_size(image)
    if ids.shape != size:
        raise ValueError(
            f'{annotation} has {ids.shape[1]} x {ids.shape[0]} pixels (width x height), {image} '
            f'{size[1]} x {size[0]}: they must have the same size; unpack both again'
        )


def check_values(present: Iterable[int], listed: Collection[int], void: Void, path: Path) -> None:
    """ValueError where a PNG of class ids has values that are no class."""
    unknown = [value for value in present if value not in listed and value not in void]
    if unknown:
        raise ValueError(
            f'{path} has the values {some(map(str, unknown), 10)}, which are none of your classes '
            f'({some(map(str, sorted(listed)), 10)}): add them to --things or --stuff, or pass '
            f'--void {" ".join(map(str, unknown[:10]))}'
        )
