"""`mmpfcn COMMAND`: what it lists, what it calls, and what it says to a wrong name."""

import sys
from importlib import import_module

import pytest
from helpers import shell
from helpers.oracle import ROOT

from mmpfcn.__main__ import COMMANDS, CONVERTERS, ONNX_PREDICT, main, onnx_first


def exits(argv, capsys):
    """Exit code, and what was printed on both streams."""
    with pytest.raises(SystemExit) as error:
        main(argv)
    return error.value.code, *capsys.readouterr()


@pytest.mark.parametrize(
    'command', [c for n, c in {**COMMANDS, **CONVERTERS, '': ONNX_PREDICT}.items() if c.module]
)
def test_every_command_has_a_main(command):
    assert callable(import_module(f'mmpfcn.commands.{command.module}').main)


@pytest.mark.parametrize('argv, names', [((), COMMANDS), (('convert',), CONVERTERS)])
def test_help_has_a_line_for_each(argv, names, capsys):
    code, out, err = exits([*argv, '--help'], capsys)
    assert (code, err) == (0, '')
    assert [line.split()[0] for line in out.splitlines() if line.startswith('  ')] == list(names)
    assert exits([*argv], capsys)[0] == 2


@pytest.mark.parametrize('argv', [['train'], ['publish'], ['convert', 'shapes']], ids=' '.join)
def test_a_command_calls_itself_by_its_name(argv, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['mmpfcn'])
    code, out, _ = exits([*argv, '--help'], capsys)
    assert code == 0 and out.startswith(f'usage: mmpfcn {" ".join(argv)} ')


@pytest.mark.parametrize('argv, message', [
    (['trian'], "mmpfcn: error: there is no COMMAND 'trian': did you mean train?"),
    (['convert', 'cocco'], "there is no CONVERTER 'cocco': did you mean coco?"),
    (['--x'], "there is no COMMAND '--x': known: train, test, "),
    (['train', 'r50_cco'], 'did you mean r50_coco'),
    (['train', 'mmpfcn::../../setup.py'], 'nor is it the name of a config'),
])  # fmt: skip
def test_a_wrong_name_is_one_message(argv, message, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['mmpfcn'])
    code, out, err = exits(argv, capsys)
    assert (code, out) == (2, '')
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    'argv', [['a.jpg', '--checkpoint', 'm.onnx'], ['m.onnx', 'a.jpg'], ['a.jpg', '--model=m.onnx']]
)
def test_an_exported_model_predicts_by_onnx_runtime(argv):
    assert onnx_first([*argv, '--out-dir', 'x']) == ['m.onnx', 'a.jpg', '--out-dir', 'x']
    assert onnx_first(['a.jpg', '--checkpoint', 'm.pth']) is None


SCRIPT = 'import sys\nfrom mmpfcn.__main__ import main\nsys.exit(main())\n'
"""What pip writes for an entry point."""


@pytest.mark.parametrize('installed', [True, False])
@pytest.mark.parametrize('argv, code, torch', [
    ([], 2, False),
    (['--help'], 0, False),
    (['convert', '-h'], 0, False),
    (['predict', 'none.onnx', 'a.jpg', '--out-dir', 'x'], 2, False),
    (['convert', 'shapes', '--help'], 0, False),
    (['publish', '--help'], 0, True),
])  # fmt: skip
def test_who_needs_no_torch_does_not_load_it(argv, code, torch, installed, tmp_path):
    (tmp_path / 'mmpfcn').write_text(SCRIPT)
    start = [str(tmp_path / 'mmpfcn')] if installed else ['-m', 'mmpfcn']
    found_code, modules = imported(*start, *argv)
    assert (found_code, 'torch' in modules, 'mmpfcn.__main__' in modules) == (code, torch, installed)


@pytest.mark.parametrize('path', sorted(ROOT.glob('tools/dataset_converters/*.py')), ids=lambda p: p.stem)
def test_no_converter_of_data_sets_loads_torch(path):
    code, modules = imported(path, '--help')
    assert code == 0 and not modules & {'torch', 'mmengine', 'mmdet'}
    assert f'mmpfcn.commands.convert.{path.stem}' in modules


def imported(*command: object) -> tuple[int, set[str]]:
    """Exit code of a Python program, and the modules it imported."""
    run = shell.run(sys.executable, '-X', 'importtime', *command)
    return run.returncode, {line.rpartition('|')[2].strip() for line in run.stderr.splitlines()}
