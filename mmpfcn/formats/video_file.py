"""A video that is written: there when it is complete, or has what could be written."""

import os
from glob import escape
from pathlib import Path

import cv2
import numpy as np

from .atomic_files import temporary_prefix
from .videos import is_text

MAX_TICKS = 2**16 - 1
"""A frame rate is a fraction: so many ticks a second at most, by 1, 10, 100 or 1000."""


def writable_rate(fps: float) -> float:
    """The nearest frame rate with up to three decimals that MPEG-4's time base of 16 bits takes."""
    fps = min(max(fps, 0.01), MAX_TICKS)
    decimals = next(d for d in (3, 2, 1, 0) if round(fps * 10**d) <= MAX_TICKS)
    return round(fps, decimals)


class VideoFile:
    """An MP4 that gets its name when it is closed, also after an error: what is written plays.

    The path ends in ``.mp4``; ValueError where it is not UTF-8, OSError where it can not be
    written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, writable_rate(fps)
        self._partial = path.with_name(f'{temporary_prefix(path.name)}{os.getpid()}.partial.mp4')
        self._writer: cv2.VideoWriter | None = None
        self.num_frames = 0
        if not is_text(str(path)):
            raise ValueError(f'{path} can not be written, as it is not UTF-8: rename the folder')
        path.parent.mkdir(parents=True, exist_ok=True)
        for rest in path.parent.glob(f'{escape(temporary_prefix(path.name))}*.partial.mp4'):
            rest.unlink(missing_ok=True)  # of a run that was killed

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
