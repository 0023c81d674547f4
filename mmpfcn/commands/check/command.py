"""Check a data set in COCO's panoptic format, and count what it holds.

    python tools/misc/check_dataset.py configs/panoptic_fcn/r50_coco.py --split train
    python tools/misc/check_dataset.py data/x/annotations/panoptic_val.json --images data/x/val

Every image and PNG is read. For each kind of problem the report says how often it occurs and
where, what a training run does with it, and what to do. Nothing is changed. Exit code 0: a run
would be right; 1: it would stop or be silently wrong; 2: wrong usage.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from tqdm import tqdm

from mmpfcn.apis.configs import find_config, read_config
from mmpfcn.datasets import PanopticDataset

from ..options import (
    add_config_options,
    add_workers,
    new_parser,
    require_out,
    write_or_exit,
    wrong_ends,
)
from ..workers import map_in_processes
from .annotations import check_categories, make_jobs, pair, read_json
from .images import check_image
from .problems import AT_START, KINDS, Findings, Problem
from .report import Statistics, finding_lines, report_json, source_lines
from .sources import Source, check_class_counts, from_config, from_json

WRONG_CONFIG = (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError)
CHUNK = 8  # images that a process checks at a time


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with a message for what can be seen to be wrong at once."""
    if args.source.suffix != '.json':
        with wrong_ends(parser, kinds=(FileNotFoundError,)):
            args.source = find_config(str(args.source))
    elif not args.source.is_file():
        parser.error(f'{args.source} is not a file (looked for in {Path.cwd()})')
    if args.workers < 1:
        parser.error(f'--workers got {args.workers}, expected at least 1')
    is_json = args.source.suffix == '.json'
    for name in ('split', 'cfg_options') if is_json else ('images', 'png'):
        if getattr(args, name) is not None:
            option, other = name.replace('_', '-'), 'CONFIG' if is_json else 'JSON'
            parser.error(f'--{option} goes with a {other}, but {args.source} is none')
    for option, folder in (('images', args.images), ('png', args.png)):
        if folder is not None and not folder.is_dir():
            parser.error(f'--{option} {folder} is not a folder (looked for in {Path.cwd()})')
    if args.out is not None:
        require_out(parser, args.out)


def find_sources(parser: argparse.ArgumentParser, args: argparse.Namespace) -> tuple[list, dict]:
    """The data sets to check, and the config of the model (empty for a JSON)."""
    try:
        if args.source.suffix == '.json':
            return [from_json(args.source, args.images, args.png)], {}
        cfg = read_config(str(args.source))
        cfg.merge_from_dict(args.cfg_options or {})
        return from_config(cfg, args.split or 'train'), cfg.get('model') or {}
    except WRONG_CONFIG as error:
        parser.error(f'{args.source}: {error}')


def check_source(
    source: Source, model: Mapping, workers: int, findings: Findings
) -> Statistics | None:
    """Add the problems of a data set, with all its files, to the findings.

    ``model`` is its config, for its class counts, and may be empty. Gives what the data set holds;
    None if its JSON can not be used.
    """
    before = _stops_at_start(findings)
    try:
        content = read_json(source.json, findings)
    except (ValueError, OSError) as error:
        findings.add([Problem('json', str(error))])
        return None
    classes = check_categories(content['categories'], source.metainfo, source.json, findings)
    check_class_counts(model, classes, findings)
    pairs = pair(content, source.json, findings)
    jobs = make_jobs(pairs, classes, source.images, source.pngs, findings)
    statistics = Statistics(classes, source.scale_ranges)
    check = partial(
        check_image, num_things=classes.num_things, resized=source.resized, rule=source.rule
    )
    with tqdm(total=len(pairs), unit='image', disable=None, leave=False) as bar:
        for result in map_in_processes(check, jobs, workers, CHUNK):
            findings.add(result.problems)
            statistics.add(result)
            bar.update()
    if _stops_at_start(findings) == before:
        findings.add(_load(source))
    return statistics


def _stops_at_start(findings: Findings) -> int:
    """How much was found that stops a run at its start."""
    kinds = ('no_annotations', *(kind for kind in KINDS if KINDS[kind].effect == AT_START))
    return sum(findings.counts[kind] for kind in kinds)


def _load(source: Source) -> list[Problem]:
    """Read the annotations as a run does: what it says where it stops."""
    try:
        PanopticDataset(
            ann_file=str(source.json),
            metainfo=source.metainfo or None,
            data_prefix=dict(img=str(source.images), seg=str(source.pngs)),
            filter_cfg=source.filter_cfg,
            test_mode=source.test_mode,
            serialize_data=False,
        )
    except (OSError, TypeError, ValueError) as error:
        return [Problem('start', str(error))]
    return []


def check_same_classes(
    sources: Sequence[Source], held: Sequence[Statistics | None], findings: Findings
) -> None:
    """A run joins data sets of the same classes, in the same order."""
    read = [
        (x.json, x_held.classes.names) for x, x_held in zip(sources, held, strict=True) if x_held
    ]
    for path, names in read[1:]:
        if names != read[0][1]:
            text = f'{path} has the classes {[*names]}, which are not those of {read[0][0]}'
            findings.add([Problem('metainfo', text)])


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Check, print and write what was found; returns the exit code."""
    to_check, model = find_sources(parser, args)
    findings, held = Findings(), []
    for source in to_check:
        held.append(check_source(source, model, args.workers, findings))
        print('\n'.join(source_lines(source, held[-1])))
    check_same_classes(to_check, held, findings)
    print('\n'.join(finding_lines(findings)))
    if args.out is not None:
        write_or_exit(parser, args.out, report_json(to_check, held, findings), 'Report')
    return int(findings.unfit)


def main(arguments: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('source', type=Path, metavar='CONFIG|JSON', help='config file, or panoptic JSON')
    add(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder of the images of a JSON; default: X/NAME for X/annotations/panoptic_NAME.json',
    )
    add(
        '--png',
        type=Path,
        metavar='DIR',
        help='folder of the PNGs of a JSON; default: its path without .json',
    )
    splits = ['train', 'val', 'test']
    add('--split', choices=splits, help='data set of a CONFIG; default: train')
    add_config_options(parser, 'train_dataloader.dataset.data_root=data/coco')
    add_workers(parser, int)
    add('--out', type=Path, metavar='FILE', help='JSON file for all of the report')
    args = parser.parse_args(arguments)
    check_arguments(parser, args)
    try:
        return check(parser, args)
    except KeyboardInterrupt:
        print('\nInterrupted: the data set is not checked to its end.', file=sys.stderr)
        return 130
    except (BrokenProcessPool, MemoryError):
        fewer = max(1, args.workers // 2)
        print(
            f'A process was killed or found no memory: use fewer, such as --workers {fewer}',
            file=sys.stderr,
        )
        return 2
