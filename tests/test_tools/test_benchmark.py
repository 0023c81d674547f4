"""The benchmark tool: what it makes models do, how it counts time, and what it writes."""

import itertools
import mmap
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.files import read_json
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmpfcn import LevelMaps, PanopticInferencer
from mmpfcn.commands.export.export import export_onnx
from mmpfcn.models.relative_position import NUM_CHANNELS

TINY = f"""
_base_ = '{tiny.CONFIGS}/r18_shapes.py'
part = dict(in_channels=16, feat_channels=16, norm_cfg=dict(type='GN', num_groups=4))
model = dict(
    backbone=dict(base_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=16),
    panoptic_head=dict(kernel_generator=part, feature_encoder=dict(out_channels=8, **part)),
)
"""
PEERS = ['panoptic-fpn', 'maskformer', 'mask2former']
SIZES = '--size 60 90 --out-size 40 70'
QUICK = ['--repeats', '1', '--warmup', '1', '--threads', '1', '--device', 'cpu']


@pytest.fixture
def tool(analysis_tools):
    threads = torch.get_num_threads()
    import benchmark

    yield benchmark
    torch.set_num_threads(threads)


@pytest.fixture
def part(tool):
    """The tool's modules, as ``part.stages``."""
    loaded = {name: m for name, m in sys.modules.items() if name.startswith('benchmarking.')}
    return SimpleNamespace(**{name.partition('.')[2]: module for name, module in loaded.items()})


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text(TINY)
    return str(path)


def run(tool, tmp_path, options: str, *argv, status=0) -> tuple[dict, str]:
    """Content of the two files."""
    assert tool.main([*argv, *options.split(), *QUICK, '--out', str(tmp_path / 'out')]) == status
    return read_json(tmp_path / 'out/benchmark.json'), (tmp_path / 'out/benchmark.md').read_text()


def table(text: str, title: str) -> list[dict[str, str]]:
    """Rows of the table below a heading."""
    lines = text.split(f'## {title}\n\n')[1].split('\n\n')[0].strip().splitlines()
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert {len(row) for row in rows} == {len(rows[0])}
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_inference_of_ours(tool, part, config, tmp_path):
    options = '--dtype float32 bf16 --batch-size 1 2 --plain-convs'
    result, text = run(tool, tmp_path, f'{SIZES} --objects 3 0 {options}', config)
    rows = result['times']
    assert len(rows) == 2 * 2 * 2 * 2  # objects, dtypes, batch sizes, models
    assert {row['model'] for row in rows} == {'small', 'small, plain convs'}
    for row in rows:
        assert row['error'] is None
        assert row['num_found'] == row['setting']['num_objects']
        assert len(row['seconds']) == len(row['stages']) == 1
        # 'graph' is what ONNX Runtime runs
        assert set(row['stages'][0]) == set(part.report.INFERENCE_STAGES) - {'graph'}
    assert result['conditions']['torch'] == torch.__version__
    assert result['conditions']['repeats'] == 1
    assert result['command'].startswith('benchmark.py ') and '--plain-convs' in result['command']

    times = table(text, 'Inference')
    assert [row['found'] for row in times] == ['3', '0'] * 8
    assert {row['input'] for row in times} == {'60 x 90'}
    assert {row['output'] for row in times} == {'40 x 70'}
    assert len(table(text, 'Stages of inference, median ms')) == 16
    shares = table(text, 'Shares')
    plain = 'whole / network with plain convolutions'
    assert all(bool(row[plain]) == (row['model'] == 'small') for row in shares)


@pytest.mark.ops
def test_inference_and_peers(tool, config, tmp_path):
    options = f'--size 64 64 --objects 2 4 --peers {" ".join(PEERS)}'
    result, text = run(tool, tmp_path, options, config)
    found = {(row['model'], row['setting']['num_objects']) for row in result['times']}
    assert found == {('small', 2), ('small', 4), *((peer, None) for peer in PEERS)}
    assert not any(row['error'] for row in result['times'])
    stages = {row['model']: set(row['stages'][0]) for row in result['times']}
    common = {'preprocess', 'backbone', 'heads', 'post-processing', 'other'}
    assert all(common <= names for names in stages.values())
    assert ('neck' in stages['panoptic-fpn']) and ('neck' not in stages['mask2former'])
    assert table(text, 'Inference')[0]['first model / it'] == '1.00'


def test_onnx_runtime(tool, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no data set names the classes
    model = MODELS.build(Config.fromfile(config).model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'small.pth')
    with pytest.warns(UserWarning, match='does not name its classes'):
        inferencer = PanopticInferencer(config, str(tmp_path / 'small.pth'), 'cpu')
    export_onnx(inferencer, tmp_path / 'small.onnx')
    options = f'{SIZES} --objects 3 --onnx {tmp_path}/small.onnx'
    result, text = run(tool, tmp_path, options, config)
    assert [row['model'] for row in result['times']] == ['small', 'small, ONNX Runtime']
    assert [row['num_found'] for row in result['times']] == [3, 3]
    stages = {'preprocess', 'graph', 'post-processing', 'other'}
    assert set(result['times'][1]['stages'][0]) == stages
    assert table(text, 'Shares')[1]['after the network / network'].endswith('%')


@pytest.mark.ops
def test_training_and_peers(tool, part, config, tmp_path):
    options = '--train --size 64 64 --objects 2 --batch-size 1 --peers panoptic-fpn mask2former'
    result, text = run(tool, tmp_path, options, config)
    models = [row['model'] for row in result['times']]
    assert models == ['small', 'panoptic-fpn', 'mask2former']
    for row in result['times']:
        assert row['error'] is None and row['num_found'] is None
        names = {'preprocess', 'forward', 'backward', 'optimizer', 'other'}
        fpn = row['model'] == 'panoptic-fpn'
        assert set(row['stages'][0]) == names | ({'heads with losses'} if fpn else {'targets', 'losses'})
    shares = table(text, 'Shares')
    assert [bool(row['targets + losses / step']) for row in shares] == [True, False, True]


def test_memory_and_training_without_objects(tool, config, tmp_path):
    result, text = run(tool, tmp_path, '--size 64 64 --objects 1 --memory', config)
    assert [peak['what'] for peak in result['memory']] == ['network alone', 'inference']
    for peak in result['memory']:
        assert peak['error'] is None
        assert 0 < peak['growth'] < peak['process']
    assert table(text, 'Peak memory')[0]['it / first of its kind'] == '1.00'
    result, text = run(tool, tmp_path, '--train --size 64 96 --objects 0', config)
    assert result['times'][0]['error'] is None


def test_what_can_not_run_is_said_and_the_rest_measured(tool, config, tmp_path, capsys):
    result, text = run(tool, tmp_path, '--size 64 64 --objects 50 1', config, status=1)
    errors = [row['error'] for row in result['times']]
    assert errors[1] is None and result['times'][1]['num_found'] == 1
    assert errors[0] == 'ValueError: 50 objects do not fit into a lattice of 3 x 3: at most 6'
    assert errors[0] in text
    assert '1 figures could not be measured' in capsys.readouterr().err


def test_stages_count_their_own_time_and_end(part, monkeypatch):
    seconds = itertools.count(1)  # every look at the clock is one second later
    monkeypatch.setattr(part.stages, 'time', SimpleNamespace(perf_counter=seconds.__next__))
    stages = [
        part.stages.Stage('', 'outer', 'a'),
        part.stages.Stage('', 'inner', 'b'),
        part.stages.Stage('child', 'forward', 'c'),  # is not there
    ]
    clock, nested = part.stages.StageClock(torch.device('cpu')), Nested()
    with part.stages.watched(nested, stages, clock), clock.stage('other'):
        assert nested.outer() == ['inner', 'inner']
    # other 1, a 2, inner 3 .. 4 and 5 .. 6, a to 7, other to 8
    assert clock.seconds == {'other': 2, 'a': 3, 'b': 2}
    assert vars(nested) == {}  # nothing stays
    nested.outer()
    assert sum(clock.seconds.values()) == 7
    nested = Nested()
    nested.inner = lambda: 1 / 0
    own = nested.inner
    clock = part.stages.StageClock(torch.device('cpu'))
    stages = [part.stages.Stage('', 'inner', 'b')]
    with pytest.raises(ZeroDivisionError), part.stages.watched(nested, stages, clock):
        nested.outer()
    assert nested.inner is own and set(clock.seconds) == {'b'}
    assert part.runs.in_one_line(AssertionError()) == 'AssertionError'
    assert part.runs.in_one_line(RuntimeError('a | b\nc')) == 'RuntimeError: a / b'


@pytest.mark.parametrize('arguments, message', [
    ('--dtype tf32', '--dtype tf32 exists on CUDA only'),
    ('--train --out-size 9 9', '--out-size belongs to inference'),
    ('--objects -1', 'got -1, expected a whole number from 0 on'),
    ('--batch-size 0', 'got 0, expected a whole number from 1 on'),
    ('--out /dev/null', '--out /dev/null/benchmark.json can not be written'),
    ('--peers detr', "invalid choice: 'detr'"),
])  # fmt: skip
def test_wrong_arguments(tool, config, arguments, message, refused):
    assert message in refused(tool.main, config, '--device', 'cpu', *arguments.split())


def build_wide(kind: str = '', **changes) -> torch.nn.Module:
    """Kernels and features as wide as those of the paper's encoder; 'Relative' ones know their place."""
    width = dict(
        kernel_generator=dict(type=f'{kind}KernelGenerator', feat_channels=64),
        feature_encoder=dict(type=f'{kind}FeatureEncoder', out_channels=64),
    )
    return tiny.build(panoptic_head=dict(width, **changes)).eval()


def head_output(head, size: tuple[int, int]) -> tuple[list[LevelMaps], torch.Tensor]:
    """Shapes of the real output for a padded (H, W), and noise in them."""
    places = NUM_CHANNELS - 1 if head.feature_encoder.num_place_channels else 0
    channels = (head.num_things_classes, len(head.region_labels), 64 + places)
    levels = [
        LevelMaps(*(torch.randn(2, c, -(-size[0] // s), -(-size[1] // s)) for c in channels))
        for s in (8, 16, 32, 64, 128)
    ]
    width = head.feature_encoder.out_channels
    return levels, torch.randn(2, width, size[0] // 4, size[1] // 4)


@pytest.mark.parametrize('separate', [False, True])
@pytest.mark.parametrize('num_objects', [0, 1, 10, 40, 100, 300])
def test_finds_as_many_as_asked(part, num_objects, separate):
    model = build_wide(separate_thing_regions=separate)
    head, fusion_head = model.panoptic_head, model.panoptic_fusion_head
    size, image = (320, 576), (320, 569)
    visible = (1.0, 569 / 576)
    before = vars(head.test_cfg).copy()
    objects = part.drawn_output.FoundObjects(model, num_objects, visible)
    samples = tiny.batch(*[tiny.sample(image, boxes=[]) for _ in range(2)])['data_samples']
    head.forward = lambda feats: head_output(head, size)
    with torch.no_grad(), objects.in_sight():
        things, regions = head.predict(None, samples)
        results = fusion_head.predict(things, regions, samples)
    assert vars(head.test_cfg) == before == vars(fusion_head.test_cfg)
    for image_things, result in zip(things, results, strict=True):
        assert len(image_things) == len(result['ins_results']) == num_objects
        segments = result['pan_results'].segments_info
        assert sum(s['isthing'] for s in segments) == num_objects
        assert {s['label'] for s in segments if not s['isthing']} == {6, 7, 8, 9}


@pytest.mark.parametrize('kind', ['', 'Relative'])
def test_drawn_masks(part, kind):
    model = build_wide(kind)
    head = model.panoptic_head
    objects = part.drawn_output.FoundObjects(model, 4, (1.0, 1.0))
    head.forward = lambda feats: head_output(head, (384, 384))
    with torch.no_grad(), objects.in_sight():
        things = head.predict(None, None)[0][0]
    boxes = part.scenes.place_objects(4)
    order = things.labels.argsort()
    inside = things.mask_logits[order] > 0
    for mask, (x1, y1, x2, y2) in zip(inside, boxes.tolist(), strict=True):
        rectangle = torch.zeros(24, 24, dtype=torch.bool)
        rectangle[y1:y2, x1:x2] = True
        middles = mask[2::4, 2::4]  # 4 x 4 pixels of mask_feats to a node
        assert torch.equal(middles, rectangle)
    head = build_wide().panoptic_head
    with pytest.raises(ValueError, match='allows 2 candidates on each of 3 levels, too few for 7'):
        part.drawn_output.DrawnOutput(head, 7, (1.0, 1.0), 4)


@pytest.mark.parametrize('num_objects', [0, 1, 7, 40, 384])
def test_places_are_distinct_and_inside(part, num_objects):
    boxes = part.scenes.place_objects(num_objects)
    assert boxes.shape == (num_objects, 4)
    covered = torch.zeros(24, 24, dtype=torch.int)
    for x1, y1, x2, y2 in boxes.tolist():
        assert 0 <= x1 < x2 <= min(x1 + 6, 24) and 8 <= y1 < y2 <= min(y1 + 6, 24)
        covered[y1:y2, x1:x2] += 1
    assert covered.max() <= 1


@pytest.mark.parametrize('bitmaps', [False, True])
def test_ground_truth(part, bitmaps):
    batch = part.scenes.training_batch((64, 96), 2, 10, (6, 4), bitmaps)
    assert [x.shape for x in batch['inputs']] == [(3, 64, 96)] * 2
    gt, sem_seg = batch['data_samples'][1].gt_instances, batch['data_samples'][1].gt_sem_seg.sem_seg
    masks = gt.masks.to_ndarray() if bitmaps else gt.masks.masks
    assert masks.shape == (10, 64, 96) and (masks.sum(0) <= 1).all()
    assert gt.labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    for mask, label, (x1, y1, x2, y2) in zip(masks, gt.labels, gt.bboxes.tolist(), strict=True):
        rows, columns = np.nonzero(mask)
        assert len(rows) == pytest.approx(np.pi / 4 * (x2 - x1) * (y2 - y1), rel=0.15)
        assert x1 - 1 <= columns.min() and columns.max() <= x2
        assert y1 - 1 <= rows.min() and rows.max() <= y2
        assert (sem_seg[0][torch.from_numpy(mask) > 0] == label).all()
    assert set(sem_seg[0][torch.from_numpy(masks.sum(0)) == 0].tolist()) == {6, 7, 8, 9}


def test_models_are_listed_and_compiled(part, config, monkeypatch):
    listed = part.candidates.candidates([config], {}, True, ['mask2former'], True, True, False)
    variants = '', ', compiled', ', channels last', ', channels last, compiled'
    names = 'small', 'small, plain convs', 'mask2former'
    assert [c.name for c in listed] == [name + variant for variant in variants for name in names]
    compiled = []

    def compile_(function, fullgraph):
        compiled.append((type(function.__self__).__name__, fullgraph))
        return function

    monkeypatch.setattr(torch, 'compile', compile_)
    part.candidates.Candidate('a', config, compiled=True).build(torch.device('cpu'))
    names = ('ResNet', 'FPN', 'KernelGenerator', 'FeatureEncoder')
    assert compiled == [(name, True) for name in names]


def test_variants_are_built(part, config):
    usual, faster = part.candidates.candidates([config], {}, False, [], False, False, True)
    assert (usual.name, faster.name) == ('small', 'small, accelerated')
    weight = 'panoptic_head.kernel_generator.kernel_out.weight'
    for candidate in (usual, faster):
        kernel = candidate.build(torch.device('cpu')).get_parameter(weight)
        is_last = kernel.is_contiguous(memory_format=torch.channels_last)
        assert is_last == (candidate is faster)
    deformable, plain = part.candidates.candidates([config], {}, True, [], False, False, False)

    def num_deformable(candidate):
        modules = candidate.build(torch.device('cpu')).modules()
        return sum(type(m).__name__ == 'ModulatedDeformConv' for m in modules)

    assert (num_deformable(deformable), num_deformable(plain)) == (3, 0)
    options = {'model.test_cfg.instance_on': False}
    candidate = part.candidates.Candidate('a', config, options)
    a, b = (candidate.build(torch.device('cpu')) for _ in range(2))
    assert a.panoptic_fusion_head.test_cfg.instance_on is False
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    model = part.candidates.Candidate('a', config, channels_last=True).build(torch.device('cpu'))
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    tiny.predict(model, tiny.sample())
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert not seen[0].is_contiguous()


class Nested:
    """``outer`` calls ``inner`` twice."""

    def inner(self) -> str:
        return 'inner'

    def outer(self) -> list[str]:
        return [self.inner(), self.inner()]


def test_statistics_and_ratios(part):
    setting = part.runs.Setting((4, 4), (4, 4), 2, 'float32', 1)
    row = part.timing.Row('a', setting, [0.1 * i for i in range(1, 12)])
    row.stages = [{'masks': 1.0, 'heads': 2.0}, {'masks': 3.0}, {'masks': 5.0, 'heads': 4.0}]
    assert row.median == pytest.approx(0.6) and row.p90 == pytest.approx(1.0)
    assert row.stage('masks', 'heads', 'neck') == 3.0 + 2.0
    plain = part.timing.Row('a, plain convs', setting, [0.1], [{'backbone': 0.2}])
    text = part.report.markdown({}, [row, plain], [], training=False)
    times = table(text, 'Inference')[0]
    assert (times['median ms'], times['p90 ms'], times['images/s']) == ('600', '1000', '3.33')
    assert [row['first model / it'] for row in table(text, 'Inference')] == ['1.00', '6.00']
    shares = table(text, 'Shares')[0]
    assert shares['after the network / network'] == '150.0%'
    assert shares['whole / network with plain convolutions'] == '3.00'

    def row(model, batch_size, objects, seconds):
        setting = part.runs.Setting((4, 4), (4, 4), batch_size, 'float32', objects)
        return part.timing.Row(model, setting, [seconds], [{'heads': seconds}])

    rows = [
        row('a', 1, 10, 1.0), row('a', 1, 300, 2.0), row('b', 1, 300, 4.0),
        row('peer', 1, None, 5.0), row('a', 8, 10, 6.0), row('peer', 8, None, 3.0),
    ]  # fmt: skip
    text = part.report.markdown({}, rows, [], training=False)
    ratios = [row['first model / it'] for row in table(text, 'Inference')]
    assert ratios == ['1.00', '1.00', '0.50', '0.20', '1.00', '2.00']


def test_memory_and_things_are_counted(part, config):
    before = part.memory.resident('VmRSS')
    block = mmap.mmap(-1, 64 * part.memory.MEBIBYTE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for start in range(0, len(block), mmap.PAGESIZE):
        block[start] = 1
    assert part.memory.resident('VmRSS') - before == pytest.approx(64, abs=4)
    assert part.memory.resident('VmHWM') >= before + 60
    block.close()
    run_ = part.runs.Prediction(tiny.build(), part.runs.Setting((64, 64), (64, 64), 1, 'float32'),
                                torch.device('cpu'))  # fmt: skip
    sem_seg = torch.tensor([[[3, 3 + INSTANCE_OFFSET, 3 + 2 * INSTANCE_OFFSET, 6]]])
    run_.run = lambda: [SimpleNamespace(pred_panoptic_seg=InstanceData(sem_seg=sem_seg))]
    assert run_.num_found() == 2
