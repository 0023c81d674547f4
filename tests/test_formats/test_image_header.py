"""Size, orientation and end of an image file, as they are decoded."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, features

from mmpfcn.datasets import LoadImage
from mmpfcn.formats import image_size, read_image
from mmpfcn.formats.image_header import avif_orientation, is_cut_off, read_header

PICTURE = cv2.resize(np.arange(5 * 3 * 3, dtype=np.uint8).reshape(5, 3, 3) * 5, (48, 80))
OPTIONS = dict(JPEG=dict(quality=98), PNG={}, WEBP=dict(lossless=True), TIFF={}, BMP={}, GIF={}, PPM={})


def encoded(kind: str, orientation: int | None = None, **options) -> bytes:
    """PICTURE in a format, with an EXIF orientation that does not fit it."""
    file = io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[274] = orientation
        options['exif'] = exif
    Image.fromarray(PICTURE).save(file, kind, **OPTIONS.get(kind, {}), **options)
    return file.getvalue()


def jpegs() -> dict[str, bytes]:
    """Kinds of JPEG: with several scans, restart markers, fill bytes, a thumbnail."""
    plain = encoded('JPEG')
    restarts = cv2.imencode('.jpg', PICTURE, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()
    exif = b'Exif\0\0' + b'II*\0\x08\0\0\0\0\0\0\0\0\0' + plain
    thumbnail = b'\xff\xd8\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + plain[2:]
    return dict(
        plain=plain, progressive=encoded('JPEG', progressive=True), restarts=restarts,
        fill=plain[:2] + b'\xff' * 9 + plain[2:], thumbnail=thumbnail,
    )  # fmt: skip


@pytest.mark.parametrize('name', jpegs())
def test_a_jpeg_ends_at_its_own_end(tmp_path, name):
    """Whatever a phone appends: a video, a second image, bytes that look like markers."""
    content = jpegs()[name]
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    behind = [b'', b'\xff\xda', b'\xff\xd8\xff\xe1', content, content[:-9], bytes(range(256)) * 9]
    for trailer in behind:
        assert read_header(content + trailer)[:2] == (80, 48)
        (tmp_path / 'a.jpg').write_bytes(content + trailer)
        assert np.array_equal(read_image(tmp_path / 'a.jpg'), expected)
    for end in range(2, len(content), 7):
        assert is_cut_off(content[:end])
    assert is_cut_off(content[:-1]) and not is_cut_off(content)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF'])
@pytest.mark.parametrize('orientation', [None, *range(1, 9)])
def test_all_readers_turn_upright(tmp_path, kind, orientation):
    if kind == 'AVIF' and not (cv2.haveImageWriter('a.avif') and features.check('avif')):
        pytest.skip('OpenCV or Pillow is built without AVIF')
    content = encoded(kind, orientation)
    path = tmp_path / 'a.file'
    path.write_bytes(content)
    expected = np.array(ImageOps.exif_transpose(Image.open(path)))[..., ::-1]
    image = read_image(path)
    assert image.shape == expected.shape == (*image_size(path), 3)
    assert abs(image.astype(int) - expected).max() <= (4 if kind in ('JPEG', 'AVIF') else 0)
    loaded = LoadImage().transform(dict(img_path=str(path)))
    assert np.array_equal(loaded['img'], image) and loaded['ori_shape'] == image_size(path)


@pytest.mark.parametrize('kind', OPTIONS)
def test_size_is_what_is_decoded(tmp_path, kind):
    (tmp_path / 'a').write_bytes(encoded(kind))
    assert image_size(tmp_path / 'a') == read_image(tmp_path / 'a').shape[:2] == (80, 48)


@pytest.mark.parametrize('kind', ['PNG', 'WEBP', 'JPEG'])
def test_what_lacks_its_end_is_cut_off(tmp_path, kind):
    content = encoded(kind)
    assert not is_cut_off(content)
    for share in (0.3, 0.6, 0.9, 0.99):
        path = tmp_path / 'a'
        path.write_bytes(content[: int(len(content) * share)])
        for read in (read_image, image_size):
            with pytest.raises(ValueError, match='cut off'):
                read(path)


def test_long_runs_of_ff_take_no_time():
    assert is_cut_off(b'\xff\xd8' + b'\xff' * 2_000_000 + b'\0')


def test_an_avif_that_is_turned_in_two_ways_is_refused():
    """As a collage may be; which of its images is decoded is not in the boxes alone."""
    turns = b''.join(b'\0\0\0\x09irot' + bytes([angle]) for angle in (1, 2))
    content = b'\0\0\0\x10ftypavif' + bytes(4) + (8 + len(turns)).to_bytes(4, 'big') + b'meta' + turns
    with pytest.raises(ValueError, match='image a is turned or mirrored in several ways'):
        avif_orientation(content, 'a')
    assert avif_orientation(content[:-9].replace(b'irot\1', b'irot\0'), 'a') == 1
