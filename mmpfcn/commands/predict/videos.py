"""A video or a camera, frame by frame."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from io import FileIO
from itertools import islice
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.progress import track

from mmpfcn import PanopticInferencer, PanopticResult
from mmpfcn.formats.atomic_files import append_line, write_atomic
from mmpfcn.formats.inputs import Input
from mmpfcn.formats.pixels import preview
from mmpfcn.formats.read_ahead import read_ahead
from mmpfcn.formats.video_file import VideoFile
from mmpfcn.formats.videos import Video, open_video
from mmpfcn.structures import Tracker

from .records import RECORDS, Output, Records, identity

KEPT_EVERY = 25  # frames, after which a video that is stopped can go on


def run_video(inferencer: PanopticInferencer, item: Input, output: Output) -> int:
    """Write ``<stem>.mp4``, at the frame rate of the input, and ``<stem>.jsonl``.

    A finished video is left out. One that Ctrl-C ends, or that is cut off, has the frames so far;
    the next run goes on behind them. Gives 1 if the input could not be read or its video not be
    written.
    """
    records = Records(output.folder / RECORDS, [item])
    if item in records:
        print(f'{item.name} is finished already')
        return 0
    kept = Kept(output.folder, item)
    try:
        (item,) = records.begin([item])
        with open_video(item.source, item.name) as video:
            num_frames = _segment_frames(inferencer, item, video, output, kept)
        if isinstance(item.source, str):  # a camera is never finished
            records.add(dict(stem=item.stem, frames=num_frames))
            kept.path.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # the others may be better
        print(f'not finished: {error}', file=sys.stderr)
        return 1
    finally:
        records.close()
    print(f'{item.name}: {num_frames} frames, {output.folder / item.stem}.jsonl')
    return 0


class Kept:
    """What a stopped run leaves of a video: its lines, and how many of them count.

    ``frames`` of the lines are finished, with what the tracker knew behind them.
    """

    def __init__(self, folder: Path, item: Input) -> None:
        self.path = folder / RECORDS / 'videos' / f'{item.stem}.json'
        target = folder / item.stem
        self.lines = target.with_name(f'{target.name}.jsonl')
        self._source = identity(item)
        self._is_file = isinstance(item.source, str)
        self.frames, self.tracker, self._end = 0, None, 0
        try:
            begun = json.loads(self.path.read_bytes())
            with self.lines.open('rb') as file:
                is_whole = sum(1 for _ in islice(file, begun['frames'])) == begun['frames']
                end = file.tell()
            if is_whole and begun['source'] == self._source:
                self.frames, self.tracker, self._end = begun['frames'], begun['tracker'], end
        except (OSError, ValueError, TypeError, KeyError):
            pass  # there is none, or it is damaged

    def open(self) -> FileIO:
        """The lines, to write others behind those that count."""
        self.lines.parent.mkdir(parents=True, exist_ok=True)
        lines = self.lines.open('ab', buffering=0)
        lines.truncate(self._end)
        return lines

    def note(self, frames: int, tracker: Tracker | None) -> None:
        """So many lines are on the disk."""
        if self._is_file and frames % KEPT_EVERY == 0:
            known = None if tracker is None else tracker.state()
            begun = dict(source=self._source, frames=frames, tracker=known)
            write_atomic(self.path, json.dumps(begun).encode())


def _segment_frames(
    inferencer: PanopticInferencer, item: Input, video: Video, output: Output, kept: Kept
) -> int:
    """Number of frames. Reading, the network and writing are at work at the same time."""
    tracker = Tracker.from_state(kept.tracker) if kept.tracker else Tracker()
    tracker = tracker if output.track else None
    with VideoFile(output.folder / f'{item.stem}.mp4', video.fps) as file, kept.open() as lines:
        if kept.frames:
            print(f'{item.name}: {kept.frames} frames are finished already')
            _go_over(inferencer, islice(video.frames, kept.frames), kept.lines, file, output)
        frames = (
            Input(f'{item.name}#{number}', f'{item.stem}/{number:06d}', frame)
            for number, frame in enumerate(video.frames, kept.frames)
        )
        left = video.num_frames and max(video.num_frames - kept.frames, 0)
        num_frames = kept.frames
        stream = inferencer.stream(frames, instances=output.instances)
        with closing(read_ahead(stream)) as results:
            for result in track(results, escape(item.name), left):
                if tracker is not None:
                    result.follow(tracker)
                if output.pictures:
                    file.add(result.draw(output.alpha))
                append_line(lines, json.dumps(result.to_record()).encode() + b'\n')
                num_frames += 1
                kept.note(num_frames, tracker)
    return num_frames


def _go_over(
    inferencer: PanopticInferencer,
    frames: Iterator[np.ndarray],
    lines: Path,
    file: VideoFile,
    output: Output,
) -> None:
    """Draw what was finished before: frames are (H, W, 3) uint8 BGR, lines what was found.

    On the pixels that the network saw, as the others are.
    """
    with lines.open('rb') as found:
        for frame, line in zip(frames, found, strict=False):
            if output.pictures:
                seen = preview(inferencer.rule.fit(frame, 'of a video'))
                image = np.ascontiguousarray(seen[..., ::-1])
                record, meta = json.loads(line), inferencer.dataset_meta
                file.add(PanopticResult.from_record(record, image, meta).draw(output.alpha))
