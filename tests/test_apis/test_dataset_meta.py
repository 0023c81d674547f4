"""Whose names the classes of a model have."""

import pytest
import torch
from helpers import panoptic_files, tiny_inferencer
from mmengine.config import Config

from mmpfcn import PanopticInferencer
from mmpfcn.apis.dataset_meta import find_dataset_meta


def test_names_of_the_checkpoint_come_first_and_numbers_last(tmp_path):
    old = dict(dataset_meta=dict(CLASSES=['cat', 'sky']))  # capitals, as of old checkpoints
    meta = find_dataset_meta(old, Config(), 1, 1)
    assert (meta['thing_classes'], meta['stuff_classes']) == (['cat'], ['sky'])
    with pytest.warns(UserWarning, match="taking COCO's"):
        assert find_dataset_meta({}, Config(), 80, 53)['classes'][0] == 'person'
    with pytest.warns(UserWarning, match='randomly initialized'):
        inferencer = PanopticInferencer(tiny_inferencer.config(), None, 'cpu', show_progress=False)
    assert inferencer.dataset_meta['classes'][0] == 'thing 0'
    path = tmp_path / 'a.pth'
    weights = torch.load(tiny_inferencer.write_checkpoint(tmp_path))['state_dict']
    torch.save(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=['a', 'b']))), path)
    with pytest.raises(ValueError, match='6 thing and 4 stuff classes, but its data set has 2'):
        PanopticInferencer(tiny_inferencer.config(), str(path), 'cpu')


def test_names_of_joined_test_data(tmp_path):
    """Of the first that is on this machine; none may name other classes than the checkpoint."""
    absent = dict(type='PanopticDataset', ann_file='not/here.json', pipeline=[])
    here = dict(absent, ann_file=f'{panoptic_files.write(tmp_path)}/panoptic.json')
    repeated = dict(type='RepeatDataset', times=2, dataset=here)
    dataset = dict(type='ConcatDataset', datasets=[absent, repeated])
    config = Config(dict(test_dataloader=dict(dataset=dataset)))
    assert [*find_dataset_meta({}, config, 2, 2)['classes']] == ['person', 'car', 'sky', 'road']
    known = dict(dataset_meta=dict(classes=['person', 'car', 'sky', 'road']))
    assert find_dataset_meta(known, config, 2, 2)['stuff_classes'] == ['sky', 'road']
    here['metainfo'] = dict(thing_classes=['car', 'person'], stuff_classes=['sky', 'road'])
    config = Config(dict(test_dataloader=dict(dataset=dataset)))
    with pytest.raises(ValueError, match="of checkpoint and of config's test data are not the same"):
        find_dataset_meta(known, config, 2, 2)
