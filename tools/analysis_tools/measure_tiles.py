"""What do tiles cost? PQ of a mosaic with exact ground truth, as one image and in tiles.

    python tools/analysis_tools/measure_tiles.py CONFIG CHECKPOINT --side 3072 --tiles 512 640

The images of val_dataloader, turned at random, are laid side by side. "seams" are the things of the
ground truth of which each side of a seam has a tenth or more, and which the tiles of both sides see
(IoU of 0.5 with their part): how many of them are one thing in the map. "large" are things longer
or higher than a tile that the overview sees (IoU of 0.5): of how many one thing of the map has four
fifths of the pixels on which it has things. "plain" is the time of the network for the tiles
without reading, writing and joining. With --enlarge there are large things:

    ... --side 256 --mosaics 40 --enlarge 4 --tiles 256
"""

import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from compare_recipes import difference
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

from mmpfcn import PanopticInferencer
from mmpfcn.apis.large_images import TiledPrediction
from mmpfcn.commands.options import from_1, load_config, new_parser, wrong_ends
from mmpfcn.datasets.inner_datasets import metainfo_of
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


def lay(
    dataset: BaseDataset, classes: list[str], side: int, seed: int
) -> tuple[np.ndarray, np.ndarray, dict]:
    """(H, W, 3) BGR and (H, W) ids of a mosaic, and the segments; stuff is one of each class."""
    names, things = (metainfo_of(dataset)[key] for key in ('classes', 'thing_classes'))
    labels = [classes.index(name) for name in names]
    records = [dataset.get_data_info(i) for i in range(len(dataset))]
    sizes = [(record['height'], record['width']) for record in records]
    h, w = max(set(sizes), key=sizes.count)
    records = [record for record, size in zip(records, sizes, strict=True) if size == (h, w)]
    rng, segments = np.random.default_rng(seed), {}
    image = np.zeros((side // h * h, side // w * w, 3), np.uint8)
    ids = np.zeros(image.shape[:2], np.int32)
    for top in range(0, len(ids), h):
        for left in range(0, ids.shape[1], w):
            record = records[rng.integers(len(records))]
            turn = np.s_[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
            cell = np.s_[top : top + h, left : left + w]
            image[cell] = read_image(record['img_path'])[turn]
            found = read_panoptic_png(record['seg_map_path'])[turn]
            for info in record['segments_info']:
                segment = Segment(labels[info['category']], info['iscrowd'])
                is_new = names[info['category']] in things or segment not in segments.values()
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


def count_large(tiles: TiledPrediction, truth: np.ndarray, things: list[int], ids, infos):
    """Things larger than a tile that the overview sees, and those of them that are one."""
    overview = Tile.load(tiles.path(tiles.numbers[0]))
    seen = cv2.resize(overview.index, truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    is_thing = np.isin(ids, [info['id'] for info in infos if info['isthing']])
    number = one = 0
    for id_ in things:
        mask = truth == id_
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        if max(rows, columns) <= tiles.tiling.tile:
            continue
        view = seen == 1 + np.bincount(seen[mask], minlength=2)[1:].argmax()
        if 2 * (mask & view).sum() >= (mask | view).sum():
            number += 1
            shares = np.bincount(ids[mask & is_thing], minlength=1)
            one += 5 * shares.max() >= 4 * shares.sum() > 0
    return number, one


def predict(tiles: TiledPrediction) -> tuple[np.ndarray, list[dict], list[float]]:
    """(H, W) ids and their segments; seconds of the network, of the tiles and of joining them."""
    inputs = [tiles.read(number)[0] for number in tiles.numbers]
    times = [time.perf_counter()]
    for _ in tiles.inferencer.stream(inputs):
        pass
    times.append(time.perf_counter())
    tiles.predict(batch_size=1)
    times.append(time.perf_counter())
    joined = tiles.join(polygons=False)
    times.append(time.perf_counter())
    with import_rasterio().open(joined.panoptic) as file:
        ids = file.read(1)
    return ids, [json.loads(line) for line in joined.segments.open()], np.diff(times).tolist()


def measure(inferencer: PanopticInferencer, dataset: BaseDataset, seed: int, args) -> list[float]:
    """Print what one mosaic shows; PQ of the whole image, and of all sides of tiles."""
    classes = list(inferencer.dataset_meta['classes'])
    image, truth, segments = lay(dataset, classes, args.side, seed)
    image = cv2.resize(image, None, fx=args.enlarge, fy=args.enlarge)
    truth = truth.repeat(args.enlarge, 0).repeat(args.enlarge, 1)
    num_things = len(inferencer.dataset_meta['thing_classes'])
    things = [i for i, s in segments.items() if s.label < num_things and not s.is_crowd]
    print(f'{image.shape[1]} x {image.shape[0]} pixels, {len(things)} things')
    start = time.perf_counter()
    (result,) = inferencer.stream([image])
    seconds = time.perf_counter() - start
    whole = quality(truth, segments, result.panoptic_seg, result.segments_info, len(classes))
    print(f'whole image: PQ {whole:.2f}, {seconds:.1f} s')
    results = [whole]
    for side in args.tiles:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'mosaic.tif')
            cv2.imwrite(str(path), image)
            tiles = TiledPrediction(
                inferencer, Input(path.name, 'mosaic', path), Path(folder), side, side // 4
            )
            ids, infos, seconds = predict(tiles)
            found = quality(truth, segments, ids, infos, len(classes))
            crossing, one = count_seams(tiles, truth, things, ids)
            large, one_large = count_large(tiles, truth, things, ids, infos)
        print(
            f'{len(tiles.numbers)} tiles of {side}: PQ {found:.2f} ({found - whole:+.2f}), seams '
            f'{one} of {crossing}, large {one_large} of {large}, plain {seconds[0]:.1f} s, tiles '
            f'{seconds[1]:.1f} s, joining {seconds[2]:.1f} s',
            flush=True,
        )
        results.append(found)
    return results


def main() -> None:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('config')
    add('checkpoint')
    add('--side', type=from_1, default=3072, help='of the mosaic, in pixels')
    add('--mosaics', type=from_1, default=1, help='number of them')
    add('--enlarge', type=from_1, default=1, help='times that each is enlarged')
    add('--tiles', type=from_1, nargs='+', default=[512, 640], help='sides; a quarter is shared')
    parser.set_defaults(cfg_options={'model.test_cfg.max_per_img': 4000})
    args = parser.parse_args()
    cfg = load_config(parser, args)
    inferencer = PanopticInferencer(cfg, args.checkpoint, show_progress=False)
    with wrong_ends(parser, 'the data of val_dataloader can not be read: '):
        dataset = DATASETS.build(cfg.val_dataloader.dataset)
        metainfo_of(dataset)
    found = [measure(inferencer, dataset, seed, args) for seed in range(args.mosaics)]
    whole, *columns = zip(*found, strict=True)
    for side, column in zip(args.tiles, columns, strict=True):
        print(f'tiles of {side} against the whole images: {difference(column, whole)} PQ')


if __name__ == '__main__':
    main()
