"""A video or a camera, frame by frame."""

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
from rich.markup import escape
from rich.progress import track

from mmpfcn import PanopticInferencer
from mmpfcn.formats.atomic_files import temporary_prefix
from mmpfcn.formats.coco_results import coco_record
from mmpfcn.formats.inputs import Input
from mmpfcn.formats.videos import Video, is_text, open_video

from .records import RECORDS, Output, Records

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


def run_video(inferencer: PanopticInferencer, item: Input, output: Output) -> int:
    """Write ``<stem>.mp4``, at the frame rate of the input, and ``<stem>.jsonl``.

    A finished video is left out. One that Ctrl-C ends, or that is cut off, has the frames so far;
    it is begun anew next time. Gives 1 if the input could not be read or its video not be written.
    """
    records = Records(output.folder / RECORDS, [item])
    if item in records:
        print(f'{item.name} is finished already')
        return 0
    try:
        (item,) = records.begin([item])
        with open_video(item.source, item.name) as video:
            num_frames = _draw_frames(inferencer, item, video, output)
        if isinstance(item.source, str):  # a camera is never finished
            records.add(dict(stem=item.stem, frames=num_frames))
    except (OSError, ValueError) as error:  # the others may be better
        print(f'not finished: {error}', file=sys.stderr)
        return 1
    finally:
        records.close()
    print(f'{item.name}: {num_frames} frames, {output.folder / item.stem}.jsonl')
    return 0


def _draw_frames(inferencer: PanopticInferencer, item: Input, video: Video, output: Output) -> int:
    """Number of frames."""
    frames = (
        Input(f'{item.name}#{number}', f'{item.stem}/{number:06d}', frame)
        for number, frame in enumerate(track(video.frames, escape(item.name), video.num_frames))
    )
    target = output.folder / item.stem
    target.parent.mkdir(parents=True, exist_ok=True)
    num_frames = 0
    with (
        VideoFile(target.with_name(f'{target.name}.mp4'), video.fps) as file,
        target.with_name(f'{target.name}.jsonl').open('w', buffering=1) as lines,
    ):
        for result in inferencer.stream(frames, instances=output.instances):
            if output.pictures:
                file.add(result.draw(output.alpha))
            lines.write(json.dumps(coco_record(result)) + '\n')
            num_frames += 1
    return num_frames
