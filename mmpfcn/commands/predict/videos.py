"""A video or a camera, frame by frame."""

import json
import sys

from rich.markup import escape
from rich.progress import track

from mmpfcn import PanopticInferencer
from mmpfcn.formats.coco_results import coco_record
from mmpfcn.formats.inputs import Input
from mmpfcn.formats.video_file import VideoFile
from mmpfcn.formats.videos import Video, open_video

from .records import RECORDS, Output, Records


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
