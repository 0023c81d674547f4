"""What a user names (files, folders, patterns, lists, videos, arrays) as single images."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from .coco_results import PICTURE_FOLDER, PNG_FOLDER
from .read_image import IMG_EXTENSIONS, ImageSource, is_pixels
from .safe_names import name_below
from .videos import is_video, open_video

LONGEST_NAME = 249  # bytes of a name without suffix; with ``.jsonl`` file systems take 255


class Input(NamedTuple):
    """One image to come.

    Attributes:
        name: for messages: the path, the address, ``image 3`` or ``clip.mp4#12``.
        stem: relative path, without suffix, of files made from it; each input of a call has its own
        source: for :func:`read_image`, or the error that it raises.
    """

    name: str
    stem: str
    source: ImageSource | Exception


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
            or several of these, also from a generator.
        out_dir: folder of the results, which are no input: it is left out of folders and patterns.

    Yields:
        One input for each image or frame. Files are not opened, frames are decoded as they come;
        what is wrong with a video is the ``source`` of its last input.

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
) -> Iterable[Input]:
    """:func:`list_inputs` with a video as one input; also raises as :func:`require_untouched`.

    With ``out_dir`` all are looked at before the first comes, except those of a generator.
    """
    items = _with_stems(_expand(inputs, out_dir and os.path.realpath(out_dir)))
    if out_dir and not isinstance(inputs, Iterator):
        items = list(items)
        require_untouched(items, Path(out_dir))
    return items


def require_untouched(items: Iterable[Input], folder: Path) -> None:
    """Raise ValueError where a result would replace an input, as of ``clip.mp4`` in ``.``."""
    paths = (item for item in items if isinstance(item.source, str | os.PathLike))
    files = {os.path.realpath(item.source): item for item in paths}
    for item in files.values():
        names = [f'{PNG_FOLDER}/{item.stem}{end}' for end in ('.png', '.tif')]
        names.append(f'{PICTURE_FOLDER}/{item.stem}.jpg')
        if is_video(item.source):
            names = [f'{item.stem}.mp4', f'{item.stem}.jsonl']
        for name in names:
            if (path := os.path.realpath(folder / name)) in files:
                raise ValueError(
                    f'the result {folder / name} would take the place of the input '
                    f'{files[path].name}: choose another folder for the results'
                )


def require_one(items: Sequence[Input]) -> None:
    """Raise FileNotFoundError where inputs name nothing but files that are not there."""
    names = [str(x.source) for x in items if isinstance(x.source, str | os.PathLike)]
    lacking = [name for name in names if '://' not in name and not os.path.exists(name)]
    if lacking and len(lacking) == len(items):
        raise FileNotFoundError(f'input {lacking[0]} is not there (looked for in {Path.cwd()})')


def _with_stems(inputs: Iterable[Input]) -> Iterator[Input]:
    stems = Stems()
    for item in inputs:
        if is_pixels(item.source):
            yield item._replace(stem=stems.of_array(item.stem))
        else:
            yield item._replace(stem=stems.of_file(item.stem, is_video(item.source)))


class Stems:
    """Stems that are given once; of arrays and frames without keeping each of their names."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._folders: set[str] = set()
        self._videos: set[str] = set()
        self._last: dict[str, int] = {}

    def of_array(self, stem: str) -> str:
        """``stem`` ends in a number that grows, in the list or in the video; or it is ``image``."""
        folder, number = _numbered(stem)
        new = folder not in self._last and number >= 0 and stem == safe_stem(stem)
        if new and not self._is_in_video(stem):
            self._last[folder] = -1
            self._folders.update(map(str, PurePosixPath(stem).parents))
        if stem in self._taken or number <= self._last.get(folder, number):
            return self.of_file(stem, False)
        self._last[folder] = number
        return stem

    def of_file(self, stem: str, video: bool) -> str:
        """The frames of a video lie in a folder of its name, which is its alone."""
        stem = safe_stem(stem)
        if self._is_in_video(stem):
            stem = stem.replace('/', '_')
        unique, number = stem, count(2)
        while self._is_taken(unique, video):
            unique = safe_stem(f'{stem}_{next(number)}')
        self._taken.add(unique)
        if video:
            self._videos.add(unique)
        else:
            self._folders.update(map(str, PurePosixPath(unique).parents))
        return unique

    def _is_in_video(self, stem: str) -> bool:
        return not self._videos.isdisjoint(map(str, PurePosixPath(stem).parents))

    def _is_taken(self, stem: str, video: bool) -> bool:
        folder, number = _numbered(stem)
        array = 0 <= number <= self._last.get(folder, -1)
        return stem in self._taken or array or (video and stem in self._folders)


def safe_stem(stem: str) -> str:
    """A relative path that stays below its folder, of names that leave room for a suffix."""
    parts = PurePosixPath(stem.replace('\0', '')).parts
    names = [part for part in parts if part not in ('/', '//', '..')]
    try:
        return name_below('/'.join(names), LONGEST_NAME)
    except ValueError:
        return 'image'


def _numbered(stem: str) -> tuple[str, int]:
    """The folder of a stem, and the number that it is called by as arrays are; -1 of others."""
    folder, _, name = stem.rpartition('/')
    return folder, int(name) if name.isdecimal() and name == f'{int(name):06d}' else -1


def _expand(inputs: ImageSource | Iterable[ImageSource], results: str | None) -> Iterator[Input]:
    if isinstance(inputs, Input):
        yield inputs
    elif isinstance(inputs, str | os.PathLike):
        yield from _expand_path(os.fspath(inputs), results)
    elif is_pixels(inputs):
        yield Input('image', 'image', inputs)
    elif not isinstance(inputs, Iterable):
        yield Input(type(inputs).__name__, 'image', inputs)  # read_image says what is wrong
    else:
        for i, item in enumerate(inputs):
            array = Input(f'image {i}', f'{i:06d}', item)
            yield from _expand(array if is_pixels(item) else item, results)


def _expand_path(path: str, results: str | None) -> Iterator[Input]:
    if '://' in path:
        stem = PurePosixPath(unquote(urlsplit(path).path)).stem.replace('\0', '').strip('.')
        yield Input(path, stem or 'image', path)
    elif os.path.isdir(path):
        yield from _in_folder(path, results)
    elif path.lower().endswith('.txt'):
        for line in _lines(path):
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


def _lines(path: str) -> list[str]:
    try:
        lines = Path(path).read_text('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no text in UTF-8 with a path in each line: {error}') from error
    lists = [line for line in lines if line.strip().lower().endswith('.txt')]
    if lists:
        raise ValueError(f'{path} names another list, {lists[0]}: write its lines here instead')
    return list(filter(None, map(str.strip, lines)))


def _is_below(path: str | Path, folder: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _is_result(path: str | Path, results: str | None) -> bool:
    folders = [os.path.join(results, x) for x in (PNG_FOLDER, PICTURE_FOLDER)] if results else []
    return any(_is_below(path, folder) for folder in folders)


def _in_folder(folder: str, results: str | None) -> Iterator[Input]:
    if results == os.path.realpath(folder):
        raise ValueError(
            f'the folder {folder} is an input and the folder of the results: choose another for '
            f'the results, such as {Path(folder, "results")}, which is left out of the inputs'
        )
    path = None
    for current, folders, files in os.walk(folder):
        # as os.walk wants it; links are not followed
        folders[:] = [x for x in sorted(folders) if os.path.realpath(Path(current, x)) != results]
        for file in sorted(files):
            if file.lower().endswith(IMG_EXTENSIONS):
                path = Path(current, file)
                yield _below(path, folder)
    if path is None:
        raise ValueError(
            f'there is no image in the folder {folder}: expected files that end in '
            f'{" ".join(IMG_EXTENSIONS)}; videos of a folder are named by a pattern, such as '
            f"'{Path(folder, '*.mp4')}'"
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
    for path in paths:  # a path as text may be a video
        is_image = str(path).lower().endswith(IMG_EXTENSIONS)
        yield _below(path, root)._replace(source=path if is_image else str(path))


def _below(path: Path, folder: str) -> Input:
    return Input(str(path), path.relative_to(folder).with_suffix('').as_posix(), path)


def video_frames(video: Input) -> Iterator[Input]:
    """Frames of a video, upright; ``name`` is ``clip.mp4#12``, counted from 0. What is wrong with
    it is the source of its last input, which :func:`read_image` raises.
    """
    try:
        with open_video(os.fspath(video.source), video.name) as opened:
            for number, frame in enumerate(opened.frames):
                yield Input(f'{video.name}#{number}', f'{video.stem}/{number:06d}', frame)
    except (OSError, ValueError) as error:
        yield video._replace(source=error)
