"""Bars and lines of plot_benchmark.py have the lengths that were measured."""

import json

import pytest


@pytest.fixture
def tool(analysis_tools):
    import plot_benchmark

    return plot_benchmark


def row(model='a', objects=1, size=(100, 200), seconds=(1.0,), stages=None) -> dict:
    setting = dict(size=list(size), out_size=list(size), batch_size=1, dtype='float32', num_objects=objects)
    stages = stages or [dict(heads=seconds[0])]
    return dict(model=model, setting=setting, seconds=list(seconds), stages=stages, error=None)


def test_bars_and_lines(tool):
    runs = [dict(heads=1.0, masks=0.5), dict(heads=3.0, masks=0.5), dict(heads=2.0, masks=0.7)]
    figure = tool.draw_stages([row(stages=runs), row('b', None, stages=[dict(heads=4.0)])])
    axes = figure.axes[0]
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [(0, 2.0), (0, 4.0), (2.0, 0.5), (4.0, 0.0)]  # heads of both, masks of both
    assert [t.get_text() for t in axes.get_yticklabels()] == ['a, objects 1', 'b']
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ['heads', 'masks']
    rows = [row('a', 10, seconds=(2.0, 1.0, 9.0)), row('a', 1, seconds=(1.0,))]
    rows += [row('a', 1, (200, 200), (4.0,)), row('peer', None, seconds=(5.0,))]
    by_objects, by_pixels = tool.draw_cost(rows).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in by_objects.lines}
    assert lines == {
        'a, input 100 x 200, output 100 x 200': [[1, 1.0], [10, 2.0]],
        'a, input 200 x 200, output 200 x 200': [[1, 4.0]],
    }
    lines = {line.get_label(): line.get_xydata().tolist() for line in by_pixels.lines}
    assert lines == {
        'a, objects 10': [[0.02, 2.0]],
        'a, objects 1': [[0.02, 1.0], [0.04, 4.0]],
        'peer': [[0.02, 5.0]],
    }


def test_files(tool, tmp_path, capsys):
    path = tmp_path / 'benchmark.json'
    failed = dict(row(), error='RuntimeError: no')
    path.write_text(json.dumps(dict(times=[row(), failed])))
    tool.main([str(path)])
    assert capsys.readouterr().out.split() == [str(tmp_path / 'stages.svg')]
    assert 'heads' in (tmp_path / 'stages.svg').read_text()
    text = json.dumps(dict(times=[row(), row(objects=5)]))
    path.write_text(text, 'utf-8-sig')  # as some editors save it
    tool.main([str(path)])
    assert 'objects' in (tmp_path / 'cost.svg').read_text()


def test_the_frontier(tool, tmp_path, capsys):
    """What another one beats in time and in PQ is beside the line."""
    rows = [row(name, seconds=(x, x, 9.0)) for name, x in (('a', 2.0), ('b', 1.0), ('c', 3.0), ('d', 4.0))]
    runs = [('b', 5.0), ('x/a.py', 20.0), ('x/a.py', 30.0), ('c.py', 24.0), ('d', 26.0), ('other', 99.0)]
    runs = [dict(config=name, metrics={'coco_panoptic/PQ': pq}) for name, pq in runs]
    axes = tool.draw_frontier(rows, runs, 'coco_panoptic/PQ').axes[0]
    line, *points = [x.get_xydata().tolist() for x in axes.lines]
    assert line == [[1.0, 5.0], [2.0, 25.0], [4.0, 26.0]]
    assert points == [[[1.0, 5.0]], [[2.0, 25.0]], [[3.0, 24.0]], [[4.0, 26.0]]]
    path, file = tmp_path / 'benchmark.json', tmp_path / 'runs.jsonl'
    path.write_text(json.dumps(dict(times=rows)))
    file.write_text(''.join(json.dumps(run) + '\n' for run in runs))
    tool.main([str(path), '--runs', str(file)])
    assert 'coco_panoptic/PQ' in (tmp_path / 'frontier.svg').read_text()
    for wrong in (['--runs', str(tmp_path / 'no')], ['--runs', str(file), '--metric', 'x']):
        with pytest.raises(SystemExit, match='2'):
            tool.main([str(path), *wrong])
        assert 'has nothing to draw' in capsys.readouterr().err


@pytest.mark.parametrize('content, message', [
    (None, 'is not what benchmark.py wrote'),
    ('[]', 'is not what benchmark.py wrote'),
    ('{"times": []}', 'has no row without an error'),
])  # fmt: skip
def test_wrong_files(tool, tmp_path, refused, content, message):
    path = tmp_path / 'x.json'
    if content is not None:
        path.write_text(content)
    assert message in refused(tool.main, path)
