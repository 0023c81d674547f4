"""What stands inside wrappers, in a config and built."""

import json

import pytest
from helpers import panoptic_files
from mmdet.registry import DATASETS
from mmengine.config import ConfigDict
from torch.utils.data import Subset

from mmpfcn.datasets.inner_datasets import dataset_of, inner_datasets, metainfo_of, wrapped
from mmpfcn.datasets.replayable_sampler import SampleIndex


def config_of(root, **settings) -> dict:
    prefix = dict(img='images', seg='pngs')
    where = dict(data_root=str(root), ann_file='panoptic.json', data_prefix=prefix)
    return dict(type='PanopticDataset', test_mode=True, **where, **settings)


def joined(*datasets, **settings) -> dict:
    return dict(type='ConcatDataset', datasets=list(datasets), **settings)


@pytest.mark.parametrize('kind', [dict, ConfigDict])
def test_inner_data_sets_of_a_config(kind):
    a, b, c = ({'type': 'PanopticDataset', 'ann_file': name} for name in 'abc')
    balanced = dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=joined(b, c))
    whole = kind(joined(dict(type='RepeatDataset', times=2, dataset=a), balanced))
    assert list(inner_datasets(whole)) == [a, b, c]
    assert list(inner_datasets(kind(a))) == [a] and wrapped(kind(a)) == []
    next(inner_datasets(whole))['ann_file'] = 'changed'  # the config's own
    assert whole['datasets'][0]['dataset']['ann_file'] == 'changed'


def test_built_ones_and_whose_image_it_is(tmp_path):
    roots = [panoptic_files.write(tmp_path / name) for name in ('a', 'b')]
    repeated = dict(type='RepeatDataset', times=2, dataset=config_of(roots[1]))
    whole = DATASETS.build(joined(config_of(roots[0]), repeated))
    one, other = inner_datasets(Subset(whole, [0]))
    assert [one.ann_file, other.ann_file] == [f'{root}/panoptic.json' for root in roots]
    assert dataset_of(whole, f'{roots[1]}/images/a/one.jpeg') is other
    assert dataset_of(whole, 'somewhere/else.png') is one
    assert metainfo_of(whole)['classes'] == one.metainfo['classes']


def test_classes_of_joined_data_sets_agree(tmp_path):
    ids = [dict(c, id=c['id'] + 100) for c in panoptic_files.CATEGORIES]
    roots = [panoptic_files.write(tmp_path / 'a'), panoptic_files.write(tmp_path / 'b')]
    content = json.loads((roots[1] / 'panoptic.json').read_text())
    for annotation in content['annotations']:
        for segment in annotation['segments_info']:
            segment['category_id'] += 100
    (roots[1] / 'panoptic.json').write_text(json.dumps(dict(content, categories=ids)))
    parts = [config_of(root) for root in roots]
    with pytest.raises(ValueError, match=r"differ in category_ids: 7 in .*a/pan.* ignore_keys=\['cat"):
        metainfo_of(DATASETS.build(joined(*parts)))
    agreed = DATASETS.build(joined(*parts, ignore_keys=['category_ids']))
    assert metainfo_of(agreed)['thing_classes'] == ('person', 'car')
    parts[1]['metainfo'] = dict(thing_classes=('car', 'person'), stuff_classes=('sky', 'road'))
    with pytest.raises(ValueError, match="differ in .*classes: 'person' in .*, 'car' in .*same metainfo"):
        metainfo_of(DATASETS.build(joined(*parts, ignore_keys=['category_ids'])))


def test_the_seed_of_a_sample_goes_through_wrappers(tmp_path):
    """So a run that is resumed augments the images of all of them as before."""
    root = panoptic_files.write(tmp_path)
    flip = [dict(type='LoadImage'), dict(type='RandomFlip', prob=0.5), dict(type='PackPanopticInputs')]
    repeated = dict(type='RepeatDataset', times=3, dataset=config_of(root, pipeline=flip))
    whole = DATASETS.build(joined(config_of(root, pipeline=flip), repeated))
    for index in range(len(whole)):
        flips = [
            [whole[SampleIndex(index, seed)]['data_samples'].flip for seed in range(12)] for _ in range(2)
        ]
        assert flips[0] == flips[1] and len(set(flips[0])) == 2
