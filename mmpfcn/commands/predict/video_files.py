"""Videos and cameras: frames in, drawn frames out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mmpfcn.formats.atomic_files import temporary_prefix
from mmpfcn.formats.inputs import Input, captured

CAMERA_FPS = 10.0
"""For cameras and files that do not say theirs."""


MAX_TICKS = 2**16 - 1
"""A frame rate is a fraction: so many ticks a second at most, by 1, 10, 100 or 1000."""


class Video(NamedTuple):
    """An open video or camera.

    Attributes:
        frames: (H, W, 3) uint8 BGR, one by one.
        fps: frames per second.
        num_frames: None where it is not known, as for a camera.
    """

    frames: Iterator[np.ndarray]
    fps: float
    num_frames: int | None


@contextmanager
def open_video(item: Input) -> Iterator[Video]:
    """Open a video file or, with a number as ``source``, a camera.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it can not be read, or there is no such camera.
    """
    if isinstance(item.source, str) and not os.path.isfile(item.source):
        raise FileNotFoundError(f'video {item.name} is not there (looked for in {Path.cwd()})')
    capture = cv2.VideoCapture(item.source)
    try:
        if not capture.isOpened():
            raise ValueError(
                f'camera {item.source} can not be opened: try another number, from 0'
                if isinstance(item.source, int)
                else f'video {item.name} can not be read: it is damaged or not coded as '
                "OpenCV's FFmpeg knows it"
            )
        fps, count = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        yield Video(captured(capture), fps if fps > 0 else CAMERA_FPS, count if count > 0 else None)
    finally:
        capture.release()


def writable_rate(fps: float) -> float:
    """The nearest frame rate with up to three decimals that MPEG-4's time base of 16 bits takes."""
    fps = min(max(fps, 0.01), MAX_TICKS)
    decimals = next(d for d in (3, 2, 1, 0) if round(fps * 10**d) <= MAX_TICKS)
    return round(fps, decimals)


class VideoFile:
    """An MP4 that gets its name when it is closed, also after an error: what is written plays.

    Args:
        path: ends in ``.mp4``.
        fps: frames per second.

    Raises:
        OSError: it can not be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, writable_rate(fps)
        self._partial = path.with_name(f'{temporary_prefix(path.name)}{os.getpid()}.partial.mp4')
        self._writer: cv2.VideoWriter | None = None
        self.num_frames = 0
        path.parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> 'VideoFile':
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is None:
            return
        self._writer.release()
        written = cv2.VideoCapture(str(self._partial))
        found = int(written.get(cv2.CAP_PROP_FRAME_COUNT))
        written.release()
        if found < self.num_frames:  # OpenCV says nothing when it can not write
            self._partial.unlink(missing_ok=True)
            raise OSError(
                f'{self.path} could not be written ({found} of {self.num_frames} frames): a full '
                'disk?'
            )
        self._partial.replace(self.path)

    def add(self, picture: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 RGB, all of one size."""
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2  # the coding wants it
        if self._writer is None:
            coding = cv2.VideoWriter_fourcc(*'mp4v')
            self._writer = cv2.VideoWriter(str(self._partial), coding, self.fps, (width, height))
            if not self._writer.isOpened():
                self._writer = None
                raise OSError(f'{self.path} can not be written: no rights, or a full disk')
        self.num_frames += 1
        self._writer.write(np.ascontiguousarray(picture[:height, :width, ::-1]))
