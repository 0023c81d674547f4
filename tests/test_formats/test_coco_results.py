"""Results in COCO's panoptic format, drawn by hand."""

from types import SimpleNamespace

import numpy as np
from helpers.files import read_json

from mmpfcn.formats import read_panoptic_png
from mmpfcn.formats.coco_results import categories, coco_record, write_coco_json, write_png

META = dict(classes=['cat', 'sky'], thing_classes=['cat'], category_ids=[17, 3])
SEGMENT = dict(id=1000, label=0, name='cat', isthing=True, score=0.5, area=2, bbox=[0, 0, 2, 1],
               num_kernels=3)  # fmt: skip


def test_records_and_files(tmp_path):
    ids = np.array([[1000, 1000, 0]])
    result = SimpleNamespace(
        name='in/a.jpg', stem='a', panoptic_seg=ids, segments_info=[SEGMENT], dataset_meta=META,
        instances=[dict(label=0, score=0.25)],
    )  # fmt: skip
    write_png(result, tmp_path)
    assert read_panoptic_png(tmp_path / 'panoptic' / 'a.png').tolist() == ids.tolist()
    records = [coco_record(result), coco_record(SimpleNamespace(**{**vars(result), 'stem': 'b'}))]
    write_coco_json(records, META, tmp_path)
    content = read_json(tmp_path / 'panoptic.json')
    assert content['images'][1] == dict(id=1, file_name='in/a.jpg', height=1, width=3)
    segment = {key: value for key, value in SEGMENT.items() if key not in ('label', 'name')}
    segment = dict({**segment, 'category_id': 17, 'iscrowd': 0})
    del segment['isthing']
    assert content['annotations'][1] == dict(image_id=1, file_name='b.png', segments_info=[segment])
    expected = [dict(id=17, name='cat', isthing=1), dict(id=3, name='sky', isthing=0)]
    assert content['categories'] == categories(META) == expected
    assert [i['image_id'] for i in read_json(tmp_path / 'instances.json')] == [0, 1]


def test_no_image_and_no_category_ids(tmp_path):
    meta = dict(classes=['cat', 'sky'], thing_classes=['cat'])
    write_coco_json([], meta, tmp_path)
    content = read_json(tmp_path / 'panoptic.json')
    assert content['images'] == content['annotations'] == []
    assert [c['id'] for c in content['categories']] == [0, 1]
    assert not (tmp_path / 'instances.json').exists()
