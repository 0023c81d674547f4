"""PQ of variants of a trained model, by the tool as a user types it."""

import re

from helpers import tiny_inferencer, tiny_run
from mmengine.config import Config

from mmpfcn import PanopticInferencer
from mmpfcn.commands.export.export import export_onnx


def test_a_row_for_each_variant(tmp_path):
    """Batches, memory formats and types for the same weights; a difference ends it with 1."""
    tiny_run.draw_data(tmp_path, train=1, val=2)
    tiny_run.write_config(tmp_path)
    weights = tiny_inferencer.write_checkpoint(tmp_path)
    tool = 'analysis_tools/compare_precision.py'
    options = ('--variants', 'batch size 4', 'channels_last', 'accelerated', 'float16 (autocast)')
    process = tiny_run.start(tool, 'tiny.py', weights, *options, '--max-difference=100', cwd=tmp_path)
    output = tiny_run.finish(process)
    rows = dict(re.findall(r'^\| (\w.*?) \| [\d.]+ \| ([+-][\d.]+) \|$', output, re.MULTILINE))
    assert list(rows) == list(options[1:])
    assert all(abs(float(rows[name])) < 0.3 for name in options[1:4])

    process = tiny_run.start(tool, 'tiny.py', weights, *options[:2], '--max-difference=-1', cwd=tmp_path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and 'is larger than -1.0' in output


def test_exported_models_have_rows(tmp_path):
    tiny_run.draw_data(tmp_path, train=1, val=2)
    tiny_run.write_config(tmp_path, model__panoptic_head__kernel_generator__num_convs=1)
    config = str(tmp_path / 'tiny.py')
    weights = tiny_inferencer.write_checkpoint(tmp_path, Config.fromfile(config))
    export_onnx(PanopticInferencer(config, weights, 'cpu'), tmp_path / 'a.onnx')
    tool, options = 'analysis_tools/compare_precision.py', ('--onnx', 'a.onnx', '--variants')
    output = tiny_run.finish(tiny_run.start(tool, 'tiny.py', weights, *options, cwd=tmp_path))
    assert re.findall(r'^\| (\w.*?) \| [\d.]+ \| [+-]0.\d+ \|$', output, re.MULTILINE) == ['a, ONNX Runtime']
