"""Panoptic segmentation of images, folders, videos or a camera.

    mmpfcn predict photo.jpg --model NAME_OR_PATH

INPUT is an image, a folder, a pattern such as 'photos/**/*.jpg', a text file with a path in each
line, an address, a video, or the number of a camera. Images give pictures (vis/), maps of segment
ids (panoptic/) and panoptic.json, in COCO's panoptic format; a video gives a video and its segments
as JSON lines.

The same command again goes on where it was stopped. Started by torchrun or Slurm, the processes, on
one machine or several with a common folder, share the images:

    torchrun --nproc_per_node 8 tools/demo.py photos --config ... --checkpoint ... --out-dir results

An image of any size is cut into tiles (--tile 1024) and gives one map (panoptic/*.tif), and its
segments as JSON lines.
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config

from mmpfcn import PanopticInferencer
from mmpfcn.apis.checkpoint import config_of, file_hash, read_checkpoint
from mmpfcn.apis.large_images import check_tile
from mmpfcn.formats.inputs import Input, list_files, require_one, require_untouched
from mmpfcn.formats.raster import import_rasterio
from mmpfcn.structures.tiling import Tiling, usual_overlap

from .. import options
from .images import run_images
from .records import RECORDS, Output, Records, device_of_process, is_moving, open_output, path_of
from .tiles import Tiles, run_tiles
from .videos import run_video

INTERRUPTED = 130  # exit status after Ctrl-C, as shells have it


def make_parser() -> argparse.ArgumentParser:
    parser = options.new_parser(__doc__)
    add = parser.add_argument
    add('inputs', nargs='+', metavar='INPUT')
    add('--config', help='config file, or name of a model; default: the config in the checkpoint')
    add(
        '--model',
        '--checkpoint',
        required=True,
        metavar='NAME_OR_PATH',
        dest='checkpoint',
        help='a checkpoint or its address, a published folder, hf://user/name, or a name such as '
        'published/r50_coco_3x',
    )
    add('--out-dir', default='results', type=Path, help='folder of the results (results)')
    add('--batch-size', type=int, default=1, help='images computed at once')
    options.add_device(parser)
    options.add_accelerate(parser)
    add('--instances', action='store_true', help='write overlapping instances as well (COCO RLE)')
    add('--track', action='store_true', help='objects of a video keep their numbers and colours')
    add('--no-pictures', action='store_true', help='maps and JSON only')
    add('--alpha', type=float, default=0.6, help='opacity of the colours in pictures, 0 to 1')
    add('--tile', type=options.from_1, help='cut images into tiles with this side, in pixels')
    add('--overlap', type=options.from_1, help='pixels that tiles share; default: a quarter')
    add('--polygons', action='store_true', help='with --tile: write GeoJSON as well')
    options.add_config_options(parser, 'model.test_cfg.center_thr=0.3')
    add('--overwrite', action='store_true', help='forget the results that the folder holds')
    return parser


def build_inferencer(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> PanopticInferencer:
    options.require_checkpoint(parser, 'checkpoint', args.checkpoint)
    with options.wrong_ends(parser, kinds=(*options.WRONG, RuntimeError)):
        config = None if args.config is None else options.load_config(parser, args)
        if args.cfg_options and args.config is None:
            config = Config(config_of(read_checkpoint(args.checkpoint), args.checkpoint))
            config.merge_from_dict(args.cfg_options)
        device = args.device or device_of_process()
        flags = dict(show_progress=False, accelerate=args.accelerate)
        return PanopticInferencer(config, args.checkpoint, device, **flags)


def list_work(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[Input]:
    """All inputs, each once; a camera has its number as source."""
    cameras = [item for item in args.inputs if item.isdigit() and not Path(item).exists()]
    work = [Input(f'camera {item}', f'camera{item}', int(item)) for item in cameras]
    with options.wrong_ends(parser, kinds=options.WRONG_FILE):
        work += list_files([item for item in args.inputs if item not in cameras], args.out_dir)
        require_one(work)
    still = [item.name for item in work if not is_moving(item)]
    if args.track and still:
        parser.error(
            f'--track follows objects through videos, {still[0]} is an image: leave it out, or '
            'make a video of the images'
        )
    first: dict[str, Input] = {}  # its name is without the number of a second one
    for item in work:
        first.setdefault(path_of(item), item)
    return list(first.values())


def tiles_of(
    parser: argparse.ArgumentParser, args: argparse.Namespace, work: list[Input]
) -> Tiles | None:
    """How images are cut; None where they are not."""
    if args.tile is None:
        if args.overlap or args.polygons:
            parser.error(
                '--overlap and --polygons are of tiles: give their side, as by --tile 1024'
            )
        return None
    tiles = Tiles(args.tile, args.overlap or usual_overlap(args.tile), args.polygons)
    moving = [item.name for item in work if is_moving(item)]
    if moving or args.instances:
        what = moving[0] if moving else '--instances'
        parser.error(f'--tile is for panoptic maps of images, not for {what}')
    with options.wrong_ends(parser, kinds=(ValueError, ImportError)):
        Tiling((1, 1), tiles.tile, tiles.overlap)
        import_rasterio()
    return tiles


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors='backslashreplace')  # for names that are no text
    if args.batch_size < 1:
        parser.error(f'--batch-size {args.batch_size}, expected at least 1')
    if not 0 <= args.alpha <= 1:
        parser.error(f'--alpha {args.alpha}, expected 0 to 1')
    for path in (args.out_dir, *args.out_dir.parents):
        if path.exists() and not path.is_dir():
            parser.error(f'--out-dir {path} is a file, expected a folder')
    options.require_out(parser, args.out_dir / 'panoptic.json', '--out-dir')
    work = list_work(parser, args)
    tiles = tiles_of(parser, args, work)
    inferencer = build_inferencer(parser, args)
    settings = dict(
        checkpoint=file_hash(args.checkpoint),
        settings=str(inferencer.settings),
        pipeline=str(inferencer.pipeline),
        instances=args.instances,
        pictures=not args.no_pictures,
        alpha=args.alpha,
        tiles=tiles and list(tiles),
        track=args.track or None,  # folders of before say nothing of it
    )
    try:
        with options.wrong_ends(parser, kinds=(ValueError,)):
            if tiles is not None:
                check_tile(inferencer, tiles.tile)
            output = open_output(args.out_dir, settings, args.overwrite)
            work = Records(output.folder / RECORDS, work).named()
            require_untouched(work, output.folder)
        return run(inferencer, work, output, args.batch_size, tiles)
    except OSError as error:
        status, end = 1, f'{error}. What was finished is kept; the same command goes on'
    except KeyboardInterrupt:
        kept = f'What was finished is in {args.out_dir}; the same command goes on'
        status, end = INTERRUPTED, f'stopped. {kept}'
        print(file=sys.stderr)  # behind ^C
    print(f'{parser.prog}: {end}', file=sys.stderr)
    return status


def run(
    inferencer: PanopticInferencer,
    work: list[Input],
    output: Output,
    batch_size: int,
    tiles: Tiles | None,
) -> int:
    """Images, then videos and cameras; 1 if an input could not be used, 0 if all could."""
    images = [item for item in work if not is_moving(item)]
    videos = [item for item in work if is_moving(item)]
    if tiles is not None:
        failed = sum(run_tiles(inferencer, item, output, tiles, batch_size) for item in images)
    else:
        failed = run_images(inferencer, images, output, batch_size) if images else 0
    for item in videos[output.rank :: output.world_size]:
        failed += run_video(inferencer, item, output)
    # a status other than 0 would make a launcher stop the other processes
    return int(failed > 0 and output.world_size == 1)
