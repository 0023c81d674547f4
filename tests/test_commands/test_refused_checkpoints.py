"""Every tool with a checkpoint that would run code: a message, and nothing is run."""

import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import tiny_inferencer, tiny_run
from helpers.malicious import Call
from helpers.oracle import import_file
from helpers.web_server import import_web_demo

PROCESSES = {
    'train.py': ('train.py', 'tiny.py', '--resume=evil.pth'),
    'test.py': ('test.py', 'tiny.py', 'evil.pth'),
    'demo.py': ('demo.py', 'photo.png', '--config=tiny.py', '--checkpoint=evil.pth', '--out-dir=out'),
    'publish_model.py': ('model_converters/publish_model.py', 'evil.pth', 'out.pth'),
}  # fmt: skip


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Data, a config and a checkpoint that makes a folder, ``trap``, when it is read."""
    folder = tmp_path_factory.mktemp('refused')
    tiny_run.draw_data(folder, train=2, val=1)
    tiny_run.write_config(folder)
    cv2.imwrite(str(folder / 'photo.png'), np.zeros((64, 96, 3), np.uint8))
    content = torch.load(tiny_inferencer.write_checkpoint(folder))
    trap = Call(os.mkdir, str(folder / 'trap'))
    for name, key in (('evil.pth', 'state_dict'), ('published.pth', 'model')):
        torch.save({key: content['state_dict'], 'meta': dict(content['meta'], a=trap)}, folder / name)
    return folder


@pytest.fixture
def inside(folder, monkeypatch, capsys):
    """Runs a tool in this process: it must end with a message that says what is not run."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(tiny_run.TOOLS))

    def run(main, *argv: str) -> None:
        try:
            code = main(list(argv))
        except SystemExit as error:
            code = error.code
        require_refused(folder, code, capsys.readouterr().err)

    return run


def require_refused(folder: Path, code: int, output: str) -> None:
    assert code in (1, 2), output
    assert re.search(r'(evil|published)\.pth .*\b\w+\.mkdir\b', output, re.DOTALL), output
    assert 'in read_checkpoint' not in output  # a line of a traceback
    assert not (folder / 'trap').exists()


def test_processes(folder):
    started = {name: tiny_run.start(*command, cwd=folder) for name, command in PROCESSES.items()}
    for process in started.values():
        output, _ = process.communicate(timeout=300)
        require_refused(folder, process.returncode, output)
        assert output.count('.mkdir') == 1 and process.returncode == 2
    assert not (folder / 'out').exists() and not list(folder.glob('out*.pth'))


def test_each_process_of_a_distributed_run_says_so(folder):
    """torchrun stops the others after the first, and adds a traceback of its own."""
    options = ('--cfg-options', 'load_from=evil.pth')
    process = tiny_run.start('dist_train.sh', 'tiny.py', 2, *options, cwd=folder)
    output, _ = process.communicate(timeout=300)
    require_refused(folder, process.returncode, output.partition('ChildFailedError')[0])
    messages = re.findall(r'^train.py: error: checkpoint evil.pth is', output, re.MULTILINE)
    assert 1 <= len(messages) <= 2 and 'CheckpointError' not in output
    assert re.search(r'exitcode *: 2 ', output)


@pytest.mark.parametrize('tool, arguments', [
    ('analysis_tools/compare_precision.py', 'tiny.py evil.pth'),
    ('analysis_tools/explain.py', 'photo.png --config=tiny.py --checkpoint=evil.pth --out=out.html'),
    ('deployment/export_onnx.py', 'tiny.py evil.pth --out=out.onnx'),
    ('model_converters/detectron2_to_mmpfcn.py', 'published.pth out.pth'),
])  # fmt: skip
def test_in_this_process(folder, inside, monkeypatch, tool, arguments):
    monkeypatch.syspath_prepend(str((tiny_run.TOOLS / tool).parent))
    inside(import_file(tiny_run.TOOLS / tool).main, *arguments.split())
    assert not list(folder.glob('out*'))


@pytest.mark.parametrize('files', ['tiny.py,evil.pth', 'evil.pth'])
def test_web_demo(inside, monkeypatch, files):
    inside(import_web_demo(monkeypatch).main, '--model', f'a={files}')
