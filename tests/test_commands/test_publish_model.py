"""Publishing a checkpoint: small, safe to load, the same predictions."""

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_inferencer, tiny_run
from helpers.oracle import ROOT, import_file
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmpfcn import PanopticInferencer
from mmpfcn.apis.checkpoint import read_checkpoint


@pytest.fixture(scope='module')
def publish():
    return import_file(ROOT / 'tools' / 'model_converters' / 'publish_model.py').main


def training_checkpoint(folder):
    """As mmengine leaves it, with an optimizer and logs."""
    content = torch.load(tiny_inferencer.write_checkpoint(folder))
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    log = dict(loss=HistoryBuffer([1.0], [1]))
    info = dict(cfg=config.pretty_text, iter=3)
    content['message_hub'] = dict(log_scalars=log, runtime_info=info)
    content['optimizer'] = dict(state={0: torch.zeros(10**6)})
    path = folder / 'iter_3.pth'
    torch.save(content, path)
    return path


def test_weights_names_and_config_stay_and_the_rest_goes(publish, tmp_path):
    source = training_checkpoint(tmp_path)
    assert publish([str(source), str(tmp_path / 'out' / 'model.pth')]) == 0
    (file,) = (tmp_path / 'out').iterdir()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.name == f'model-{digest[:8]}.pth'
    content = torch.load(file, weights_only=True)
    assert set(content) == {'state_dict', 'meta'}
    assert set(content['meta']) == {'mmpfcn_version', 'dataset_meta', 'cfg'}
    assert file.stat().st_size < source.stat().st_size - 3_000_000
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    models = [PanopticInferencer(None, str(path), 'cpu', show_progress=False) for path in (source, file)]
    before, after = (model(image)['predictions'][0] for model in models)
    assert before.segments_info == after.segments_info
    assert np.array_equal(before.panoptic_seg, after.panoptic_seg)


def card_of(publish, content: dict, folder: Path) -> str:
    torch.save(content, folder / 'iter_3.pth')
    assert publish([str(folder / 'iter_3.pth'), str(folder / 'out')]) == 0
    return (folder / 'out' / 'README.md').read_text()


def test_the_folder_has_config_and_card(publish, tmp_path):
    content = torch.load(training_checkpoint(tmp_path), weights_only=False)
    content['meta']['iter'] = 3
    content['message_hub']['log_scalars']['val/coco_panoptic/PQ'] = HistoryBuffer([40, 41.237], [1, 1])
    card = card_of(publish, content, tmp_path)
    assert sorted(os.listdir(tmp_path / 'out')) == ['README.md', 'config.py', 'model.safetensors']
    text = content['message_hub']['runtime_info']['cfg']
    assert (tmp_path / 'out' / 'config.py').read_text() == text
    assert Config.fromfile(tmp_path / 'out' / 'config.py').model.type == 'PanopticFCN'
    assert '# out\n' in card and 'trained for 3 iterations' in card
    assert '| coco_panoptic/PQ | 41.24 |\n' in card and 'loss' not in card
    assert f'Classes: {", ".join(tiny_inferencer.CLASSES)}.' in card
    assert card.startswith('---\nlibrary_name: mmpfcn\n')


def test_the_figures_of_the_runs_log_are_those_of_the_iteration(publish, tmp_path):
    """Of the run that saved the checkpoint; the other run in the folder had others."""
    content = torch.load(training_checkpoint(tmp_path), weights_only=False)
    content['meta'].update(iter=3, experiment_name='tiny_20261129_062100')
    content['message_hub']['log_scalars']['val/coco_panoptic/PQ'] = HistoryBuffer([40], [1])
    for name, pq in (('20261129_062100', 51.5), ('20261129_082100', 77)):
        lines = [dict(loss=2.5, step=3), dict({'coco_panoptic/PQ': 9.0}, time=0.5, step=2)]
        lines.append(dict({'coco_panoptic/PQ': pq}, data_time=0.5, time=0.5, step=3))
        (tmp_path / name / 'vis_data').mkdir(parents=True)
        log = '\n'.join(['{"loss": 1.0, "st', *map(json.dumps, lines)])
        (tmp_path / name / 'vis_data' / 'scalars.json').write_text(log)
    card = card_of(publish, content, tmp_path)
    table = card.split('## Figures')[1].split('## Classes')[0]
    assert re.findall(r'^\| (.*) \|$', table, re.M)[2:] == ['coco_panoptic/PQ | 51.5']
    assert 'Of these weights, on the validation data of the config:' in table


def test_a_card_without_figures_says_how_to_get_them(publish, tmp_path):
    content = torch.load(training_checkpoint(tmp_path), weights_only=False)
    content['meta']['dataset_meta'] = dict(thing_classes=['disc'], stuff_classes=[])
    card = card_of(publish, content, tmp_path)
    assert 'The checkpoint has none. In this folder `mmpfcn test config.py .` measures it' in card
    assert 'Things: disc.\n' in card and 'Stuff' not in card


def test_what_numpy_and_views_leave_is_plain(publish, tmp_path):
    """Numbers of NumPy in the class meta; a weight that is a part of a large storage."""
    content = torch.load(training_checkpoint(tmp_path), weights_only=False)
    ids, palette = np.arange(10), [(np.uint8(1), 2, 3)] * 10
    content['meta']['dataset_meta'].update(category_ids=list(ids), palette=palette)
    name, weight = next(iter(content['state_dict'].items()))
    whole = torch.zeros(10**6)
    whole[: weight.numel()] = weight.flatten()
    content['state_dict'][name] = whole[: weight.numel()].view_as(weight)
    torch.save(content, tmp_path / 'iter_3.pth')
    for target in ('a.pth', 'b.safetensors', 'c'):
        assert publish([str(tmp_path / 'iter_3.pth'), str(tmp_path / target)]) == 0
    files = [*tmp_path.glob('a-*.pth'), *tmp_path.glob('b-*.safetensors'), tmp_path / 'c']
    assert len(files) == 3
    for file in files:
        published = read_checkpoint(file)
        assert published['meta']['dataset_meta']['category_ids'] == ids.tolist()
        assert published['meta']['dataset_meta']['palette'] == [[1, 2, 3]] * 10
        assert torch.equal(published['state_dict'][name], weight)
        assert published['state_dict'][name].untyped_storage().nbytes() == weight.nbytes


def test_files_in_the_folder_stay(publish, tmp_path, capsys):
    source = training_checkpoint(tmp_path)
    (tmp_path / 'thesis').mkdir()
    (tmp_path / 'thesis' / 'README.md').write_text('years of work')
    with pytest.raises(SystemExit) as error:
        publish([str(source), str(tmp_path / 'thesis')])
    assert error.value.code == 2 and 'is a folder that has files' in capsys.readouterr().err
    assert (tmp_path / 'thesis' / 'README.md').read_text() == 'years of work'
    (tmp_path / 'empty').mkdir()
    assert publish([str(source), str(tmp_path / 'empty')]) == 0
    assert 'model.safetensors' in os.listdir(tmp_path / 'empty')


def test_without_safetensors_it_is_a_pth(tmp_path):
    """In a process that can not import it, as where it is not installed."""
    source = training_checkpoint(tmp_path)
    (tmp_path / 'publish.py').write_text(
        'import sys; sys.modules["safetensors"] = None\n'
        'from mmpfcn.commands.publish_model import main\n'
        'sys.exit(main())'
    )
    tiny_run.run(tmp_path / 'publish.py', source, tmp_path / 'out', cwd=tmp_path)
    assert sorted(os.listdir(tmp_path / 'out')) == ['README.md', 'config.py', 'model.pth']
    assert torch.load(tmp_path / 'out' / 'model.pth', weights_only=True)['meta']['cfg']
    assert PanopticInferencer.from_pretrained(tmp_path / 'out', 'cpu').settings.score_thr == 0


def test_wrong_input(publish, tmp_path, refused):
    (tmp_path / 'a.pth').write_text('no checkpoint')
    for source, target, message in (
        ('none.pth', 'b.pth', 'none.pth is not there'),
        ('a.pth', 'b.pth', 'is no checkpoint'),
        ('a.pth', 'b.bin', 'OUT must end in .pth'),
    ):
        assert message in refused(publish, tmp_path / source, tmp_path / target)
    assert os.listdir(tmp_path) == ['a.pth']
