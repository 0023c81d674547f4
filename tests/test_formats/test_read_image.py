"""Images of every kind, and what is none."""

import io

import cv2
import numpy as np
import pytest
from helpers.oracle import coco200
from PIL import Image

from mmpfcn.formats import read_image
from mmpfcn.formats.read_image import MAX_PIXELS, decode_image

COLOUR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3  # BGR


def written(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_files_arrays_and_pil_agree(tmp_path):
    """Grey becomes three equal channels, alpha is left out, 16 bits are scaled down."""
    path = written(tmp_path / 'a.png', COLOUR[..., ::-1])
    for source in (path, str(path), COLOUR, Image.fromarray(COLOUR[..., ::-1])):
        assert np.array_equal(read_image(source), COLOUR)
        assert read_image(source).flags.c_contiguous
    grey = COLOUR[..., 0]
    path = written(tmp_path / 'a.png', grey)
    for source in (path, grey, grey[..., None], Image.fromarray(grey)):
        assert np.array_equal(read_image(source), np.stack([grey] * 3, 2))
    rgba = np.dstack([COLOUR[..., ::-1], np.full((4, 6), 7, np.uint8)])
    path = written(tmp_path / 'a.png', rgba)
    bgra = np.dstack([COLOUR, rgba[..., 3]])
    for source in (path, bgra, Image.fromarray(rgba)):
        assert np.array_equal(read_image(source), COLOUR)
    deep = (COLOUR[..., 0].astype(np.uint16) << 8) + 255
    cv2.imwrite(str(tmp_path / 'a.png'), deep)
    expected = np.stack([COLOUR[..., 0]] * 3, 2)
    for source in (tmp_path / 'a.png', deep, Image.open(tmp_path / 'a.png')):
        assert np.array_equal(read_image(source), expected)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_turns_the_image_upright(tmp_path, orientation):
    """Files by OpenCV, PIL images by PIL: both as PIL shows them."""
    upright = cv2.resize(COLOUR, (96, 64))[..., ::-1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = written(tmp_path / 'a.jpg', upright, exif=exif, quality=100)
    from_file, from_pil = read_image(path), read_image(Image.open(path))
    assert from_file.shape == ((64, 96, 3) if orientation < 5 else (96, 64, 3))
    assert abs(from_file.astype(int) - from_pil).max() <= 3  # two decoders


def test_a_photo_and_half_of_it(tmp_path):
    path = min((coco200() / 'val2017').glob('*.jpg'))
    assert np.array_equal(read_image(path), cv2.imread(str(path)))
    content = min((coco200() / 'val2017').glob('*.jpg')).read_bytes()
    path = tmp_path / 'half.jpg'
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match='half.jpg is cut off'):
        read_image(path)


@pytest.mark.parametrize('name, content, message', [
    ('a.jpg', b'no image at all', 'a.jpg is no image'),
    ('a.jpg', b'', 'a.jpg is cut off'),
    ('a.mp4', b'no video', 'a.mp4 can not be read'),
])  # fmt: skip
def test_files_that_are_no_images(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / name)


@pytest.mark.parametrize('compression', ['tiff_adobe_deflate', 'tiff_lzw', 'jpeg'])
def test_a_tiff_of_which_a_part_is_damaged(tmp_path, compression):
    """Whole, it is read as ever; damaged, none of it is black without a word."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 80, 3), np.uint8))
    image.save(tmp_path / 'a.tif', compression=compression, strip_size=80 * 3 * 16)
    with Image.open(tmp_path / 'a.tif') as file:
        start, length = file.tag_v2[273][3], file.tag_v2[279][3]  # the fourth strip
    expected = np.array(Image.open(tmp_path / 'a.tif').convert('RGB'))[..., ::-1]
    assert np.abs(read_image(tmp_path / 'a.tif').astype(int) - expected).max() <= 1
    content = bytearray((tmp_path / 'a.tif').read_bytes())
    content[start : start + length] = bytes([200]) * length
    (tmp_path / 'a.tif').write_bytes(content)
    with pytest.raises(ValueError, match='a.tif can not be decoded'):
        read_image(tmp_path / 'a.tif')


def test_a_tiff_compressed_as_opencv_does_not_know_is_not_called_damaged(tmp_path):
    Image.new('RGB', (80, 96)).save(tmp_path / 'a.tif', compression='lzma')
    with pytest.raises(ValueError, match='compressed in a way that OpenCV does not know; .* LZW'):
        read_image(tmp_path / 'a.tif')


def test_what_is_not_there_or_no_image(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.jpg is not there'):
        read_image(tmp_path / 'nothing.jpg')
    with pytest.raises(TypeError, match='got int'):
        read_image(5)


@pytest.mark.parametrize(
    'shape, kind', [((4, 6, 3), 'f8'), ((4, 6, 2), 'u1'), ((0, 6, 3), 'u1'), ((5,), 'u1')]
)
def test_arrays_that_are_no_images(shape, kind):
    with pytest.raises(ValueError, match='the image is an array of .* expected uint8'):
        read_image(np.zeros(shape, kind))


def test_huge_images_are_refused_before_they_are_decoded():
    """A PNG of 20 kB that would be 30000 x 30000 pixels."""
    side = 30_000
    assert side**2 > MAX_PIXELS
    small = io.BytesIO()
    Image.new('1', (8, 8)).save(small, 'PNG')
    content = bytearray(small.getvalue())
    content[16:24] = side.to_bytes(4, 'big') * 2  # the size in its header
    crc = __import__('zlib').crc32(content[12:29]).to_bytes(4, 'big')
    content[29:33] = crc
    with pytest.raises(ValueError, match='bomb is refused|bomb has 30000 x 30000 pixels'):
        decode_image(bytes(content), 'bomb')
