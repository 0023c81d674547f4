"""A config whose data sets are joined and repeated: two files, both numbered from 1."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_run
from helpers.files import read_json
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from test_commands.test_report import read_tables

from mmpfcn import PanopticInferencer
from mmpfcn.commands import tune
from mmpfcn.commands.browse.command import main as browse
from mmpfcn.commands.check.command import main as check
from mmpfcn.commands.export.export import describe
from mmpfcn.commands.processes import build_runner
from mmpfcn.commands.report.command import main as report
from mmpfcn.commands.test import test_config as read_test
from mmpfcn.commands.train import train_config as read_train
from mmpfcn.formats import read_panoptic_png

NAME = 'annotations/panoptic_val'


def split_in_two(shapes: Path, folder: Path) -> None:
    """Data sets a and b, with images of the same ids and names, of the four that were drawn."""
    content = read_json(shapes / f'{NAME}.json')
    for number, part in enumerate('ab'):
        images = content['images'][number::2]
        annotations = {a['image_id']: a for a in content['annotations']}
        found = []
        for id_, image in enumerate(images, 1):
            annotation = annotations[image['id']]
            for old, new in ((f'val/{image["file_name"]}', f'val/{id_}.png'),
                             (f'{NAME}/{annotation["file_name"]}', f'{NAME}/{id_}.png')):  # fmt: skip
                (folder / part / new).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(shapes / old, folder / part / new)
            found.append(dict(annotation, image_id=id_, file_name=f'{id_}.png'))
            images[id_ - 1] = dict(image, id=id_, file_name=f'{id_}.png')
        text = json.dumps(dict(content, images=images, annotations=found))
        (folder / part / f'{NAME}.json').write_text(text)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """With plain.py, of the four images in one file, and wrapped.py, of the same in two."""
    folder = tmp_path_factory.mktemp('wrapped')
    tiny_run.draw_data(folder, 1, 4)
    split_in_two(folder / 'data' / 'shapes', folder)
    metrics = [dict(type='PanopticQualityMetric')]
    tiny_run.write_config(
        folder, 'plain.py', val_evaluator=metrics, test_evaluator=metrics,
        model__test_cfg__center_thr=0.9,
    )  # fmt: skip
    cfg = Config.fromfile(folder / 'plain.py')
    parts = [dict(cfg.test_dataloader.dataset, data_root=f'{part}/') for part in 'ab']
    parts[1] = dict(type='RepeatDataset', times=1, dataset=parts[1])
    pipeline = cfg.train_dataloader.dataset.pipeline
    train = [dict(cfg.val_dataloader.dataset, data_root=f'{part}/', pipeline=pipeline) for part in 'ab']
    train[1] = dict(type='ClassBalancedDataset', oversample_thr=1.0, dataset=train[1])
    wrap = dict(type='ConcatDataset')
    for name, inner in (('train', train), ('val', parts), ('test', parts)):
        cfg[f'{name}_dataloader'].dataset = dict(wrap, datasets=inner)
    settings = '\n'.join(f'{key} = {value!r}' for key, value in cfg.to_dict().items())
    (folder / 'wrapped.py').write_text(settings)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    water = 2  # of the stuff classes, which it sees everywhere
    torch.nn.init.constant_(model.panoptic_head.kernel_generator.region_out.bias[water], 10)
    torch.save(dict(state_dict=model.state_dict()), folder / 'tiny.pth')
    return folder


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv('LOCAL_RANK', '0')


def measured(config: str, *options: str) -> dict[str, float]:
    """What `mmpfcn test` measures."""
    arguments = [config, 'tiny.pth', '--no-accelerate', '--work-dir', 'work', *options]
    return build_runner(read_test(arguments), 'test_loop').test()


@pytest.fixture(scope='module')
def figures(folder):
    """Of wrapped.py, which writes r.panoptic.json and pictures; and of plain.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv('LOCAL_RANK', '0')
        wrapped = measured('wrapped.py', '--out', 'r', '--show-dir', str(folder / 'shown'))
        return wrapped, measured('plain.py', '--out', 'p')


def test_a_test_of_two_files_is_that_of_one(figures, folder):
    assert figures[0] == pytest.approx(figures[1], abs=1e-9) and figures[0]['coco_panoptic/PQ'] > 0
    joined, one = (read_json(Path(f'{x}.panoptic.json'))['annotations'] for x in 'rp')
    assert [a['image_id'] for a in joined] == [1, 2, '1_2', '2_2']
    assert [a['file_name'] for a in joined] == ['1.png', '2.png', '1_2.png', '2_2.png']
    assert sorted(x.name for x in Path('r.panoptic').iterdir()) == sorted(a['file_name'] for a in joined)
    for a, b in zip(joined, [one[0], one[2], one[1], one[3]], strict=True):
        maps = [read_panoptic_png(f'{x}.panoptic/{y["file_name"]}') for x, y in (('r', a), ('p', b))]
        assert np.array_equal(*maps) and a['segments_info'] == b['segments_info']
    assert len({path.read_bytes() for path in Path('shown').iterdir()}) == 4


def test_its_report_has_the_same_figures(figures):
    report(['wrapped.py', 'r.panoptic.json', '--workers', '1', '--num-images', '4'])
    row = read_tables(Path('r.panoptic.html'))['Means over']['All']
    assert row[:3] == [f'{figures[1][f"coco_panoptic/{key}"]:.1f}' for key in ('PQ', 'SQ', 'RQ')]


def test_thresholds_are_chosen_and_positions_given_on_all_of_them(figures, monkeypatch):
    parser = tune.make_parser()
    args = parser.parse_args(['wrapped.py', 'tiny.pth', '--device=cpu'])
    cfg = Config.fromfile('wrapped.py')
    inferencer, images = tune.build(parser, args, cfg)
    assert len(images) == 4
    samples = list(tune.run_network(inferencer, images))
    pq = pytest.approx(figures[1]['coco_panoptic/PQ'], abs=1e-6)
    assert tune.quality(inferencer, samples, images.dataset.metainfo, {}) == pq
    tool = runpy.run_path(tiny_run.TOOLS / 'analysis_tools/true_positions.py')
    model, loader = tool['build'](parser, args, cfg)
    assert tool['measure'](model, loader, given=False)['coco_panoptic/PQ'] == pq
    monkeypatch.syspath_prepend(tiny_run.TOOLS / 'analysis_tools')
    tool = runpy.run_path(tiny_run.TOOLS / 'analysis_tools/measure_tiles.py')
    classes = images.dataset.metainfo['classes']
    image, _, segments = tool['lay'](images.dataset, [*classes], 192, 0)
    assert image.shape == (192, 192, 3) and len(segments) > 6


def test_inference_and_export_take_the_pipeline_from_inside():
    wrapped, plain = (PanopticInferencer(f'{x}.py', 'tiny.pth', 'cpu') for x in ('wrapped', 'plain'))
    assert str(wrapped.pipeline) == str(plain.pipeline) and describe(wrapped) == describe(plain)
    assert wrapped('b/val/1.png')['predictions'][0].segments_info


@pytest.mark.parametrize('split', ['train', 'val'])
def test_all_of_them_are_checked_and_drawn(split, tmp_path, capsys):
    assert check(['wrapped.py', '--split', split, '--workers', '1']) == 0
    shown = capsys.readouterr().out
    assert all(f'{part}/{NAME}.json' in shown for part in 'ab')
    assert check(['r18_shapes', '--split', split, '--workers', '1']) == 0  # a config by its name
    browse(['wrapped.py', '--split', split, '--num', '0', '--out-dir', str(tmp_path), '--original'])
    assert len(list(tmp_path.glob('*.png'))) >= 4


def test_joined_data_sets_of_other_classes(tmp_path, capsys, refused):
    """Are found by check, and refused before anything is computed."""
    content = read_json(Path(f'b/{NAME}.json'))
    content['categories'].reverse()
    (tmp_path / 'other.json').write_text(json.dumps(content))
    option = f'test_dataloader.dataset.datasets.1.dataset.ann_file={tmp_path}/other.json'
    given = ('--cfg-options', option)
    assert check(['wrapped.py', '--split', 'test', '--workers', '1', *given]) == 1
    assert 'which are not those of a/annotations' in capsys.readouterr().out
    for message in (
        refused(report, 'wrapped.py', 'r.panoptic.json', *given),
        refused(browse, 'wrapped.py', '--split', 'test', *given),
    ):
        assert 'data sets that are joined differ in classes' in message
    with pytest.raises(ValueError, match='data sets that are joined differ in classes'):
        measured('wrapped.py', *given)


def test_a_training_step_on_all_of_them():
    runner = build_runner(read_train(['wrapped.py', '--work-dir', 'trained']), 'train_loop', 'val_loop')
    runner.train()
    assert Path('trained/iter_2.pth').is_file()
    assert runner.message_hub.get_scalar('val/coco_panoptic/PQ').current() >= 0
