"""What a user names (files, folders, patterns, lists, videos, arrays) as single images."""

import glob
import os
from collections.abc import Iterable, Iterator
from itertools import count, takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from .read_image import VIDEO_EXTENSIONS, ImageSource, is_pil_image
from .safe_names import name_below

IMG_EXTENSIONS = (
    '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.ppm', '.pgm', '.pbm', '.pnm', '.bmp', '.dib',
    '.tif', '.tiff', '.webp', '.jp2', '.avif',
)  # fmt: skip
"""What is taken for an image in a folder; a file that is named by itself may have any suffix."""


LONGEST_NAME = 249
"""Bytes of a name without suffix; with ``.jsonl`` file systems take 255."""

RESULT_FOLDERS = ('panoptic', 'vis')
"""In the folder of the results, beside files of other names."""


class Input(NamedTuple):
    """One image to come.

    Attributes:
        name: for messages: the path, the address, ``image 3`` or ``clip.mp4#12``.
        stem: relative path, without suffix, of the files that are made from it; no two inputs of a
            call share one.
        source: for :func:`read_image`.
    """

    name: str
    stem: str
    source: ImageSource


class Failure(NamedTuple):
    """An input that could not be used: its name and stem, and what is wrong with it."""

    name: str
    stem: str
    message: str


def list_inputs(
    inputs: ImageSource | Iterable[ImageSource], out_dir: str | os.PathLike | None = None
) -> Iterator[Input]:
    """The images that ``inputs`` names, in an order that is the same every time.

    Args:
        inputs: what :func:`read_image` takes; a folder (with the folders in it), a pattern such as
            ``photos/**/*.jpg``, a text file with a path in each line, a video, an :class:`Input`;
            or several of these.
        out_dir: folder of the results, which are no input: it is left out of folders and patterns.

    Yields:
        One input for each image or frame. Files are not opened, frames are decoded as they come.

    Raises:
        ValueError: a folder without images, a pattern without files, or a result as input.
    """
    for item in list_files(inputs, out_dir):
        if is_video(item.source):
            yield from video_frames(item)
        else:
            yield item


def list_files(
    inputs: ImageSource | Iterable[ImageSource], out_dir: str | os.PathLike | None = None
) -> Iterator[Input]:
    """:func:`list_inputs` with a video as one input."""
    stems, results = Stems(), out_dir and os.path.realpath(out_dir)
    for name, stem, source in _expand(inputs, results):
        if isinstance(source, np.ndarray) or is_pil_image(source):
            yield Input(name, stems.of_array(stem), source)
        else:
            yield Input(name, stems.of_file(stem, is_video(source)), source)


class Stems:
    """Stems that are given once, of arrays without keeping each of their names."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._folders: set[str] = set()
        self._videos: set[str] = set()
        self._last_array = -1

    def of_array(self, stem: str) -> str:
        """``stem`` is the number of the array in the list, which grows; or ``image``."""
        number = array_number(stem)
        if number > self._last_array and stem not in self._taken:
            self._last_array = number
            return stem
        return self.of_file(stem, False)

    def of_file(self, stem: str, video: bool) -> str:
        """The frames of a video lie in a folder of its name, which is its alone."""
        stem = name_below(stem, LONGEST_NAME)
        if not self._videos.isdisjoint(map(str, PurePosixPath(stem).parents)):
            stem = stem.replace('/', '_')
        unique = stem
        for number in count(2):
            if not self._is_taken(unique, video):
                break
            unique = name_below(f'{stem}_{number}', LONGEST_NAME)
        self._taken.add(unique)
        if video:
            self._videos.add(unique)
        else:
            self._folders.update(map(str, PurePosixPath(unique).parents))
        return unique

    def _is_taken(self, stem: str, video: bool) -> bool:
        array = 0 <= array_number(stem) <= self._last_array
        return stem in self._taken or array or (video and stem in self._folders)


def array_number(stem: str) -> int:
    """The number of an array that has this stem; -1 of another stem."""
    return int(stem) if stem.isdecimal() and stem == f'{int(stem):06d}' else -1


def is_video(source: ImageSource) -> bool:
    """Whether it is the path of a video: called like one, or else decoded as one."""
    if not isinstance(source, str) or '://' in source:
        return False
    if source.lower().endswith(VIDEO_EXTENSIONS):
        return not _is_image(source)
    if source.lower().endswith(IMG_EXTENSIONS) or not os.path.isfile(source) or _is_image(source):
        return False
    capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG)
    try:
        return capture.isOpened()
    finally:
        capture.release()


def _is_image(path: str) -> bool:
    return os.path.isfile(path) and cv2.haveImageReader(path)


def _expand(inputs: ImageSource | Iterable[ImageSource], results: str | None) -> Iterator[Input]:
    if isinstance(inputs, Input):
        yield inputs
    elif isinstance(inputs, str | os.PathLike):
        yield from _expand_path(os.fspath(inputs), results)
    elif isinstance(inputs, np.ndarray) or is_pil_image(inputs):
        yield Input('image', 'image', inputs)
    elif isinstance(inputs, Iterable):
        for number, item in enumerate(inputs):
            if isinstance(item, np.ndarray) or is_pil_image(item):
                yield Input(f'image {number}', f'{number:06d}', item)
            else:
                yield from _expand(item, results)
    else:
        yield Input(type(inputs).__name__, 'image', inputs)  # read_image says what is wrong


def _expand_path(path: str, results: str | None) -> Iterator[Input]:
    if '://' in path:
        stem = PurePosixPath(unquote(urlsplit(path).path)).stem.replace('\0', '').strip('.')
        yield Input(path, stem or 'image', path)
    elif os.path.isdir(path):
        yield from _in_folder(path, results)
    elif path.lower().endswith('.txt'):
        with open(path, encoding='utf-8-sig') as file:
            for line in filter(None, map(str.strip, file)):
                yield from _expand_path(line, results)
    elif not os.path.exists(path) and glob.has_magic(path):
        yield from _matching(path, results)
    elif _is_result(path, results):
        raise ValueError(
            f'input {path} lies among the results of {results}: leave it out, or choose another '
            'folder for the results'
        )
    else:
        yield Input(path, Path(path).stem, path)


def _is_below(path: str | Path, folder: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _is_result(path: str | Path, results: str | None) -> bool:
    """Whether a file lies in one of the folders of results."""
    return results is not None and any(
        _is_below(path, os.path.join(results, folder)) for folder in RESULT_FOLDERS
    )


def _in_folder(folder: str, results: str | None) -> Iterator[Input]:
    if results == os.path.realpath(folder):
        raise ValueError(
            f'the folder {folder} is an input and the folder of the results: choose another for '
            f'the results, such as {Path(folder, "results")}, which is left out of the inputs'
        )
    empty = True
    for current, folders, files in os.walk(folder):
        # as os.walk wants it; links are not followed
        folders[:] = sorted(
            name for name in folders if os.path.realpath(os.path.join(current, name)) != results
        )
        for file in sorted(files):
            if file.lower().endswith(IMG_EXTENSIONS):
                empty = False
                path = Path(current, file)
                yield Input(str(path), path.relative_to(folder).with_suffix('').as_posix(), path)
    if empty:
        raise ValueError(
            f'there is no image in the folder {folder}: expected files that end in '
            f'{" ".join(IMG_EXTENSIONS)}'
        )


def _matching(pattern: str, results: str | None) -> Iterator[Input]:
    paths = [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]
    start = takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts)
    if results and not _is_below(Path(*start), results):
        paths = [path for path in paths if not _is_below(path, results)]
    paths = [path for path in paths if path.is_file() and not _is_result(path, results)]
    if not paths:
        raise ValueError(f'no file matches the pattern {pattern} (looked for in {Path.cwd()})')
    root = os.path.commonpath([path.parent for path in paths])
    for path in paths:
        yield Input(str(path), path.relative_to(root).with_suffix('').as_posix(), path)


def video_frames(video: Input) -> Iterator[Input]:
    """Frames of a video, upright; ``name`` is ``clip.mp4#12``, counted from 0.

    A video that can not be read gives itself as its only input, which :func:`read_image` refuses.
    """
    capture = cv2.VideoCapture(video.source)
    number = 0
    try:
        for number, frame in enumerate(captured(capture), 1):
            yield Input(f'{video.name}#{number - 1}', f'{video.stem}/{number - 1:06d}', frame)
    finally:
        capture.release()
    if not number:
        yield video


def captured(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """The frames of an open video or camera, (H, W, 3) uint8 BGR."""
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield frame
