"""Tables in Markdown and everything in one JSON."""

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import replace

import mmcv
import mmdet
import mmengine
import torch

import mmpfcn

from .memory import Peak
from .stages import (
    AFTER_NETWORK,
    INFERENCE_STAGES,
    NETWORK,
    TARGETS_AND_LOSSES,
    TRAINING_STAGES,
)
from .timing import Row


def conditions(device: torch.device, threads: int, warmup: int, repeats: int) -> dict:
    """Machine, versions, day, and how it is measured."""
    return {
        'date': datetime.date.today().isoformat(),
        'device': torch.cuda.get_device_name(device) if device.type == 'cuda' else 'CPU',
        'CPU': cpu_name(),
        'CPU cores': os.cpu_count(),
        'threads': threads,
        'warm-up rounds': warmup,
        'repeats': repeats,
        'Python': platform.python_version(),
        'torch': torch.__version__,
        'CUDA': torch.version.cuda or 'none',
        'mmengine': mmengine.__version__,
        'mmcv': mmcv.__version__,
        'mmdet': mmdet.__version__,
        'mmpfcn': mmpfcn.__version__,
    }


def cpu_name() -> str:
    try:
        with open('/proc/cpuinfo') as file:
            return next(line.split(':')[1].strip() for line in file if 'model name' in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def markdown(facts: dict, rows: Sequence[Row], peaks: Sequence[Peak], training: bool) -> str:
    measured = [row for row in rows if row.error is None]
    parts = [', '.join(f'{name} {value}' for name, value in facts.items())]
    title = 'Training step' if training else 'Inference'
    parts += [f'## {title}', times(rows, training)]
    if measured:
        stages = TRAINING_STAGES if training else INFERENCE_STAGES
        stages = [s for s in stages if any(row.stage(s) for row in measured)]
        cells = [[milliseconds(row.stage(s)) for s in stages] for row in measured]
        parts += [f'## Stages of {title.lower()}, median ms', row_table(stages, measured, cells)]
        share = targets_share if training else after_network_share
        parts += ['## Shares', share(measured)]
    if peaks:
        parts += ['## Peak memory', memory_table(peaks)]
    return '\n\n'.join(parts) + '\n'


def times(rows: Sequence[Row], training: bool) -> str:
    names = ['found', 'median ms', 'p90 ms', 'images/s', 'first model / it'][training:]
    cells = []
    for row in rows:
        if row.error is not None:
            cells.append([row.error])
            continue
        speed = row.setting.batch_size / row.median
        ratio = first_model(rows, row).median / row.median
        figures = [milliseconds(row.median), milliseconds(row.p90), f'{speed:.3g}', f'{ratio:.2f}']
        cells.append([row.num_found, *figures][training:])
    return row_table(names, rows, cells)


def first_model(rows: Sequence[Row], row: Row) -> Row:
    """The first model's row with the same input, and with the same objects if there is one."""
    rows = [other for other in rows if alike(other, row) and other.error is None]
    of_first = [other for other in rows if other.model == rows[0].model]
    return next((other for other in of_first if other.setting == row.setting), rows[0])


def after_network_share(rows: Sequence[Row]) -> str:
    """After the network / network; and the whole / network of the same with plain convolutions."""
    cells = []
    for row in rows:
        name, *variants = row.model.split(', ')
        model = ', '.join([name, 'plain convs', *variants])
        same = [other for other in rows if (other.setting, other.model) == (row.setting, model)]
        plain = [other.stage(*NETWORK) for other in same]
        share = row.stage(*AFTER_NETWORK) / row.stage(*NETWORK)
        cells.append([f'{share:.1%}', f'{row.median / plain[0]:.2f}' if plain else ''])
    columns = ['after the network / network', 'whole / network with plain convolutions']
    return row_table(columns, rows, cells)


def targets_share(rows: Sequence[Row]) -> str:
    """Targets and losses / step; and the step / that with the fewest objects."""
    cells = []
    for row in rows:
        same = [other for other in rows if other.model == row.model and alike(other, row)]
        fewest = min(same, key=lambda other: other.setting.num_objects)
        share = row.stage(*TARGETS_AND_LOSSES) / sum(row.stage(s) for s in TRAINING_STAGES)
        cells.append([f'{share:.1%}' if share else '', f'{row.median / fewest.median:.2f}'])
    columns = ['targets + losses / step', 'step / that with the fewest objects']
    return row_table(columns, rows, cells)


def alike(a: Row, b: Row) -> bool:
    """Settings that differ in the number of objects at most."""
    return replace(a.setting, num_objects=0) == replace(b.setting, num_objects=0)


def memory_table(peaks: Sequence[Peak]) -> str:
    cells = []
    for peak in peaks:
        if peak.error is not None:
            cells.append([peak.what, peak.error])
            continue
        kind = peak.setting, peak.model
        first = next(x.growth for x in peaks if (x.setting, x.model) == kind and not x.error)
        whole = '' if peak.process is None else f'{peak.process:.0f}'
        ratio = f'{peak.growth / first:.2f}'
        cells.append([peak.what, f'{peak.growth:.0f}', whole, ratio])
    columns = ['what', 'MiB without imports', 'MiB of the process', 'it / first of its kind']
    return row_table(columns, peaks, cells)


def row_table(names: Sequence[str], rows: Sequence[Row | Peak], cells: Sequence[list]) -> str:
    """Model and setting of each row, then its cells, which an error may leave short."""
    lines = []
    for row, own in zip(rows, cells, strict=True):
        s = row.setting
        sizes = (f'{h} x {w}' for h, w in (s.size, s.out_size))
        objects = '' if s.num_objects is None else s.num_objects
        missing = [''] * (len(names) - len(own))
        lines.append([row.model, s.dtype, s.batch_size, *sizes, objects, *own, *missing])
    return table(['model', 'dtype', 'batch', 'input', 'output', 'objects', *names], lines)


def milliseconds(seconds: float) -> str:
    ms = 1000 * seconds
    return f'{ms:.0f}' if ms >= 100 else f'{ms:.3g}'


def table(names: Iterable, lines: Iterable[Iterable]) -> str:
    names = list(names)
    return '\n'.join([table_line(names), '|' + '---|' * len(names), *map(table_line, lines)])


def table_line(cells: Iterable) -> str:
    return f'| {" | ".join(map(str, cells))} |'
