"""What do tiles cost? PQ of a mosaic with exact ground truth, as one image and in tiles.

    python tools/analysis_tools/measure_tiles.py CONFIG CHECKPOINT --side 3072 --tiles 512 640

The images of val_dataloader, turned at random, are laid side by side. "seams" are the things of the
ground truth of which each side of a seam has a tenth or more, and which the tiles of both sides see
(IoU of 0.5 with their part): how many of them are one thing in the map. "plain" is the time of the
network for the tiles without reading, writing and joining.
"""

import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from mmpfcn import PanopticInferencer
from mmpfcn.apis.large_images import TiledPrediction
from mmpfcn.commands.options import from_1, load_config, new_parser
from mmpfcn.evaluation.panoptic_quality import (
    Segment,
    class_quality,
    count_matching,
    count_pairs,
    match_segments,
    mean_quality,
)
from mmpfcn.formats import read_image, read_panoptic_png
from mmpfcn.formats.inputs import Input
from mmpfcn.formats.raster import import_rasterio
from mmpfcn.structures.tile import Tile


def lay(dataset: dict, classes: list[str], side: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """(H, W, 3) BGR and (H, W) ids of a mosaic, and the segments; stuff is one of each class."""
    root = Path(dataset['data_root'])
    content = json.loads((root / dataset['ann_file']).read_text())
    labels = {c['id']: classes.index(c['name']) for c in content['categories']}
    things = {c['id'] for c in content['categories'] if c['isthing']}
    sizes = [(i['height'], i['width']) for i in content['images']]
    h, w = max(set(sizes), key=sizes.count)
    names = {
        i['id']: i['file_name'] for i in content['images'] if (i['height'], i['width']) == (h, w)
    }
    annotations = [a for a in content['annotations'] if a['image_id'] in names]
    rng, segments = np.random.default_rng(0), {}
    image = np.zeros((side // h * h, side // w * w, 3), np.uint8)
    ids = np.zeros(image.shape[:2], np.int32)
    for top in range(0, len(ids), h):
        for left in range(0, ids.shape[1], w):
            annotation = annotations[rng.integers(len(annotations))]
            turn = np.s_[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
            cell = np.s_[top : top + h, left : left + w]
            file = root / dataset['data_prefix']['img'] / names[annotation['image_id']]
            image[cell] = read_image(file)[turn]
            seg = root / dataset['data_prefix']['seg'] / annotation['file_name']
            found = read_panoptic_png(str(seg))[turn]
            for info in annotation['segments_info']:
                segment = Segment(labels[info['category_id']], bool(info.get('iscrowd', 0)))
                is_new = info['category_id'] in things or segment not in segments.values()
                known = {s: id_ for id_, s in segments.items()}
                id_ = len(segments) + 1 if is_new else known[segment]
                segments[id_] = segment
                ids[cell][found == info['id']] = id_
    return image, ids, segments


def quality(
    truth: np.ndarray, segments: dict, ids: np.ndarray, infos: list, num: int
) -> np.ndarray:
    """PQ of all classes in percent."""
    found = {info['id']: Segment(info['label']) for info in infos}
    matching = match_segments(*count_pairs(truth, ids), segments, found)
    return 100 * mean_quality(class_quality(count_matching(matching, num)))[0][0]


def count_seams(tiles: TiledPrediction, truth: np.ndarray, things: list[int], ids: np.ndarray):
    """Things that are seen on both sides of a seam, and those of them that are one."""
    sides: dict[int, list[int]] = {}
    areas = np.bincount(truth.ravel())
    for number, (window, core) in enumerate(
        zip(tiles.tiling.windows, tiles.tiling.cores, strict=True)
    ):
        tile = Tile.load(tiles.path(number))
        part = truth[window.top : window.bottom, window.left : window.right]
        here = core.inside(window)
        in_core = np.bincount(part[here].ravel(), minlength=len(areas))
        for id_ in np.intersect1d(np.flatnonzero(in_core), things):
            if not 0.1 * areas[id_] <= in_core[id_] < areas[id_]:
                continue
            mask = part == id_
            seen = tile.index == 1 + np.bincount(tile.index[mask], minlength=2)[1:].argmax()
            if 2 * (mask & seen).sum() >= (mask | seen).sum():
                block = ids[core.top : core.bottom, core.left : core.right]
                shown = np.bincount(block[(mask & seen)[here]], minlength=1).argmax()
                sides.setdefault(int(id_), []).append(shown)
    crossing = [found for found in sides.values() if len(found) > 1]
    return len(crossing), sum(len(set(found)) == 1 for found in crossing)


def main() -> None:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('config')
    add('checkpoint')
    add('--side', type=from_1, default=3072, help='of the mosaic, in pixels')
    add('--tiles', type=from_1, nargs='+', default=[512, 640], help='sides; a quarter is shared')
    parser.set_defaults(cfg_options={'model.test_cfg.max_per_img': 4000})
    args = parser.parse_args()
    cfg = load_config(parser, args)
    inferencer = PanopticInferencer(cfg, args.checkpoint, show_progress=False)
    classes = list(inferencer.dataset_meta['classes'])
    image, truth, segments = lay(cfg.val_dataloader.dataset, classes, args.side)
    num_things = len(inferencer.dataset_meta['thing_classes'])
    things = [i for i, s in segments.items() if s.label < num_things and not s.is_crowd]
    print(f'{image.shape[1]} x {image.shape[0]} pixels, {len(things)} things')
    start = time.perf_counter()
    (result,) = inferencer.stream([image])
    seconds = time.perf_counter() - start
    whole = quality(truth, segments, result.panoptic_seg, result.segments_info, len(classes))
    print(f'whole image: PQ {whole:.2f}, {seconds:.1f} s')
    for side in args.tiles:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'mosaic.tif')
            cv2.imwrite(str(path), image)
            tiles = TiledPrediction(
                inferencer, Input(path.name, 'mosaic', path), Path(folder), side, side // 4
            )
            inputs = [tiles.read(number)[0] for number in tiles.numbers]
            times = [time.perf_counter()]
            for _ in inferencer.stream(inputs):
                pass
            times.append(time.perf_counter())
            tiles.predict(batch_size=1)
            times.append(time.perf_counter())
            joined = tiles.join(polygons=False)
            times.append(time.perf_counter())
            with import_rasterio().open(joined.panoptic) as file:
                ids = file.read(1)
            infos = [json.loads(line) for line in joined.segments.open()]
            found = quality(truth, segments, ids, infos, len(classes))
            crossing, one = count_seams(tiles, truth, things, ids)
            plain, predicted, join = np.diff(times)
            print(
                f'{len(inputs)} tiles of {side}: PQ {found:.2f} ({found - whole:+.2f}), '
                f'seams {one} of {crossing}, plain {plain:.1f} s, tiles {predicted:.1f} s, '
                f'joining {join:.1f} s'
            )


if __name__ == '__main__':
    main()
