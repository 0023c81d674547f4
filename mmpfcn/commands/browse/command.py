"""Look at a data set as the training sees it: its ground truth and what the network is taught.

    python tools/analysis_tools/browse_dataset.py configs/panoptic_fcn/r50_coco.py --index-page
    python tools/analysis_tools/browse_dataset.py configs/panoptic_fcn/r50_coco.py --targets

Each picture shows an image as the config's pipeline makes it, and the ground truth on it. Light and
dark stripes are void. A class in stripes is a crowd or, behind a pipeline that drops objects, what
is left of one.
"""

import argparse
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from rich.progress import track

from mmpfcn.datasets.inner_datasets import metainfo_of
from mmpfcn.formats.panoptic_png import write_atomic
from mmpfcn.formats.safe_names import name_below
from mmpfcn.visualization.colors import class_palette
from mmpfcn.visualization.ground_truth import thing_labels

from ..options import add_config_options, from_0, load_config, new_parser, wrong_ends
from ..page import fill_template, thumbnail
from .pictures import Browser
from .targets import build_target_pipeline

SPLITS = ('train', 'val', 'test')
WRONG_FILE = (OSError, ValueError, AssertionError)
INDEX = 'index.html'
LEGEND = 'Light and dark stripes are void, stripes in the colour of a class are crowds.'


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('config', help='config file, such as configs/panoptic_fcn/r50_coco.py')
    add('--split', choices=SPLITS, default='train')
    one_of = parser.add_mutually_exclusive_group().add_argument
    one_of('--num', type=from_0, default=20, help='so many images, drawn at random; 0 is all')
    one_of('--indices', type=from_0, nargs='+', help='these images, counted from 0')
    add('--out-dir', type=Path, help='default: <work dir of the config>/browse_<split>')
    add(
        '--targets',
        action='store_true',
        help='also show what the network is taught: objects, centres and regions of each level',
    )
    add('--original', action='store_true', help='also show the files, without the pipeline')
    add('--index-page', action='store_true', help=f'also write {INDEX} with all pictures')
    add('--seed', type=from_0, default=0, help='of the choice of images and the augmentation')
    add_config_options(parser, 'train_dataloader.dataset.data_root=my/data/')
    return parser


def build_dataset(parser: argparse.ArgumentParser, cfg: Config, split: str) -> BaseDataset:
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        has = [name for name in SPLITS if cfg.get(f'{name}_dataloader')]
        parser.error(f'the config has no {split}_dataloader, only those of: {", ".join(has)}')
    with wrong_ends(parser, f'the {split} data set can not be built: '):
        dataset = DATASETS.build(loader.dataset)
        metainfo = metainfo_of(dataset)
    if not metainfo.get('classes'):
        parser.error(f'{type(dataset).__name__} has no classes: give it metainfo=dict(classes=...)')
    return dataset


def choose(parser: argparse.ArgumentParser, args: argparse.Namespace, size: int) -> list[int]:
    if args.indices is None:
        if args.num == 0 or args.num >= size:
            return list(range(size))
        rng = np.random.default_rng(args.seed)
        return sorted(rng.choice(size, args.num, replace=False).tolist())
    if max(args.indices) >= size:
        parser.error(
            f'--indices: there is no image {max(args.indices)}, the {args.split} split has {size} '
            '(after its filter_cfg), counted from 0'
        )
    return list(dict.fromkeys(args.indices))


def write(parser: argparse.ArgumentParser, path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except OSError as error:
        reason = f'{path} can not be written ({error}): give another --out-dir'
        parser.exit(1, f'\n{parser.prog}: error: {reason}\n')


def class_groups(metainfo: dict, counts: Counter) -> dict[str, list[tuple]]:
    """Name, colour and number of segments of the classes, in groups if the data set has some."""
    things, palette = thing_labels(metainfo), class_palette(metainfo)
    groups = {}
    for label, name in enumerate(metainfo['classes']):
        group = 'things' if label in things else 'stuff'
        group = group if 'thing_classes' in metainfo else 'classes'
        groups.setdefault(group, []).append((name, palette[label], counts[label]))
    return groups


def main(argv: list[str] | None = None) -> None:
    parser = make_parser()
    args = parser.parse_args(argv)
    cfg = load_config(parser, args)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    dataset = build_dataset(parser, cfg, args.split)
    with wrong_ends(parser, '--targets: '):
        target_pipeline = build_target_pipeline(cfg) if args.targets else None
    browser = Browser(dataset, target_pipeline, args.original)
    indices = choose(parser, args, len(dataset))
    folder = args.out_dir or Path(cfg.work_dir, f'browse_{args.split}')
    cards, counts = [], Counter()
    for index in track(indices, 'Images'):
        # for each image: its picture does not depend on the others
        set_random_seed((args.seed + index) % 2**32)
        try:
            picture = browser.draw(index)
        except WRONG_FILE as error:
            parser.exit(1, f'\n{parser.prog}: error: image {index} of {args.split}: {error}\n')
        name = name_below(f'{index:06d}_{Path(picture.name).stem}.png')
        write(parser, folder / name, cv2.imencode('.png', picture.image[..., ::-1])[1].tobytes())
        title, small = f'{index}: {picture.name}', thumbnail(picture.preview)
        cards.append(dict(file_name=name, thumbnail=small, title=title, facts=picture.facts))
        counts.update(picture.labels)
    print(f'{len(cards)} pictures: {folder}')
    if args.index_page:
        note = f'{len(indices)} of {len(dataset)} images of the {args.split} split. {LEGEND}'
        page = fill_template(
            'browse.html',
            title=f'{Path(args.config).stem}: {args.split}',
            note=note,
            groups=class_groups(metainfo_of(dataset), counts),
            num_classes=len(metainfo_of(dataset)['classes']),
            cards=cards,
        )
        write(parser, folder / INDEX, page.encode())
        print(f'page: {folder / INDEX}')
