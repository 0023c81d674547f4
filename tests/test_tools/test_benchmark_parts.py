"""benchmark_parts.py: what of a loader is timed, missing data, the meters of memory, PQ."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from helpers.oracle import ROOT, coco200, import_file

CONFIG = str(ROOT / 'configs' / 'panoptic_fcn' / 'r50_coco.py')
ROOT_OPTION = 'train_dataloader.dataset.data_root='


@pytest.fixture
def main(monkeypatch, analysis_tools):
    """Of the tool, which changes the numbers of threads."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    threads = torch.get_num_threads(), cv2.getNumThreads()
    yield import_file(analysis_tools / 'benchmark_parts.py').main
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


def test_every_transform_and_every_number_of_workers_has_a_row(main, capsys):
    options = ['--cfg-options', f'{ROOT_OPTION}{coco200()}/']
    main(['dataloader', CONFIG, '--images', '3', '--workers', '1', *options])
    output = capsys.readouterr().out
    rows = re.findall(r'^\| \d\. (\w+) \| ([\d.]+) ms \| (\d+)% \|$', output, re.MULTILINE)
    assert [name for name, *_ in rows] == [
        'LoadImage', 'LoadPanopticGroundTruth', 'RandomChoiceResize', 'RandomFlip', 'PackPanopticInputs',
    ]  # fmt: skip
    rate, total = re.search(r'sum: ([\d.]+) images/s a worker \| ([\d.]+) ms', output).groups()
    assert float(rate) == pytest.approx(1000 / float(total), rel=0.02)
    assert float(total) == pytest.approx(sum(float(ms) for _, ms, _ in rows), abs=0.3)
    workers, rate, each = re.search(r'^\| (\d) \| ([\d.]+) \| ([\d.]+) \|$', output, re.M).groups()
    assert (workers, rate) == ('1', each) and float(rate) > 0


def test_missing_data(main, refused, tmp_path):
    option = '--cfg-options', f'{ROOT_OPTION}{tmp_path}/'
    message = refused(main, 'dataloader', CONFIG, *option)
    assert 'the training data of' in message and 'panoptic_train2017.json' in message


def test_memory_of_a_step_and_of_autograd(main):
    import parts

    mebibyte = torch.ones(2**18, requires_grad=True)
    # in a process of its own: what other tests freed would be used again
    code = 'import parts, torch; print(parts.peak_growth(lambda: torch.ones(64 * 2**18)))'
    folder = Path(parts.__file__).parents[1]
    grown = subprocess.check_output([sys.executable, '-W', 'ignore', '-c', code], cwd=folder)
    assert float(grown.split()[-1]) == pytest.approx(64, abs=8)
    assert parts.kept_by_autograd(lambda: mebibyte.exp()) == 1  # the result
    assert parts.kept_by_autograd(lambda: mebibyte * mebibyte) == 1
    assert parts.kept_by_autograd(lambda: mebibyte * mebibyte, known=[mebibyte]) == 0
    calls = []
    times = parts.take_turns({name: lambda name=name: calls.append(name) for name in 'ab'}, 2)
    assert ''.join(calls) == 'ababab' and [len(times[name]) for name in 'ab'] == [2, 2]


def test_both_metrics_give_the_same_figures(main, capsys, monkeypatch):
    """Otherwise it ends in an AssertionError."""
    from parts import panoptic_metric

    monkeypatch.setattr(panoptic_metric, 'SCENES', ((48, 64, 9),))
    main(['panoptic_metric', '--repeats', '1'])
    assert capsys.readouterr().out.splitlines()[-1].startswith('| 64 x 48, 9 segments | ')
