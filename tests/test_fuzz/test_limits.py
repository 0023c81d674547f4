"""Cases that the properties found, and sizes that are refused before memory is taken."""

import json
import zlib

import pytest
import tiny
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmpfcn import PanopticFCNAssigner, PanopticFCNFusionHead
from mmpfcn.apis.checkpoint import read_checkpoint
from mmpfcn.datasets.panoptic_json import read_panoptic_json
from mmpfcn.datasets.panoptic_png import PNG_SIGNATURE, read_panoptic_png


def test_a_panoptic_map_of_absurd_size(tmp_path):
    header = (
        b'IHDR' + b''.join(side.to_bytes(4, 'big') for side in (60000, 60000)) + b'\x08\2\0\0\0'
    )
    chunk = len(header[4:]).to_bytes(4, 'big') + header + zlib.crc32(header).to_bytes(4, 'big')
    (tmp_path / 'bomb.png').write_bytes(PNG_SIGNATURE + chunk + bytes(4) + b'IEND')
    with pytest.raises(ValueError, match=r'bomb.png has 60000 x 60000 pixels, more than 268435456'):
        read_panoptic_png(str(tmp_path / 'bomb.png'))


@pytest.mark.parametrize(
    'content, message',
    [
        ('[' * 100_000, 'no complete JSON'),
        (dict(height=10**9), '5 x 1000000000 pixels'),
        (dict(height=None), 'unusable height'),
        (dict(file_name=3), 'unusable file_name'),
        (dict(id=[1]), 'unusable id'),
    ],
)
def test_absurd_json(tmp_path, content, message):
    if isinstance(content, dict):
        image = dict(dict(id=1, file_name='a.jpg', height=4, width=5), **content)
        content = json.dumps(dict(categories=[dict(id=1, name='car')], images=[image]))
    (tmp_path / 'data.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        read_panoptic_json(str(tmp_path / 'data.json'))


def test_an_empty_message_of_a_broken_checkpoint(tmp_path):
    """What PyTorch raises here, an EOFError, says nothing."""
    (tmp_path / 'empty.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='no checkpoint, or a damaged one'):
        read_checkpoint(tmp_path / 'empty.pth')


def test_an_image_of_one_pixel_has_targets():
    objects = InstanceData(
        masks=torch.ones(1, 1, 1), labels=torch.tensor([0]), bboxes=torch.tensor([[0.0, 0, 1, 1]])
    )
    assigner = PanopticFCNAssigner(1, 1, ((1, 64),))
    targets = assigner.assign(objects, torch.zeros(1, 1, dtype=torch.long), [(4, 4)], (8, 8))
    assert targets.masks.sum() == 1 and targets.levels[0].centers.max() == 1


def test_stuff_without_a_pixel_is_no_segment():
    settings = dict(tiny.config().test_cfg, stuff_area_limit=0)
    ones = torch.ones(1, dtype=torch.long)
    none = InstanceData(
        labels=ones[:0], scores=torch.ones(0), num_kernels=ones[:0], mask_logits=torch.ones(0, 2, 2)
    )
    regions = InstanceData(
        labels=torch.tensor([1, 2]), scores=torch.ones(2), num_kernels=ones.repeat(2),
        mask_logits=torch.tensor([1.0, -1]).view(2, 1, 1).expand(2, 2, 2),
    )  # fmt: skip
    sample = DetDataSample(metainfo=dict(img_shape=(8, 8), ori_shape=(8, 8)))
    head = PanopticFCNFusionHead(1, 2, settings)
    [result] = head.predict([none], [regions], [sample])
    assert [x['area'] for x in result['pan_results'].segments_info] == [64]
