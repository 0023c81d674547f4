"""What an inferencer leaves in a folder."""

import cv2
import pytest
from helpers.files import read_json
from helpers.onnx_model import IDS
from helpers.tiny_inferencer import picture

from mmpfcn.datasets import PanopticDataset


def test_files_are_a_panoptic_data_set(inferencer, tmp_path):
    """PanopticDataset reads what was written; the ids and categories are those of the results."""
    (tmp_path / 'in' / 'sub').mkdir(parents=True)
    for seed, name in enumerate(('a.png', 'sub/a.png')):
        cv2.imwrite(str(tmp_path / 'in' / name), picture(seed=seed))
    answer = inferencer(tmp_path / 'in', out_dir=tmp_path / 'out', instances=True, return_vis=True)
    files = {p.relative_to(tmp_path / 'out').as_posix() for p in tmp_path.glob('out/**/*.*')}
    assert files == {
        'panoptic.json', 'instances.json',
        'panoptic/a.png', 'panoptic/sub/a.png', 'vis/a.jpg', 'vis/sub/a.jpg',
    }  # fmt: skip
    dataset = PanopticDataset(
        str(tmp_path / 'out' / 'panoptic.json'),
        data_prefix=dict(img='', seg=str(tmp_path / 'out' / 'panoptic')),
        pipeline=[dict(type='LoadPanopticGroundTruth', panoptic=True)],
    )
    assert list(dataset.metainfo['category_ids']) == IDS
    for record, result in zip(dataset, answer['predictions'], strict=True):
        assert record['img_path'] == result.name
        areas = {s['label']: s['area'] for s in result.segments_info if not s['isthing']}
        read = {s['label']: s['area'] for s in record['gt_panoptic_segments'] if not s['isthing']}
        assert read == areas
        assert len(record['gt_masks']) == sum(s['isthing'] for s in result.segments_info)
    instances = read_json(tmp_path / 'out' / 'instances.json')
    assert len(instances) == sum(len(r.instances) for r in answer['predictions'])
    drawn = cv2.imread(str(tmp_path / 'out' / 'vis' / 'a.jpg'))[..., ::-1]
    assert abs(drawn.astype(int) - answer['visualization'][0]).mean() < 8


def test_results_so_far_are_kept_when_a_run_is_broken_off(inferencer, tmp_path):
    def images():
        yield picture()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inferencer(images(), out_dir=tmp_path)
    content = read_json(tmp_path / 'panoptic.json')
    assert [a['file_name'] for a in content['annotations']] == ['000000.png']
    assert (tmp_path / 'panoptic' / '000000.png').is_file()
