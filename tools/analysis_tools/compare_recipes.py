"""Does it help? Train a config and others with the same seeds, and give the mean difference.

    python tools/analysis_tools/compare_recipes.py BASE CONFIG... --out FOLDER --iterations 400

Each run trains from the start and is measured on the validation set at its end. Its line in
FOLDER/runs.jsonl says what came out; a run that has one is not repeated, so a stopped comparison
goes on, and several processes can share the seeds. The table has the mean over the seeds, and the
mean difference to BASE of runs with the same seed with its 95 % interval (Student's t).

With --seconds instead of --iterations every config trains as long: 20 steps of each are measured
first, twice by turns, which wants a machine where nothing else runs. CONFIG may also be mmdet's
panoptic-fpn, maskformer or mask2former, which take all of BASE but its model; the latter two have
the optimiser of mmdet's config.
"""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from benchmarking.candidates import PEERS
from benchmarking.peers import peer_config
from mmengine.config import Config
from scipy import stats

from mmpfcn.apis.configs import read_config
from mmpfcn.commands.options import (
    add_config_options,
    exit_if_refused,
    from_0,
    from_1,
    new_parser,
    require_out,
    wrong_ends,
)
from mmpfcn.commands.processes import build_runner

FIELDS = ('config', 'seed', 'iterations', 'seconds', 'metrics')


def recipe(base: str, name: str, options: dict) -> Config:
    """The config of a run, by name or file; a peer is made of the base."""
    cfg = peer_config(read_config(base), name) if name in PEERS else read_config(name)
    cfg.merge_from_dict(options)
    if 'max_iters' not in cfg.get('train_cfg', {}):
        raise ValueError(f'{name} has no train_cfg.max_iters: its training is to count iterations')
    return cfg


def set_length(cfg: Config, iterations: int) -> None:
    """Make a run that long: schedules that end with it end with it still, and what comes before,
    as a warm-up, takes a fifth of it at most.
    """
    for schedule in cfg.param_scheduler:
        ends = schedule.end >= cfg.train_cfg.max_iters
        schedule.end = iterations + 1 if ends else min(schedule.end, 1 + max(1, iterations // 5))
    cfg.train_cfg.max_iters = iterations
    cfg.train_cfg.val_interval = iterations
    cfg.default_hooks.checkpoint.interval = iterations


def run(cfg: Config, seed: int, iterations: int, folder: str) -> dict:
    """Train and measure: the metrics of the validation set, and the seconds of training."""
    set_length(cfg, iterations)
    cfg.randomness = dict(seed=seed)
    cfg.work_dir = folder
    with exit_if_refused():
        runner = build_runner(cfg, 'train_loop', 'val_loop')
        runner.train()
    scalars = runner.message_hub.log_scalars
    metrics = {key[4:]: x.current() for key, x in scalars.items() if key.startswith('val/')}
    times = scalars['train/time'].data[0]
    return dict(
        iterations=iterations,
        seconds=round(float(times.sum()), 1),
        step=round(float(np.median(times)), 4),
        metrics={key: round(float(x), 5) for key, x in metrics.items() if np.isfinite(x)},
    )


def apart(*arguments: object) -> dict:
    """:func:`run` in a process of its own: mmengine keeps names of runs for the life of one."""
    with ProcessPoolExecutor(1, get_context('fork')) as pool:
        return pool.submit(run, *arguments).result()


def lengths(cfgs: dict[str, Config], seconds: float, out: Path) -> dict[str, int]:
    """Iterations of each config in ``seconds``; its step is measured once for a folder."""
    file = out / 'steps.json'
    known = json.loads(file.read_text()) if file.is_file() else {}
    for i, name in enumerate([name for name in cfgs if name not in known] * 2):
        cfg = Config(cfgs[name].to_dict())
        cfg.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
        step = apart(cfg, 0, 20, str(out / f'length_{i}'))['step']
        known[name] = min(step, known.get(name, step))
    file.write_text(json.dumps(known, indent=1))
    return {name: max(1, round(seconds / known[name])) for name in cfgs}


def difference(ours: Sequence[float], base: Sequence[float]) -> str:
    """The mean of paired differences with half of its 95 % interval."""
    found = np.subtract(ours, base)
    if len(found) < 2:
        return f'{found.mean():+.2f}'
    half = stats.t.ppf(0.975, len(found) - 1) * stats.sem(found)
    return f'{found.mean():+.2f} ± {half:.2f}'


def table(lines: Sequence[dict], names: Sequence[str], metrics: Sequence[str]) -> str:
    """Markdown: a row per config, over the seeds that it shares with the first."""
    runs = {(line['config'], line['seed']): line for line in lines}
    head = [f'{metric} | difference' for metric in metrics]
    rows = [f'| config | seeds | iterations | seconds | {" | ".join(head)} |']
    rows.append('|---' * (4 + 2 * len(metrics)) + '|')
    for name in names:
        seeds = [s for n, s in runs if n == name and (names[0], s) in runs]
        if not seeds:
            continue
        ours, base = ([runs[n, s] for s in seeds] for n in (name, names[0]))
        cells = [Path(name).stem, str(len(seeds)), str(ours[0]['iterations'])]
        cells.append(f'{np.mean([line["seconds"] for line in ours]):.0f}')
        for metric in metrics:
            x, y = ([line['metrics'].get(metric, 0.0) for line in part] for part in (ours, base))
            cells += [f'{np.mean(x):.2f}', '' if name == names[0] else difference(x, y)]
        rows.append(f'| {" | ".join(cells)} |')
    return '\n'.join(rows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument('base', help='config file or name')
    parser.add_argument('configs', nargs='*', help=f'others, or {", ".join(PEERS)}')
    parser.add_argument('--out', required=True, help='folder of the runs')
    parser.add_argument('--seeds', type=from_0, nargs='+', default=list(range(5)))
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument('--iterations', type=from_1, help='of every run')
    length.add_argument('--seconds', type=float, help='of every run')
    parser.add_argument('--metrics', nargs='+', default=['coco_panoptic/PQ'])
    add_config_options(parser, 'val_dataloader.dataset.indices=50')
    args = parser.parse_args(argv)
    names, options, out = [args.base, *args.configs], args.cfg_options or {}, Path(args.out)
    if args.seconds is not None and not args.seconds > 0:
        parser.error(f'--seconds {args.seconds}, expected more than 0')
    with wrong_ends(parser):
        cfgs = {name: recipe(args.base, name, options) for name in names}
        require_out(parser, out / 'runs.jsonl')
        out.mkdir(parents=True, exist_ok=True)
    if args.iterations:
        iterations = dict.fromkeys(names, args.iterations)
    else:
        iterations = lengths(cfgs, args.seconds, out)
    file = out / 'runs.jsonl'
    require_lengths(file, iterations)
    for seed in args.seeds:
        for name in names:
            if (name, seed) in {(line['config'], line['seed']) for line in read(file)}:
                continue
            cfg = recipe(args.base, name, options)
            folder = str(out / f'{Path(name).stem}_{seed}')
            result = apart(cfg, seed, iterations[name], folder)
            with file.open('a') as stream:
                stream.write(json.dumps(dict(config=name, seed=seed, **result)) + '\n')
    lines = read(file)
    for name in names[1:]:
        if alone := unpaired(lines, names[0], name):
            seeds = ' '.join(map(str, alone))
            print(f'left out, without a pair: {name} of seed {seeds}; for it --seeds {seeds}')
    known = sorted({metric for line in lines for metric in line['metrics']})
    for metric in args.metrics:
        if metric not in known:
            sys.exit(f'--metrics {metric} is none of those measured: {", ".join(known)}')
    print(table(lines, names, args.metrics))


def unpaired(lines: Sequence[dict], base: str, name: str) -> list[int]:
    """Seeds of a config with which the base was not trained."""
    seeds = {key: {line['seed'] for line in lines if line['config'] == key} for key in (base, name)}
    return sorted(seeds[name] - seeds[base])


def require_lengths(file: Path, iterations: dict[str, int]) -> None:
    """Runs of another length than those of before are no part of one comparison."""
    for line in read(file):
        expected = iterations.get(line['config'], line['iterations'])
        if line['iterations'] != expected:
            sys.exit(
                f'{file} has a run of {line["config"]} with {line["iterations"]} iterations, '
                f'expected {expected}: ask for the same length, or choose another --out'
            )


def read(file: Path) -> list[dict]:
    """The lines of the runs that ended."""
    lines = []
    for number, text in enumerate(file.read_text().splitlines() if file.is_file() else [], 1):
        try:
            line = json.loads(text)
            lines.append({key: line[key] for key in FIELDS})
        except (ValueError, TypeError, KeyError) as error:
            sys.exit(
                f'{file}, line {number}, is no result of a run ({type(error).__name__}: {error}), '
                f'expected {", ".join(FIELDS)}: remove the line, and the run is repeated'
            )
    return lines


if __name__ == '__main__':
    main()
