"""Images for the graph: found, read, resized, normalised and padded, without mmcv and torch."""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..formats.atomic_files import is_cut_off

IMG_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')
"""mmdet's."""


def list_images(inputs: Sequence[str | os.PathLike]) -> Iterator[tuple[str, str]]:
    """Path and stem of every image that the inputs name; no two stems are the same.

    Args:
        inputs: files, folders (with the folders in them) and patterns such as ``photos/**/*.jpg``.
            The stem is the path inside the folder without suffix, or the file's name.

    Raises:
        ValueError: a folder without images, or a pattern without files.
    """
    taken = set()
    for entry in map(os.fspath, inputs):
        for path, stem in _expand(entry):
            unique, number = stem, 2
            while unique in taken:
                unique, number = f'{stem}_{number}', number + 1
            taken.add(unique)
            yield str(path), unique


def _expand(entry: str) -> list[tuple[Path, str]]:
    if os.path.isdir(entry):
        found = [x for x in sorted(Path(entry).rglob('*')) if x.suffix.lower() in IMG_EXTENSIONS]
        if not found:
            raise ValueError(
                f'there is no image in the folder {entry}: expected files that end in '
                f'{" ".join(IMG_EXTENSIONS)}'
            )
        return [(path, path.relative_to(entry).with_suffix('').as_posix()) for path in found]
    if not os.path.exists(entry) and glob.has_magic(entry):
        found = [x for x in map(Path, sorted(glob.glob(entry, recursive=True))) if x.is_file()]
        if not found:
            raise ValueError(f'no file matches the pattern {entry} (looked for in {Path.cwd()})')
        return [(path, path.stem) for path in found]
    return [(Path(entry), Path(entry).stem)]


def read_image(source: str | os.PathLike | np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 BGR, upright (EXIF orientation), 8 bits a channel, without alpha.

    Args:
        source: path, or an array that already is (H, W, 3) uint8 BGR.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no image, cut off, or an array of another kind.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
            raise ValueError(
                f'the image is an array of {source.dtype} with shape {source.shape}, expected '
                'uint8 and (H, W, 3), BGR, with H and W from 1'
            )
        return source
    try:
        content = Path(source).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f'image {source} is not there (looked for in {Path.cwd()})'
        ) from None
    if is_cut_off(content):
        raise ValueError(f'image {source} is cut off ({len(content)} bytes): copy it again')
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ValueError(f'{source} can not be decoded as an image: {error}') from error
    if image is None:
        raise ValueError(
            f'{source} is no image, or of a format that OpenCV can not read: '
            'expected JPEG, PNG, BMP, TIFF, WebP or the like'
        )
    return image


def resize(image: np.ndarray, meta: Mapping, name: str) -> np.ndarray:
    """As mmdet's ``Resize``: bilinear to ``meta['scale']``, unless that is None.

    Raises:
        ValueError: nothing is left of the shorter side.
    """
    if meta['scale'] is None:
        return image
    h, w = image.shape[:2]
    size = tuple(meta['scale'])
    if meta['keep_ratio']:
        factor = min(max(size) / max(h, w), min(size) / min(h, w))
        size = int(w * factor + 0.5), int(h * factor + 0.5)
    if min(size) < 1:
        raise ValueError(
            f'{name} is {w} x {h} pixels and nothing is left of its shorter side after the '
            f'resizing to {meta["scale"][0]} x {meta["scale"][1]}: crop it'
        )
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def padded_shape(shape: tuple[int, int], divisor: int) -> tuple[int, int]:
    """(H, W) of the graph's input for an image of (H, W)."""
    h, w = (-(-side // divisor) * divisor for side in shape)
    return h, w


def normalize(images: Sequence[np.ndarray], meta: Mapping) -> np.ndarray:
    """A batch for the graph: (N, 3, H, W) float32, zeros below and right of each image.

    Args:
        images: (h, w, 3) uint8 BGR, all of one padded shape.
        meta: ``mean``, ``std``, ``bgr_to_rgb`` and ``pad_size_divisor`` of the model.
    """
    shape = padded_shape(images[0].shape[:2], meta['pad_size_divisor'])
    mean, std = (np.array(meta[key], np.float32)[:, None, None] for key in ('mean', 'std'))
    batch = np.zeros((len(images), 3, *shape), np.float32)
    for place, image in zip(batch, images, strict=True):
        h, w = image.shape[:2]
        channels = image[..., ::-1] if meta['bgr_to_rgb'] else image
        place[:, :h, :w] = (channels.transpose(2, 0, 1) - mean) / std
    return batch
