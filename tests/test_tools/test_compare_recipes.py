"""Paired runs of configs, by the tool as a user types it."""

import json
import re

import pytest
from helpers import tiny_run
from mmengine.config import Config


def compare(folder, *arguments) -> str:
    tool = 'analysis_tools/compare_recipes.py'
    return tiny_run.finish(tiny_run.start(tool, 'tiny.py', *arguments, '--out', 'runs', cwd=folder))


def refused(folder, *arguments) -> str:
    """What it says where it ends without a comparison."""
    arguments = ('analysis_tools/compare_recipes.py', *arguments, '--out', 'runs')
    process = tiny_run.start(*arguments, '--iterations', '2', '--seeds', '0', cwd=folder)
    output, _ = process.communicate(timeout=300)
    assert process.returncode in (1, 2) and 'Traceback' not in output
    return output


@pytest.fixture
def folder(tmp_path):
    tiny_run.draw_data(tmp_path, train=4, val=2)
    tiny_run.write_config(tmp_path)
    return tmp_path


def test_the_same_recipe_twice_has_no_difference(folder):
    """Same seeds, same data, same result; a run that has ended is not repeated."""
    (folder / 'same.py').write_text("_base_ = './tiny.py'\n")
    options = ('same.py', '--iterations', '2', '--metrics', 'coco_panoptic/SQ', 'coco_panoptic/PQ_st')
    output = compare(folder, *options, '--seeds', '0', '1')
    rows = output[output.index('| config') :].strip().splitlines()[2:]
    assert [re.split(r' *\| *', row)[1:4] for row in rows] == [['tiny', '2', '2'], ['same', '2', '2']]
    assert rows[1].count('+0.00 ± 0.00') == 2
    runs = folder / 'runs/runs.jsonl'
    lines = [json.loads(line) for line in runs.read_text().splitlines()]
    assert [(line['config'], line['seed']) for line in lines] == [
        ('tiny.py', 0), ('same.py', 0), ('tiny.py', 1), ('same.py', 1)
    ]  # fmt: skip
    with runs.open('a') as file:
        file.write(json.dumps(lines[1] | dict(seed=7)) + '\n')
    lines = [json.loads(line) for line in runs.read_text().splitlines()]
    output = compare(folder, *options, '--seeds', '1', '2')
    assert 'left out, without a pair: same.py of seed 7; for it --seeds 7' in output
    assert [json.loads(line) for line in runs.read_text().splitlines()][:5] == lines
    assert len(runs.read_text().splitlines()) == 7


@pytest.mark.ops
def test_models_of_mmdet_in_equal_seconds(folder):
    peers = ('panoptic-fpn', 'maskformer', 'mask2former')
    output = compare(folder, *peers, '--seconds', '1', '--seeds', '0')
    steps = json.loads((folder / 'runs/steps.json').read_text())
    assert set(steps) == {'tiny.py', *peers}
    for name in peers:
        iterations = int(re.search(rf'^\| {name} \| 1 \| (\d+) ', output, re.MULTILINE)[1])
        assert iterations == max(1, round(1 / steps[name]))
    files = (next((folder / f'runs/{name}_0').glob('*.py')) for name in peers)
    fpn, _, mask2former = (Config.fromfile(file).optim_wrapper for file in files)
    assert mask2former.optimizer.lr == 0.0001 and mask2former.clip_grad.max_norm == 0.01
    assert fpn == Config.fromfile(folder / 'tiny.py').optim_wrapper


def test_a_warm_up_takes_a_fifth_at_most(folder):
    tiny_run.write_config(folder, train_cfg__max_iters=800)
    compare(folder, '--iterations', '10', '--seeds', '0')
    (file,) = (folder / 'runs/tiny_0').glob('*.py')
    warm_up, decay = Config.fromfile(file).param_scheduler
    assert (warm_up.end, decay.end) == (3, 11)


def test_a_result_that_is_none_is_named(folder):
    (folder / 'runs').mkdir()
    (folder / 'runs/runs.jsonl').write_text('{"config": "tiny.py", "seed": 0}\n')
    output = refused(folder, 'tiny.py')
    assert "runs/runs.jsonl, line 1, is no result of a run (KeyError: 'iterations')" in output


def test_what_can_not_be_compared_is_said(folder):
    assert (
        'is it the name of a config' in refused(folder, 'tiny.py', 'none') and not (folder / 'runs').exists()
    )
    options = ('--cfg-options', 'train_dataloader.dataset.data_root=none')
    assert 'none' in refused(folder, 'tiny.py', *options)
    line = dict(config='tiny.py', seed=0, iterations=3, seconds=1.0, metrics={'coco_panoptic/PQ': 1.0})
    (folder / 'runs/runs.jsonl').write_text(json.dumps(line))
    assert 'a run of tiny.py with 3 iterations, expected 2' in refused(folder, 'tiny.py')
    (folder / 'runs/runs.jsonl').write_text(json.dumps(line | dict(iterations=2)))
    assert '--metrics PQ is none of those measured: coco_panoptic/PQ' in refused(
        folder, 'tiny.py', '--metrics', 'PQ'
    )
