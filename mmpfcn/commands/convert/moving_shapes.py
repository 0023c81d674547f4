"""Draw clips of moving shapes with exact ground truth, to measure the following of objects.

    python tools/dataset_converters/moving_shapes.py --out data/moving_shapes

Each clip is a video, `clip_0.mp4`; its ground truth is in COCO's panoptic format, an image for each
frame, `annotations/clip_0.json` and `annotations/clip_0/000000.png`: an object has the same id in
all frames. The same arguments give the same ground truth.
"""

import shutil
from pathlib import Path

import numpy as np

from mmpfcn.formats.panoptic_png import write_panoptic_png
from mmpfcn.formats.video_file import VideoFile

from ..options import from_0, from_1, new_parser
from .make_shapes import add_size
from .segments import measure
from .shapes.coco_format import CATEGORIES, category_id, segment_ids
from .shapes.moving import draw_clip
from .work_folder import write_json

FPS = 25


def write_clip(
    folder: Path, seed: int, number: int, num_frames: int, size: tuple[int, int]
) -> None:
    """Draw a clip; ``size`` is (H, W) in pixels."""
    name, content = f'clip_{number}', dict(images=[], annotations=[], categories=CATEGORIES)
    ids: list[int] = []
    with VideoFile(folder / f'{name}.mp4', FPS) as video:
        for frame, scene in enumerate(draw_clip(seed, number, num_frames, *size)):
            ids = ids or segment_ids(scene.segments, np.random.default_rng([seed, number]))
            png, id_map = f'{frame:06d}.png', np.array([0, *ids])[scene.segment_map]
            said = [
                dict(id=id_, category_id=category_id(segment.name), iscrowd=0)
                for id_, segment in zip(ids, scene.segments, strict=True)
            ]
            image = dict(id=frame, file_name=f'{name}.mp4#{frame}', height=size[0], width=size[1])
            content['images'].append(image)
            content['annotations'].append(
                dict(image_id=frame, file_name=png, segments_info=measure(id_map, said)[0])
            )
            write_panoptic_png(folder / 'annotations' / name / png, id_map)
            video.add(scene.image)
    write_json(folder / 'annotations' / f'{name}.json', content)


def main() -> None:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('--out', type=Path, required=True, help='folder of the clips, which is made')
    add('--clips', type=from_1, default=6, help='number of clips (%(default)s)')
    add('--frames', type=from_1, default=100, help='frames of a clip (%(default)s)')
    add_size(parser)
    add('--seed', type=from_0, default=0)
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f'--out {args.out} is there already: choose another or move it away')
    partial = args.out.with_name(f'{args.out.name}.partial')
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for number in range(args.clips):
            write_clip(partial, args.seed, number, args.frames, tuple(args.size))
        partial.rename(args.out)
    except (OSError, ValueError) as error:
        parser.error(f'--out {args.out} can not be written: {error}')
    print(f'{args.clips} clips of {args.frames} frames: {args.out}')
