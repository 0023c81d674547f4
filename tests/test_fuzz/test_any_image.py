"""Headers of image files: the end of a JPEG and the orientation of EXIF, as they are decoded."""

import io
import struct
import zlib

import cv2
import numpy as np
from helpers.fuzzing import cases, edits, mutated
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mmpfcn.formats.image_header import PNG_SIGNATURE, is_cut_off, read_header
from mmpfcn.formats.read_image import decode_image, turn_upright

PIXELS = cv2.resize(np.arange(5 * 3 * 3, dtype=np.uint8).reshape(5, 3, 3) * 5, (24, 40))


def decoded(content: bytes) -> np.ndarray:
    """As stored."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def saved(kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


JPEGS = [
    saved('JPEG'),
    saved('JPEG', progressive=True),
    saved('JPEG', quality=100, subsampling=0),
    cv2.imencode('.jpg', PIXELS, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes(),
    cv2.imencode('.jpg', PIXELS[..., 0], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes(),
]
marks = st.sampled_from([b'\xff\xd8', b'\xff\xd9', b'\xff\xda', b'\xff\xc0', b'\xff\0', b'\xff' * 3])
embedded = st.sampled_from(JPEGS) | st.builds(
    lambda jpeg, end: jpeg[: int(end * len(jpeg))], st.sampled_from(JPEGS), st.floats(0, 1)
)
anything = st.lists(marks | embedded | st.binary(max_size=20), max_size=5).map(b''.join)
fill = st.integers(0, 5).map(lambda number: b'\xff' * number)
segments = st.lists(st.tuples(fill, st.sampled_from([*range(0xE0, 0xF0), 0xFE]), anything), max_size=4)


def with_segments(jpeg: bytes, segments: list) -> bytes:
    """Application segments and comments behind the start."""
    inner = b''.join(
        before + bytes([0xFF, kind]) + (len(content) + 2).to_bytes(2, 'big') + content
        for before, kind, content in segments
        if len(content) < 2**16 - 2 and not content.startswith((b'Adobe', b'Exif'))
    )
    return jpeg[:2] + inner + jpeg[2:]


@cases
@given(st.sampled_from(JPEGS), segments, anything, st.floats(0, 1, exclude_max=True))
def test_jpeg_and_what_is_around_it(jpeg, segments, trailer, cut):
    whole = with_segments(jpeg, segments)
    content = whole + trailer
    assert read_header(content) == read_header(jpeg)
    assert np.array_equal(decode_image(content, 'a picture'), decoded(jpeg))
    assert is_cut_off(whole[: max(int(cut * len(whole)), 2)]) and is_cut_off(whole[:-1])


@cases
@given(st.sampled_from(JPEGS), segments, edits)
def test_jpeg_that_is_damaged(jpeg, segments, edits):
    """What is read is what OpenCV decodes; what it warns of as premature is refused."""
    content = mutated(with_segments(jpeg, segments), edits)
    try:
        image = decode_image(content, 'a picture', 10**6)
    except ValueError as error:
        assert len(str(error)) > 20
    else:
        header = read_header(content)
        stored = decoded(content)
        if header is not None:
            stored = turn_upright(stored, header.orientation)
            assert image.shape[:2] == header.size
        assert np.array_equal(image, stored)


ORIENTATION = 274
FORMATS = {1: 'B', 3: 'H', 4: 'I', 8: 'h', 9: 'i'}
orders = st.sampled_from(['<', '>'])
orientations, words = st.integers(1, 8), st.integers(0, 2**16 - 1)
typed_words = st.tuples(st.sampled_from([3, 4]), words)
other_entries = st.dictionaries(st.sampled_from([271, 282, 296, 305, 306, 531]), typed_words, max_size=4)
tags = st.sampled_from([ORIENTATION, 256, 257, 34665]) | words
counts, values = st.sampled_from([0, 1, 2, 2**32 - 1]), st.sampled_from([0, 1, 6, 9, 2**16, 2**32 - 1])
any_entries = st.lists(st.tuples(tags, st.integers(0, 13), counts, values), max_size=5)


def directory(order: str, entries: list, gap: bytes, number: int | None = None) -> bytes:
    """A TIFF with one directory: (tag, type, count, value) of each entry."""
    head = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(f'{order}I', 8 + len(gap)) + gap
    packed = b''
    for tag, kind, count, value in entries:
        size = struct.calcsize(FORMATS.get(kind, 'I'))
        value = value.to_bytes(4, 'big' if order == '>' else 'little')
        value = value[-size:].ljust(4, b'\0') if order == '>' else value
        packed += struct.pack(f'{order}HHI', tag, kind, count) + value
    return head + struct.pack(f'{order}H', len(entries) if number is None else number) + packed + bytes(4)


def in_jpeg(exif: bytes) -> bytes:
    segment = b'Exif\0\0' + exif
    return JPEGS[0][:2] + b'\xff\xe1' + (len(segment) + 2).to_bytes(2, 'big') + segment + JPEGS[0][2:]


def in_png(exif: bytes) -> bytes:
    chunk = b'eXIf' + exif
    chunk = len(exif).to_bytes(4, 'big') + chunk + zlib.crc32(chunk).to_bytes(4, 'big')
    png = saved('PNG')
    return png[: len(PNG_SIGNATURE) + 25] + chunk + png[len(PNG_SIGNATURE) + 25 :]


def in_webp(exif: bytes) -> bytes:
    height, width = PIXELS.shape[:2]
    size = b''.join((side - 1).to_bytes(3, 'little') for side in (width, height))
    canvas = b'VP8X' + struct.pack('<II', 10, 8) + size
    chunk = b'EXIF' + struct.pack('<I', len(exif)) + exif + bytes(len(exif) % 2)
    body = b'WEBP' + canvas + saved('WEBP', lossless=True)[12:] + chunk
    return b'RIFF' + struct.pack('<I', len(body)) + body


CARRIERS = dict(JPEG=in_jpeg, PNG=in_png, WEBP=in_webp)


@cases
@given(st.sampled_from(sorted(CARRIERS)), orders, orientations, other_entries, st.binary(max_size=9))
def test_exif_orientation(kind, order, orientation, others, gap):
    """Read as Pillow reads it, and for JPEG and PNG as OpenCV does."""
    entries = [(tag, type_, 1, value) for tag, (type_, value) in others.items()]
    entries = sorted([*entries, (ORIENTATION, 3, 1, orientation)])
    content = CARRIERS[kind](directory(order, entries, gap))
    image = decode_image(content, 'a picture')
    assert read_header(content).orientation == orientation
    assert np.array_equal(image, turn_upright(decoded(content), orientation))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert image.shape[:2] == upright.size[::-1]
    assert abs(image.astype(int) - np.array(upright)[..., ::-1]).max() <= (4 if kind == 'JPEG' else 0)


def tiff(order: str, orientation: int) -> bytes:
    """PIXELS without compression in front of the directory, in either byte order."""
    height, width = PIXELS.shape[:2]
    bits = struct.pack(f'{order}3H', 8, 8, 8)
    gap = PIXELS.tobytes() + bits
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8 + len(gap) - 6), (259, 3, 1, 1),
        (262, 3, 1, 2), (273, 4, 1, 8), (ORIENTATION, 3, 1, orientation), (277, 3, 1, 3),
        (278, 3, 1, height), (279, 4, 1, PIXELS.nbytes),
    ]  # fmt: skip
    wrong, right = (struct.pack(f'{order}HHI', 258, kind, 3) for kind in (4, 3))
    content = directory(order, [(t, 4 if n > 1 else k, n, v) for t, k, n, v in entries], gap)
    return content.replace(wrong, right)


@cases
@given(orders, orientations)
def test_tiff_orientation(order, orientation):
    """OpenCV turns it by itself; Pillow agrees."""
    content = tiff(order, orientation)
    image = decode_image(content, 'a picture')
    assert np.array_equal(image, turn_upright(PIXELS[..., ::-1], orientation))
    assert read_header(content).size == image.shape[:2]
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert np.array_equal(image, np.array(upright)[..., ::-1])


directories = st.builds(directory, orders, any_entries, st.binary(max_size=9), st.none() | words)


@cases
@given(st.sampled_from(sorted(CARRIERS)), st.binary(max_size=60) | directories, edits)
def test_exif_of_any_bytes(kind, exif, edits):
    """An image of one of the eight orientations, the one that the header says."""
    content = CARRIERS[kind](mutated(exif, edits))
    header = read_header(content)
    assert 1 <= header.orientation <= 8 and not header.cut_off
    image = decode_image(content, 'a picture')
    assert np.array_equal(image, turn_upright(decoded(content), header.orientation))


@cases
@given(orders, any_entries, edits)
def test_tiff_of_any_bytes(order, entries, edits):
    whole = tiff(order, 6)
    content = mutated(whole, edits) if edits else directory(order, entries, whole[8:])
    try:
        image = decode_image(content, 'a picture', 10**6)
    except ValueError as error:
        assert len(str(error)) > 20
    else:
        header = read_header(content)
        assert header is None or image.shape[:2] == header.size
