"""Labels, names and records of a data set in COCO's panoptic format."""

import cv2
import numpy as np
import pytest
from helpers import panoptic_files as files
from helpers.files import edited


def test_things_come_first_and_isthing_may_come_from_the_config(tmp_path):
    dataset = files.build(files.write(tmp_path))
    meta = dataset.metainfo
    assert meta['classes'] == ('person', 'car', 'sky', 'road')
    assert (meta['thing_classes'], meta['stuff_classes']) == (('person', 'car'), ('sky', 'road'))
    assert meta['category_ids'] == [7, 2, 90, 23]
    assert dataset.cat2label == {7: 0, 2: 1, 90: 2, 23: 3}
    assert len(meta['palette']) == 4
    categories = [dict(id=c['id'], name=c['name']) for c in files.CATEGORIES]
    root = files.write(tmp_path, categories=categories)
    with pytest.raises(ValueError, match='panoptic.json.*have no "isthing": add 1.*thing_classes='):
        files.build(root)
    meta = dict(thing_classes=['person', 'car'], stuff_classes=['sky', 'road'])
    assert files.build(root, metainfo=meta).cat2label == {7: 0, 2: 1, 90: 2, 23: 3}


def test_record(tmp_path):
    record = files.build(files.write(tmp_path)).get_data_info(0)
    assert record['img_path'] == str(tmp_path / 'images/a/one.jpeg')
    assert record['seg_map_path'] == str(tmp_path / 'pngs/a/one_ids.png')
    assert (record['img_id'], record['seg_file_name']) == ('image-0', 'a/one_ids.png')
    assert (record['height'], record['width']) == (6, 8)
    by_id = {info['id']: info for info in record['segments_info']}
    assert by_id[5] == dict(id=5, category=0, is_thing=True, iscrowd=False)
    assert by_id[999] == dict(id=999, category=1, is_thing=False, iscrowd=True)
    assert by_id[300] == dict(id=300, category=3, is_thing=False, iscrowd=False)
    # two persons and the car; the group of cars is no object
    assert sorted(i['bbox_label'] for i in record['instances']) == [0, 0, 1]
    assert dict(bbox_label=1, ignore_flag=0, bbox=[6, 3, 8, 5]) in record['instances']


def test_equal_names_in_different_folders_and_any_extension(tmp_path):
    rows = {'a/x.jpg': files.ROWS, 'b/x.jpg': ('ssss', 'rrcc'), 'x.jpg.png': ('ss', 'rr')}
    dataset = files.build(files.write(tmp_path, rows), pipeline=[dict(type='LoadImage')])
    sizes = [item['img'].shape[:2] for item in (dataset[i] for i in range(3))]
    assert sizes == [(6, 8), (2, 4), (2, 2)]
    names = [dataset.get_data_info(i)['seg_file_name'] for i in range(3)]
    assert names == ['a/x_ids.png', 'b/x_ids.png', 'x.jpg_ids.png']


@pytest.mark.parametrize('metainfo, things, stuff', [
    (dict(classes=['road', 'car', 'person']), ('car', 'person'), ('road',)),
    (dict(thing_classes=['car'], stuff_classes=['road', 'sky']), ('car',), ('road', 'sky')),
    (dict(thing_classes=['sky']), ('sky',), ()),
    (dict(stuff_classes=['person', 'sky']), (), ('person', 'sky')),
    (dict(classes=['sky', 'car', 'road'], thing_classes=['car']), ('car',), ('sky', 'road')),
])  # fmt: skip
def test_the_config_chooses_and_orders_classes(tmp_path, metainfo, things, stuff):
    dataset = files.build(files.write(tmp_path), metainfo=metainfo)
    assert dataset.metainfo['thing_classes'] == things
    assert dataset.metainfo['stuff_classes'] == stuff
    assert dataset.metainfo['classes'] == (*things, *stuff)
    found = {info['category'] for info in dataset.get_data_info(0)['segments_info']}
    assert found == set(range(len(things) + len(stuff)))  # what is left out is void


def test_names_and_palette_of_classes(tmp_path):
    coloured = [dict(c, color=[i, i, i]) for i, c in enumerate(files.CATEGORIES)]
    root = files.write(tmp_path, categories=coloured)
    assert files.build(root).metainfo['palette'] == [(1, 1, 1), (3, 3, 3), (0, 0, 0), (2, 2, 2)]
    meta = dict(classes=['road', 'car'], palette=[(9, 9, 9), (8, 8, 8)])
    assert files.build(root, metainfo=meta).metainfo['palette'] == [(8, 8, 8), (9, 9, 9)]
    with pytest.raises(ValueError, match='1 colours in its palette for 2 classes'):
        files.build(root, metainfo=dict(meta, palette=[(9, 9, 9)]))
    dataset = files.build(tmp_path, lazy_init=True, metainfo=dict(classes=['car']))
    assert dataset.metainfo == dict(classes=['car'])
    files.write(tmp_path)
    assert len(dataset) == 1 and dataset.metainfo['category_ids'] == [2]


@pytest.mark.parametrize('metainfo, message', [
    (dict(classes=['persons']), "'persons', which .*lacks: did you mean 'person'"),
    (dict(classes=['car', 'car']), 'names a class twice'),
    (dict(thing_classes=['car'], stuff_classes=['car']), "'car'. as thing_classes and"),
])  # fmt: skip
def test_wrong_metainfo(tmp_path, metainfo, message):
    with pytest.raises(ValueError, match=message):
        files.build(files.write(tmp_path), metainfo=metainfo)


def test_without_annotations(tmp_path, caplog):
    root = files.write(tmp_path)
    with edited(root / 'panoptic.json') as content:
        del content['annotations']
    kinds = 'LoadImage', 'LoadPanopticGroundTruth', 'PackPanopticInputs'
    dataset = files.build(root, [dict(type=kind) for kind in kinds], test_mode=True)
    sample = dataset[0]['data_samples']
    assert sample.seg_map_path is None and sample.seg_file_name == 'a/one.png'
    assert 'gt_panoptic_seg' not in sample
    root = files.write(tmp_path, {'a.png': files.ROWS, 'b.png': files.ROWS})
    with edited(root / 'panoptic.json') as content:
        content['annotations'].pop()
    assert len(files.build(root, test_mode=True)) == 1


def test_filter(tmp_path):
    rows = {'a.png': files.ROWS, 'stuff.png': ('ssss', 'rrrr'), 'crowd.png': ('gggg', 'rrrr')}
    root = files.write(tmp_path, rows)

    def names(**settings) -> list[str]:
        dataset = files.build(root, **settings)
        return [dataset.get_data_info(i)['seg_file_name'][:-8] for i in range(len(dataset))]

    things_only = dict(filter_empty_gt=True)
    assert names(filter_cfg=things_only) == ['a']
    assert names(filter_cfg=dict(min_size=3)) == ['a']
    for name, grey in (('a', 127), ('stuff', 128), ('crowd', 255)):
        cv2.imwrite(str(root / f'images/{name}.png'), np.full((2, 4), grey, np.uint8))
    assert names(filter_cfg=dict(min_median=128)) == ['stuff', 'crowd']
    assert names() == names(filter_cfg=things_only, test_mode=True) == ['a', 'stuff', 'crowd']
    assert names(indices=[2, 0]) == ['crowd', 'a'] and names(indices=1) == ['a']
    stuff = dict(stuff_classes=['sky', 'road'])
    with pytest.raises(ValueError, match='none of the 3 images.*filter_empty_gt=True leaves out'):
        names(filter_cfg=things_only, metainfo=stuff)
