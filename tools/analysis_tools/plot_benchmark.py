"""Plots of what benchmark.py measured: stages of every model, and cost against objects or pixels.

    python tools/analysis_tools/plot_benchmark.py work_dirs/benchmark/benchmark.json

writes stages.svg beside the file, a bar for every row of the tables, and cost.svg if something was
measured with several numbers of objects or several input sizes.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import matplotlib
from benchmarking.stages import INFERENCE_STAGES, TRAINING_STAGES

matplotlib.use('svg')
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

matplotlib.rcParams['svg.fonttype'] = 'none'  # text stays text
ORDER = dict.fromkeys([*INFERENCE_STAGES, *TRAINING_STAGES])
NAMES = dict(size='input', out_size='output', batch_size='batch', dtype='', num_objects='objects')


def draw_stages(rows: Sequence[dict]) -> Figure:
    """A bar for each row, made of the medians of its stages."""
    figure, axes = plt.subplots(figsize=(9, 1.5 + 0.35 * len(rows)), layout='constrained')
    measured = {name for row in rows for run in row['stages'] for name in run}
    names = [name for name in ORDER if name in measured]
    left = [0.0] * len(rows)
    for name in names:
        widths = [median(run.get(name, 0.0) for run in row['stages']) for row in rows]
        axes.barh(range(len(rows)), widths, left=left, label=name)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(rows)), labels(rows))
    axes.invert_yaxis()
    axes.set_xlabel('seconds, median of each stage')
    axes.legend(ncols=4, fontsize='small', loc='lower left', bbox_to_anchor=(0, 1))
    return figure


def labels(rows: Sequence[dict]) -> list[str]:
    """Model and what of its setting is not the same in all rows."""
    keys = [key for key in NAMES if len({str(row['setting'][key]) for row in rows}) > 1]
    return [
        ', '.join([row['model'], *(text for key in keys if (text := describe(row, key)))])
        for row in rows
    ]


def describe(row: dict, key: str) -> str:
    value = row['setting'][key]
    if value is None:
        return ''
    if isinstance(value, list):
        value = f'{value[0]} x {value[1]}'
    return f'{NAMES[key]} {value}'.strip()


def draw_cost(rows: Sequence[dict]) -> Figure | None:
    """Time against what varies; None when neither objects nor the input size do."""
    varying = {
        'objects': lambda row: row['setting']['num_objects'],
        'megapixels of the input': lambda row: megapixels(row['setting']['size']),
    }
    varying = {
        name: value
        for name, value in varying.items()
        if len({value(row) for row in rows} - {None}) > 1
    }
    if not varying:
        return None
    figure, grid = plt.subplots(
        1, len(varying), figsize=(4.5 * len(varying), 3.5), layout='constrained', squeeze=False
    )
    for axes, (name, value) in zip(grid[0], varying.items(), strict=True):
        draw_lines(axes, rows, name, value)
    return figure


def draw_lines(
    axes: Axes, rows: Sequence[dict], name: str, value: Callable[[dict], float | None]
) -> None:
    """A line for every model whose rows differ in this value and in nothing else."""
    lines: dict[str, list[tuple[float, float]]] = {}
    key = 'num_objects' if name == 'objects' else 'size'
    fixed = [k for k in NAMES if k != key and not (key == 'size' and k == 'out_size')]
    shown = [k for k in fixed if len({str(row['setting'][k]) for row in rows}) > 1]
    for row in rows:
        if value(row) is not None:
            described = [row['model'], *(describe(row, k) for k in shown)]
            point = (value(row), median(row['seconds']))
            lines.setdefault(', '.join(filter(None, described)), []).append(point)
    for label, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), marker='o', label=label)
    axes.set_xlabel(name)
    axes.set_ylabel('seconds, median')
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize='small')


def megapixels(size: Sequence[int]) -> float:
    return size[0] * size[1] / 1e6


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('json', type=Path, help='benchmark.json')
    args = parser.parse_args(argv)
    try:
        rows = [row for row in json.loads(args.json.read_text())['times'] if not row['error']]
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f'{args.json} is not what benchmark.py wrote: {error!r}')
    if not rows:
        parser.error(f'{args.json} has no row without an error')
    for name, figure in (('stages', draw_stages(rows)), ('cost', draw_cost(rows))):
        if figure is not None:
            path = args.json.with_name(f'{name}.svg')
            figure.savefig(path)
            plt.close(figure)
            print(path)


if __name__ == '__main__':
    main()
