"""Cases that the properties found, and sizes that are refused before memory is taken."""

import io
import json
import pickle
import resource
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.malicious import Call
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from PIL import Image

from mmpfcn import PanopticFCNAssigner, PanopticFCNFusionHead
from mmpfcn.apis.checkpoint import CheckpointError, read_checkpoint
from mmpfcn.commands import detectron2_to_mmpfcn
from mmpfcn.formats.panoptic_json import read_panoptic_json
from mmpfcn.formats.panoptic_png import PNG_SIGNATURE, read_panoptic_png, write_panoptic_png
from mmpfcn.formats.read_image import decode_image, read_image


@pytest.mark.parametrize('side, message', [
    (60000, r'bomb.png has 60000 x 60000 pixels, more than 268435456'),
    (16000, r'bomb.png has \d\d bytes, too few for 16000 x 16000 pixels'),
])  # fmt: skip
def test_a_panoptic_map_of_absurd_size(tmp_path, side, message):
    header = b'IHDR' + 2 * side.to_bytes(4, 'big') + b'\x08\2\0\0\0'
    chunk = len(header[4:]).to_bytes(4, 'big') + header + zlib.crc32(header).to_bytes(4, 'big')
    (tmp_path / 'bomb.png').write_bytes(PNG_SIGNATURE + chunk + bytes(4) + b'IEND' + bytes(4))
    with pytest.raises(ValueError, match=message):
        read_panoptic_png(str(tmp_path / 'bomb.png'))


@pytest.mark.parametrize('kind', [b'IHDR', b'IDAT', b'IEND'])
def test_a_chunk_that_claims_gigabytes(tmp_path, kind):
    """OpenCV would take them before it looks for them; the rest of the file is as it should be."""
    path = tmp_path / 'bomb.png'
    write_panoptic_png(path, np.full((9, 11), 7, np.int32))
    before, _, after = path.read_bytes().partition(kind)
    content = before[:-4] + (2**31 - 1).to_bytes(4, 'big') + kind + after
    path.write_bytes(content)
    for read in (read_panoptic_png, read_image, lambda path: decode_image(content, path)):
        with pytest.raises(ValueError, match=r'bomb.png is cut off \(\d+ bytes\)'):
            read(str(path))


def test_the_best_compressed_map_is_read(tmp_path):
    """A single id; its file is nearly as small as a PNG can be."""
    write_panoptic_png(tmp_path / 'flat.png', np.full((2000, 3000), 7, np.int32))
    assert (read_panoptic_png(str(tmp_path / 'flat.png')) == 7).all()
    content = (tmp_path / 'flat.png').read_bytes()
    assert 2000 * 3000 * 3 / 1032 < len(content) < 2000 * 3000 * 3 / 500


def picture(kind: str, side: int) -> bytes:
    """Of 9 x 11 pixels, with a header that says ``side`` x ``side``."""
    file = io.BytesIO()
    options = dict(lossless=True) if kind == 'WEBP' else {}
    Image.new('RGB', (11, 9)).save(file, kind, **options)
    content, size = file.getvalue(), side.to_bytes(4, 'little')
    if kind == 'GIF':
        return content[:6] + 2 * size[:2] + content[10:]
    if kind == 'BMP':
        return content[:18] + 2 * size + content[26:]
    if kind == 'TIFF':
        for tag, old in ((256, 11), (257, 9)):
            entry = tag.to_bytes(2, 'little') + b'\4\0\1\0\0\0'
            assert content.count(entry + old.to_bytes(4, 'little')) == 1
            content = content.replace(entry + old.to_bytes(4, 'little'), entry + size)
        return content
    canvas = b'VP8X' + (10).to_bytes(4, 'little') + bytes(4) + 2 * (side - 1).to_bytes(3, 'little')
    body = b'WEBP' + canvas + content[12:]
    return b'RIFF' + len(body).to_bytes(4, 'little') + body


@pytest.mark.parametrize('kind', ['GIF', 'BMP', 'TIFF', 'WEBP'])
def test_an_image_of_absurd_size(kind):
    """By PIL's limit; a WebP whose header contradicts itself by OpenCV's."""
    message = r'image a is refused: Image size \(3600000000 pixels\)'
    with pytest.raises(ValueError, match='CV_IO_MAX' if kind == 'WEBP' else message):
        decode_image(picture(kind, 60_000), 'a')


def test_a_gif_of_thousands_of_frames():
    """The first is read; all of them would be 4 GB."""
    file = io.BytesIO()
    Image.new('RGB', (512, 512), (1, 2, 3)).save(file, 'GIF')
    content = file.getvalue()
    start = 13 + 3 * 2 ** ((content[10] & 7) + 1)  # after the table of colours
    content = content[:start] + content[start:-1] * 5000 + content[-1:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image = decode_image(content, 'a')
    assert image.shape == (512, 512, 3) and (image == (3, 2, 1)).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize('content, message', [
    ('[' * 100_000, 'no complete JSON'),
    (dict(height=10**9), '5 x 1000000000 pixels'), (dict(height=None), 'unusable height'),
    (dict(file_name=3), 'unusable file_name'), (dict(id=[1]), 'unusable id'),
])  # fmt: skip
def test_absurd_json(tmp_path, content, message):
    if isinstance(content, dict):
        image = dict(dict(id=1, file_name='a.jpg', height=4, width=5), **content)
        content = json.dumps(dict(categories=[dict(id=1, name='car')], images=[image]))
    (tmp_path / 'data.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        read_panoptic_json(str(tmp_path / 'data.json'))


def compressed(path: Path) -> None:
    """The same file for PyTorch, 1 MB of zeros in some 1000 bytes."""
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    assert path.stat().st_size < 10_000


def overlapping(path: Path) -> None:
    """Every entry of the archive's table a hundred times, without compression."""
    with zipfile.ZipFile(path, 'a') as file:
        file.filelist *= 100
        file.comment = b'written anew'


def absurd_storage(path: Path) -> None:
    """One that says to have 10^13 numbers."""
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    number = b'J' + (250_000).to_bytes(4, 'little')
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in entries.items():
            if name.endswith('data.pkl'):
                assert content.count(number) == 2  # of the storage, and of the shape
                content = content.replace(number, b'\x8a\x08' + (10**13).to_bytes(8, 'little'))
            file.writestr(name, content)


@pytest.mark.parametrize('change, message', [
    (compressed, r'compressed, or with .* \d{3,4} bytes and unpacks to 1000\d{3}\. If you trust'),
    (overlapping, r'parts that overlap, it has 10\d{5} bytes and unpacks to 1000\d{5}\.'),
    (absurd_storage, 'no checkpoint, or a damaged one.*does not match expected size'),
])  # fmt: skip
def test_a_small_checkpoint_of_absurd_size(tmp_path, change, message):
    path = tmp_path / 'bomb.pth'
    torch.save(dict(state_dict=dict(a=torch.zeros(250_000))), path)
    assert read_checkpoint(path)['state_dict']['a'].numel() == 250_000
    change(path)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)
    with pytest.raises(detectron2_to_mmpfcn.ConversionError, match='could not be read'):
        detectron2_to_mmpfcn.load_weights(path, trust=False)


@pytest.mark.parametrize('legacy', [False, True])
def test_a_checkpoint_that_asks_for_memory(tmp_path, legacy):
    """PyTorch allows ``bytearray(number)``: it would be 10^15 bytes."""
    path, bomb = tmp_path / 'bomb.pth', dict(w=torch.ones(1), a=Call(bytearray, 10**15))
    torch.save(bomb, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match='bomb.pth is refused: it holds a bytearray'):
        read_checkpoint(path)
    with pytest.raises(detectron2_to_mmpfcn.ConversionError, match='it holds a bytearray'):
        detectron2_to_mmpfcn.load_weights(path, trust=False)


def test_a_checkpoint_that_only_ends_like_an_archive(tmp_path):
    """PyTorch goes by the start of the file, and reads the pickle before the archive."""
    path, bomb = tmp_path / 'bomb.pth', dict(w=torch.ones(1), a=Call(bytearray, 10**8))
    torch.save(bomb, path, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('a', 'b')
    with pytest.raises(CheckpointError, match='bomb.pth is refused: it holds a bytearray'):
        read_checkpoint(path)


def test_a_checkpoint_that_lost_bytes(tmp_path):
    """The table at the end then tells of a part that begins before the file."""
    path = tmp_path / 'cut.pth'
    torch.save(dict(w=torch.ones(1)), path)
    content = path.read_bytes()
    path.write_bytes(content[:60] + content[70:])
    with pytest.raises(CheckpointError, match='cut.pth is no checkpoint, or a damaged one'):
        read_checkpoint(path)


def test_a_published_file_of_absurd_arrays(tmp_path):
    """Of 10^15 bytes; with bytes that are not there; and what is no array."""
    array = Call(np.ndarray, (10**15,), 'u1')
    for content in (
        pickle.dumps(dict(model=dict(a=array)), protocol=2),
        b'\x80\x04}\x8c\x01a\x8e' + (10**15).to_bytes(8, 'little') + b'0',
        pickle.dumps(dict(model=dict(a=Call(bytearray, 10**15))), protocol=2),
    ):
        (tmp_path / 'bomb.pkl').write_bytes(content)
        with pytest.raises(detectron2_to_mmpfcn.ConversionError, match='could not be read'):
            detectron2_to_mmpfcn.load_weights(tmp_path / 'bomb.pkl', trust=False)


def test_an_empty_message_of_a_broken_checkpoint(tmp_path):
    """What PyTorch raises here, an EOFError, says nothing."""
    (tmp_path / 'empty.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='no checkpoint, or a damaged one'):
        read_checkpoint(tmp_path / 'empty.pth')


def test_an_image_of_one_pixel_has_targets():
    masks, boxes = torch.ones(1, 1, 1), torch.tensor([[0.0, 0, 1, 1]])
    objects = InstanceData(masks=masks, labels=torch.tensor([0]), bboxes=boxes)
    assigner = PanopticFCNAssigner(1, 1, ((1, 64),))
    targets = assigner.assign(objects, torch.zeros(1, 1, dtype=torch.long), [(4, 4)], (8, 8))
    assert targets.masks.sum() == 1 and targets.levels[0].centers.max() == 1


def test_stuff_without_a_pixel_is_no_segment():
    settings = dict(tiny.config().test_cfg, stuff_area_limit=0)
    ones = torch.ones(1, dtype=torch.long)
    logits = torch.tensor([1.0, -1]).view(2, 1, 1).expand(2, 2, 2)
    regions = InstanceData(labels=torch.tensor([1, 2]), scores=torch.ones(2), mask_logits=logits)
    regions.num_kernels = ones.repeat(2)
    none = regions[:0]
    sample = DetDataSample(metainfo=dict(img_shape=(8, 8), ori_shape=(8, 8)))
    head = PanopticFCNFusionHead(1, 2, settings)
    [result] = head.predict([none], [regions], [sample])
    assert [x['area'] for x in result['pan_results'].segments_info] == [64]
