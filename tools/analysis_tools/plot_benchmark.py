"""Plots of what benchmark.py measured: stages of every model, and cost against objects or pixels.

    python tools/analysis_tools/plot_benchmark.py work_dirs/benchmark/benchmark.json

writes stages.svg beside the file, a bar for every row of the tables, and cost.svg if something was
measured with several numbers of objects or several input sizes. With --runs, a file of
compare_recipes.py, also frontier.svg: the mean of a metric of our configs in both against their
time, with a line through those that no other one beats in both.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, median

import matplotlib
from benchmarking.stages import INFERENCE_STAGES, TRAINING_STAGES
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmpfcn.commands.options import new_parser, wrong_ends

matplotlib.rcParams['svg.fonttype'] = 'none'  # text stays text
ORDER = dict.fromkeys([*INFERENCE_STAGES, *TRAINING_STAGES])
NAMES = dict(size='input', out_size='output', batch_size='batch', dtype='', num_objects='objects')


def draw_stages(rows: Sequence[dict]) -> Figure:
    """A bar for each row, made of the medians of its stages."""
    figure = Figure(figsize=(9, 1.5 + 0.35 * len(rows)), layout='constrained')
    axes = figure.subplots()
    measured = {name for row in rows for run in row['stages'] for name in run}
    names = [name for name in ORDER if name in measured]
    left = [0.0] * len(rows)
    for name in names:
        widths = [median(run.get(name, 0.0) for run in row['stages']) for row in rows]
        axes.barh(range(len(rows)), widths, left=left, label=name)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    keys = varying(rows)
    axes.set_yticks(range(len(rows)), [label(row, keys) for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel('seconds, median of each stage')
    axes.legend(ncols=4, fontsize='small', loc='lower left', bbox_to_anchor=(0, 1))
    return figure


def varying(rows: Sequence[dict]) -> list[str]:
    """Keys of what is not the same in the settings of all rows."""
    return [key for key in NAMES if len({str(row['setting'][key]) for row in rows}) > 1]


def label(row: dict, keys: Sequence[str]) -> str:
    texts = [row['model']]
    for key in keys:
        value = row['setting'][key]
        if value is not None:
            value = ' x '.join(map(str, value)) if isinstance(value, list) else value
            texts.append(f'{NAMES[key]} {value}'.strip())
    return ', '.join(texts)


def draw_cost(rows: Sequence[dict]) -> Figure | None:
    """Time against what varies; None when neither objects nor the input size do."""
    kinds = [('objects', 'num_objects', int), ('megapixels of the input', 'size', megapixels)]
    values = {key: {str(row['setting'][key]) for row in rows} - {'None'} for _, key, _ in kinds}
    kinds = [kind for kind in kinds if len(values[kind[1]]) > 1]
    if not kinds:
        return None
    figure = Figure(figsize=(4.5 * len(kinds), 3.5), layout='constrained')
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        draw_lines(axes, rows, *kind)
    return figure


def draw_lines(
    axes: Axes, rows: Sequence[dict], name: str, key: str, value: Callable[[object], float]
) -> None:
    """A line for every model whose rows differ in this value and in nothing else."""
    lines: dict[str, list[tuple[float, float]]] = {}
    fixed = [k for k in varying(rows) if k != key and not (key == 'size' and k == 'out_size')]
    for row in rows:
        if row['setting'][key] is not None:
            point = (value(row['setting'][key]), median(row['seconds']))
            lines.setdefault(label(row, fixed), []).append(point)
    for text, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), marker='o', label=text)
    axes.set_xlabel(name)
    axes.set_ylabel('seconds, median')
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize='small')


def megapixels(size: Sequence[int]) -> float:
    return size[0] * size[1] / 1e6


def draw_frontier(rows: Sequence[dict], runs: Sequence[dict], metric: str) -> Figure:
    """A point for each config that was both measured and trained, the frontier through the best.

    KeyError where a run lacks the metric, ValueError where there is no such config.
    """
    seconds = {row['model']: median(row['seconds']) for row in rows}
    values: dict[str, list[float]] = {}
    for run in runs:
        values.setdefault(Path(run['config']).stem, []).append(run['metrics'][metric])
    points = sorted((seconds[name], fmean(values[name]), name) for name in seconds.keys() & values)
    if not points:
        raise ValueError(f'none of {", ".join(seconds)} was trained: {", ".join(values)}')
    best = [p for i, p in enumerate(points) if all(p[1] > other[1] for other in points[:i])]
    figure = Figure(figsize=(6, 4), layout='constrained')
    axes = figure.subplots()
    axes.step(*zip(*[p[:2] for p in best], strict=True), where='post', color='0.7')
    for x, y, name in points:
        axes.plot(x, y, 'o')
        axes.annotate(name, (x, y), (4, 4), textcoords='offset points', fontsize='small')
    axes.set_xscale('log')
    axes.set_xlabel('seconds an image, median')
    axes.set_ylabel(metric)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument('json', type=Path, help='benchmark.json')
    parser.add_argument('--runs', type=Path, metavar='RUNS.jsonl', help='of compare_recipes.py')
    parser.add_argument('--metric', default='coco_panoptic/PQ', help='of --runs (%(default)s)')
    args = parser.parse_args(argv)
    try:
        rows = [row for row in json.loads(args.json.read_bytes())['times'] if not row['error']]
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f'{args.json} is not what benchmark.py wrote: {error!r}')
    if not rows:
        parser.error(f'{args.json} has no row without an error')
    figures = dict(stages=draw_stages(rows), cost=draw_cost(rows))
    if args.runs:
        try:
            runs = [json.loads(line) for line in args.runs.read_text().splitlines()]
            figures['frontier'] = draw_frontier(rows, runs, args.metric)
        except (OSError, ValueError, KeyError, TypeError) as error:
            parser.error(f'--runs {args.runs} has nothing to draw: {error!r}')
    for name, figure in figures.items():
        if figure is not None:
            path = args.json.with_name(f'{name}.svg')
            with wrong_ends(parser, f'{path} can not be written: ', (OSError,)):
                figure.savefig(path)
            print(path)


if __name__ == '__main__':
    main()
