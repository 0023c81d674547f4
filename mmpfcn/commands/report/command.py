"""Report of a test run: where the model is good, what goes wrong, and how the training went.

    python tools/test.py configs/panoptic_fcn/r50_coco.py CHECKPOINT --out results
    python tools/analysis_tools/report.py configs/panoptic_fcn/r50_coco.py results.panoptic.json

One HTML file that needs nothing else: PQ of each class, kinds of errors and what they cost, PQ by
size, confusions, the worst and the best images, and training curves. The ground truth is that of
the config's test_dataloader. RESULTS may also be a COCO panoptic JSON of other
code, with a folder of PNGs.
"""

import argparse
from pathlib import Path

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from rich.progress import track

from mmpfcn.datasets.inner_datasets import dataset_of, inner_datasets, metainfo_of

from .. import options
from ..page import fill_template
from ..workers import map_in_processes
from .curves import Log, draw_chart, find_logs, read_logs
from .measuring import Comparer, Job, add_up, worst_and_best
from .pictures import make_example
from .predictions import read_predictions
from .tables import report_tables

CHUNK = 4  # images that a process gets at a time


def make_parser() -> argparse.ArgumentParser:
    parser = options.new_parser(__doc__)
    add = parser.add_argument
    add('config', help='config file of the test run')
    add('results', type=Path, help='.panoptic.json of tools/test.py --out, or one of other code')
    add(
        '--png',
        type=Path,
        metavar='DIR',
        help="PNGs of a JSON; default: the JSON's path without .json",
    )
    add(
        '--log',
        type=Path,
        help='work dir of the training, or its scalars.json; default: the work dir of the config',
    )
    add('--out', type=Path, metavar='HTML', help='default: that of the results, with .html')
    add(
        '--num-images',
        type=options.from_1,
        default=6,
        help='of the worst and of the best (%(default)s)',
    )
    options.add_workers(parser)
    options.add_config_options(parser, 'test_dataloader.dataset.data_root=my/data')
    return parser


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with a message for what can be seen to be wrong at once."""
    if args.results.suffix != '.json':
        parser.error(
            f'RESULTS is {args.results}, expected the .panoptic.json of tools/test.py --out'
        )
    if not args.results.is_file():
        parser.error(f'{args.results} is not a file (looked for in {Path.cwd()})')
    args.out = args.out or args.results.with_suffix('.html')
    options.require_out(parser, args.out)


def build_dataset(parser: argparse.ArgumentParser, cfg: Config) -> BaseDataset:
    """The data set of the test run, of whose pipeline only the reading of images is used."""
    loader = cfg.get('test_dataloader')
    if loader is None:
        parser.error('the config has no test_dataloader, which says where the ground truth is')
    with options.wrong_ends(parser, 'the test data set can not be built: '):
        for inner in inner_datasets(loader.dataset):
            inner['pipeline'] = [s for s in inner.get('pipeline') or () if s['type'] == 'LoadImage']
        dataset = DATASETS.build(loader.dataset)
        metainfo = metainfo_of(dataset)
    for key in ('classes', 'thing_classes'):
        if key not in metainfo:
            parser.error(
                f'{type(dataset).__name__} has no {key} in its metainfo: a report needs a panoptic '
                'data set, such as PanopticDataset'
            )
    if not len(dataset):
        parser.error('the test data set has no images, so there is nothing to report')
    for inner in inner_datasets(dataset):
        if len(inner) and inner.get_data_info(0).get('seg_map_path') is None:
            parser.error(
                'the test data set has no panoptic annotations, so nothing can be compared: set '
                f'its ann_file, {inner.ann_file}, to those of an annotated split'
            )
    return dataset


def read_training(parser: argparse.ArgumentParser, path: Path, asked: bool) -> tuple[Log, str]:
    """The log and a sentence about it; without one it is an error only if it was asked for."""
    with options.wrong_ends(parser, '--log: ', options.WRONG_FILE):
        log = read_logs(find_logs(path))
    if log.charts:
        return log, f'From {path}.'
    if asked:
        parser.error(
            f'--log {path} has no log of a training: expected a work dir with '
            '<time>/vis_data/scalars.json, or that file'
        )
    return log, f'There is no log of a training in {path}: give --log.'


def main(argv: list[str] | None = None) -> None:
    parser = make_parser()
    args = parser.parse_args(argv)
    check_arguments(parser, args)
    cfg = options.load_config(parser, args)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    dataset = build_dataset(parser, cfg)
    log, log_note = read_training(parser, args.log or Path(cfg.work_dir), args.log is not None)
    metainfo = metainfo_of(dataset)
    is_thing = tuple(name in metainfo['thing_classes'] for name in metainfo['classes'])
    comparer = Comparer(is_thing)

    def job(index: int) -> Job:
        record = dataset.get_data_info(index)
        backend_args = getattr(dataset_of(dataset, record['img_path']), 'backend_args', None)
        return Job(index, record, predictions[index], backend_args)

    with options.wrong_ends(parser, kinds=options.WRONG_FILE):
        predictions = read_predictions(args.results, args.png, dataset)
        measured = map_in_processes(
            comparer.measure, map(job, range(len(dataset))), min(args.workers, len(dataset)), CHUNK
        )
        scores, sums = add_up(track(measured, 'Images', len(dataset)))
        worst, best = (
            [make_example(job(score.index), score, comparer, dataset) for score in chosen]
            for chosen in worst_and_best(scores, args.num_images)
        )
    page = fill_template(
        'report.html',
        title=f'{Path(args.config).stem}: report of a test run',
        note=f'{len(dataset)} images, {len(is_thing)} classes; predictions of {args.results}.',
        worst=worst,
        best=best,
        charts=map(draw_chart, log.charts),
        num_broken=log.num_broken,
        log_note=log_note,
        **report_tables(sums, metainfo, np.array(is_thing)),
    )
    options.write_or_exit(parser, args.out, page.encode(), 'page')
