"""Tables in Markdown and everything in one JSON."""

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict

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
from .timing import Plan, Row


def conditions(device: torch.device, threads: int, plan: Plan) -> dict[str, str | int]:
    """Machine, versions, day, and how it is measured."""
    return {
        'date': datetime.date.today().isoformat(),
        'device': torch.cuda.get_device_name(device) if device.type == 'cuda' else 'CPU',
        'CPU': cpu_name(),
        'CPU cores': os.cpu_count(),
        'threads': threads,
        'warm-up rounds': plan.warmup,
        'repeats': plan.repeats,
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
    """All tables, each under a heading."""
    measured = [row for row in rows if row.error is None]
    parts = [', '.join(f'{name} {value}' for name, value in facts.items())]
    title = 'Training step' if training else 'Inference'
    parts += [f'## {title}', times(rows, training)]
    if measured:
        stages = TRAINING_STAGES if training else INFERENCE_STAGES
        stages = [s for s in stages if any(row.stage(s) for row in measured)]
        parts += [f'## Stages of {title.lower()}, median ms', stage_table(measured, stages)]
        share = targets_share if training else after_network_share
        parts += ['## Shares', share(measured)]
    if peaks:
        parts += ['## Peak memory', memory_table(peaks)]
    return '\n\n'.join(parts) + '\n'


def times(rows: Sequence[Row], training: bool) -> str:
    names = ['model', *SETTING_COLUMNS]
    names += ([] if training else ['found']) + [
        'median ms',
        'p90 ms',
        'images/s',
        'first model / it',
    ]
    lines = []
    for row in rows:
        line = [row.model, *setting_cells(row)]
        if row.error is not None:
            lines.append([*line, row.error] + [''] * (len(names) - len(line) - 1))
            continue
        line += [] if training else [row.num_found]
        speed = row.setting.batch_size / row.median
        lines.append([*line, milliseconds(row.median), milliseconds(row.p90), f'{speed:.3g}',
                      f'{first_model(rows, row).median / row.median:.2f}'])  # fmt: skip
    return table(names, lines)


def first_model(rows: Sequence[Row], row: Row) -> Row:
    """The first model's row with the same input, and with the same objects if there is one."""
    rows = [other for other in rows if alike(other, row) and other.error is None]
    of_first = [other for other in rows if other.model == rows[0].model]
    return next((other for other in of_first if other.setting == row.setting), rows[0])


def stage_table(rows: Sequence[Row], stages: Sequence[str]) -> str:
    return table(
        ['model', *SETTING_COLUMNS, *stages],
        (
            [row.model, *setting_cells(row), *(milliseconds(row.stage(s)) for s in stages)]
            for row in rows
        ),
    )


def after_network_share(rows: Sequence[Row]) -> str:
    """After the network / network; and the whole / network of the same with plain convolutions."""
    lines = []
    for row in rows:
        plain = [
            other.stage(*NETWORK)
            for other in rows
            if other.setting == row.setting and other.model == plain_name(row.model)
        ]
        share = row.stage(*AFTER_NETWORK) / row.stage(*NETWORK)
        lines.append([row.model, *setting_cells(row), f'{share:.1%}',
                      f'{row.median / plain[0]:.2f}' if plain else ''])  # fmt: skip
    columns = ['after the network / network', 'whole / network with plain convolutions']
    return table(['model', *SETTING_COLUMNS, *columns], lines)


def plain_name(model: str) -> str:
    name, *variants = model.split(', ')
    return ', '.join([name, 'plain convs', *variants])


def targets_share(rows: Sequence[Row]) -> str:
    """Targets and losses / step; and the step / that with the fewest objects."""
    lines = []
    for row in rows:
        same = [other for other in rows if other.model == row.model and alike(other, row)]
        fewest = min(same, key=lambda other: other.setting.num_objects)
        share = row.stage(*TARGETS_AND_LOSSES) / sum(row.stage(s) for s in TRAINING_STAGES)
        lines.append([row.model, *setting_cells(row), f'{share:.1%}' if share else '',
                      f'{row.median / fewest.median:.2f}'])  # fmt: skip
    columns = ['targets + losses / step', 'step / that with the fewest objects']
    return table(['model', *SETTING_COLUMNS, *columns], lines)


def alike(a: Row, b: Row) -> bool:
    """Settings that differ in the number of objects at most."""
    return asdict(a.setting) | {'num_objects': 0} == asdict(b.setting) | {'num_objects': 0}


def memory_table(peaks: Sequence[Peak]) -> str:
    lines = []
    for peak in peaks:
        line = [peak.model, *setting_cells(peak), peak.what]
        if peak.error is not None:
            lines.append([*line, peak.error, '', ''])
            continue
        first = next(
            other.growth for other in peaks
            if other.setting == peak.setting and other.model == peak.model and not other.error
        )  # fmt: skip
        whole = '' if peak.process is None else f'{peak.process:.0f}'
        lines.append([*line, f'{peak.growth:.0f}', whole, f'{peak.growth / first:.2f}'])
    columns = ['what', 'MiB without imports', 'MiB of the process', 'it / first of its kind']
    return table(['model', *SETTING_COLUMNS, *columns], lines)


SETTING_COLUMNS = ('dtype', 'batch', 'input', 'output', 'objects')


def setting_cells(row: Row | Peak) -> list:
    s = row.setting
    objects = '' if s.num_objects is None else s.num_objects
    return [s.dtype, s.batch_size, *(f'{h} x {w}' for h, w in (s.size, s.out_size)), objects]


def milliseconds(seconds: float) -> str:
    """Three figures."""
    ms = 1000 * seconds
    return f'{ms:.0f}' if ms >= 100 else f'{ms:.3g}'


def table(names: Iterable, lines: Iterable[Iterable]) -> str:
    """Markdown."""

    def line(cells):
        return '| ' + ' | '.join(str(cell) for cell in cells) + ' |'

    names = list(names)
    return '\n'.join([line(names), '|' + '---|' * len(names), *map(line, lines)])


def as_json(facts: dict, command: str, rows: Sequence[Row], peaks: Sequence[Peak]) -> dict:
    """Everything, times of single runs too."""
    return dict(
        command=command,
        conditions=facts,
        times=[asdict(row) for row in rows],
        memory=[asdict(peak) for peak in peaks],
    )
