"""What an image file says of itself before it is decoded: size, orientation, and its end.

Read here rather than by PIL, whose answers for TIFF and WebP are not what OpenCV decodes.
"""

import os
import re
from typing import NamedTuple

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
JP2_SIGNATURE, JP2_GREY = b'\0\0\0\x0cjP  \r\n\x87\n', 17
EXIF_ORIENTATION, TIFF_WIDTH, TIFF_HEIGHT = 274, 256, 257
BITS, PHOTOMETRIC, SAMPLES, PLANES, EXTRA_SAMPLES, SAMPLE_FORMAT = 258, 262, 277, 284, 338, 339
GREY, COLOUR_MAP = 1, 3  # of PHOTOMETRIC
TIFF_CHANNELS = {GREY: 1, 2: 3, COLOUR_MAP: 1, 6: 3}  # by PHOTOMETRIC: grey, RGB, map, YCbCr
CONVERTED_CHANNELS = {0: 1, 5: 4}  # inverted grey, CMYK: of 8 bits OpenCV makes grey and colours
PNG_CHANNELS = {0: (1, False), 2: (3, False), 3: (3, False), 4: (1, True), 6: (3, True)}
KINDS = {2: 'int', 3: 'float'}  # by SAMPLE_FORMAT; 'uint' of all others
ALPHA = (1, 2)  # kinds of EXTRA_SAMPLES
NUMBER_TYPES = {3: 2, 4: 4, 16: 8}  # of TIFF fields: SHORT, LONG and LONG8, and their bytes
TIFFS = b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'  # the last two are BigTIFF
AVIF_TURN = re.compile(rb'\0\0\0\x09(irot|imir)(.)', re.DOTALL)
# of EXIF: quarter turns to the left, then mirrored top to bottom (0) or left to right (1)
AVIF_ORIENTATIONS = {
    (): 1, (('imir', 1),): 2, (('irot', 2),): 3, (('imir', 0),): 4, (('irot', 3),): 6,
    (('irot', 1),): 8, (('irot', 1), ('imir', 0)): 5, (('irot', 3), ('imir', 0)): 7,
    (('irot', 3), ('imir', 1)): 5, (('irot', 1), ('imir', 1)): 7,
}  # fmt: skip

LIMIT = 'OPENCV_IO_MAX_IMAGE_PIXELS'
MAX_PIXELS = int(os.environ.get(LIMIT, '').isdecimal() and os.environ[LIMIT] or 2**28)
"""Larger images are refused before they are decoded: 16384 x 16384, 768 MiB of colours."""

# No marker occurs by chance in a JPEG's pixels: there, ff is followed by 00 or a restart marker.
# Of several ff in a row (fill bytes) the last one counts.
JPEG_MARKER = re.compile(rb'\xff([^\x00\xff\xd0-\xd7])')
START_OF_IMAGE, END_OF_IMAGE, TEMPORARY, APP1 = 0xD8, 0xD9, 0x01, 0xE1
START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


class Header(NamedTuple):
    """What a file says."""

    height: int  # in pixels as stored, before the image is turned upright
    width: int
    orientation: int = 1  # of EXIF, 1 to 8; 1 is upright
    cut_off: bool = False  # whether the file lacks its end
    bits: int = 8  # of a channel, where a PNG or TIFF says
    channels: int | None = None  # without alpha; of a PNG, a TIFF, and a JPEG 2000 of no colours
    alpha: bool = False  # of a PNG or TIFF
    kind: str = 'uint8'  # NumPy's name of the numbers of a PNG or TIFF
    photometric: int | None = None  # of a TIFF
    plain: bool = True  # grey or colours, as OpenCV reads them

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the upright image."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def read_header(content: bytes) -> Header | None:
    """The header of a JPEG, PNG, WebP, TIFF, JPEG 2000, BMP or GIF.

    None of another file, or without a size. What is behind the end of an image is ignored, such as
    the video that phones append to a JPEG.
    """
    if content.startswith(b'\xff\xd8'):
        header = _jpeg(content)
    elif content.startswith(PNG_SIGNATURE):
        header = _png(content)
    elif content.startswith(b'RIFF') and content[8:12] == b'WEBP':
        header = _webp(content)
    elif content.startswith(TIFFS):
        header = _tiff(_tiff_fields(content), _orientation(content))
    elif content.startswith(JP2_SIGNATURE):
        header = _jp2(content)
    elif content.startswith(b'BM'):
        h, w = (int.from_bytes(content[i : i + 4], 'little', signed=True) for i in (22, 18))
        header = Header(abs(h), w)
    elif content.startswith((b'GIF87a', b'GIF89a')):
        header = Header(*(int.from_bytes(content[i : i + 2], 'little') for i in (8, 6)))
    else:
        return None
    has_size = header.height > 0 and header.width > 0
    return header if has_size or header.cut_off else None


def is_cut_off(content: bytes) -> bool:
    """Whether a file is empty, or a JPEG, PNG or WebP without its end."""
    return not content or bool((header := read_header(content)) and header.cut_off)


def avif_orientation(content: bytes, name: str) -> int:
    """EXIF's number for how an AVIF, which OpenCV decodes as stored, is turned upright; else 1.

    Raises ValueError where its images are turned in different ways.
    """
    if content[4:8] != b'ftyp':
        return 1
    at = 0
    while content[at + 4 : at + 8] not in (b'meta', b'') and content[at : at + 4] > b'\0\0\0\x07':
        at += int.from_bytes(content[at : at + 4], 'big')
    meta = content[at : at + int.from_bytes(content[at : at + 4], 'big')]
    turns = dict.fromkeys((kind.decode(), turn[0] & 3) for kind, turn in AVIF_TURN.findall(meta))
    turns.pop(('irot', 0), None)
    orientation = AVIF_ORIENTATIONS.get(tuple(sorted(turns, reverse=True)))
    if orientation is None:
        raise ValueError(f'image {name} is turned or mirrored in several ways: save it as PNG')
    return orientation


def check_pixels(height: int, width: int, what: str, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ValueError for what is too large to be decoded; ``what`` is for the message."""
    if height * width > max_pixels:
        raise ValueError(
            f'{what} is refused: Image size ({height * width} pixels): {what} has '
            f'{width} x {height} pixels, more than {max_pixels}: cut it into tiles (mmpfcn '
            'predict --tile 1024 does) or make it smaller; if the memory holds it, set the '
            f'environment variable {LIMIT} to more'
        )


def _jpeg(content: bytes) -> Header:
    """Follow the segments to the end of the image; a thumbnail is inside of a segment."""
    height = width = 0
    orientation, at = 1, 2
    while found := JPEG_MARKER.search(content, at):
        kind, at = found[1][0], found.end()
        if kind == END_OF_IMAGE:
            return Header(height, width, orientation)
        if kind in (START_OF_IMAGE, TEMPORARY):
            continue
        segment = content[at + 2 : at + max(int.from_bytes(content[at : at + 2], 'big'), 2)]
        if kind in START_OF_FRAME and not height:
            height, width = (int.from_bytes(segment[i : i + 2], 'big') for i in (1, 3))
        if kind == APP1 and segment.startswith(b'Exif\0\0') and orientation == 1:
            orientation = _orientation(segment[6:])
        at += max(int.from_bytes(content[at : at + 2], 'big'), 2)
    return Header(height, width, orientation, cut_off=True)


def _png(content: bytes) -> Header:
    """Follow the chunks. OpenCV takes memory for what a chunk claims before it looks for it."""
    width, height = (int.from_bytes(content[i : i + 4], 'big') for i in (16, 20))
    bits, colours = content[24:26] if len(content) > 25 else (8, 2)
    channels, alpha = PNG_CHANNELS.get(colours, (None, False))
    orientation, at = 1, len(PNG_SIGNATURE)
    while at < len(content):
        length, kind = int.from_bytes(content[at : at + 4], 'big'), content[at + 4 : at + 8]
        if kind == b'eXIf':
            orientation = _orientation(content[at + 8 : at + 8 + length])
        at += 12 + length
        if kind == b'IEND':
            kind, cut_off = f'uint{max(bits, 8)}', at > len(content)
            return Header(height, width, orientation, cut_off, bits, channels, alpha, kind)
    return Header(height, width, orientation, cut_off=True)


def _webp(content: bytes) -> Header:
    end = 8 + int.from_bytes(content[4:8], 'little')
    height = width = 0
    orientation, at = 1, 12
    while at < min(end, len(content)):
        kind, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], 'little')
        part = content[at + 8 : at + 8 + length]
        if kind == b'EXIF':
            orientation = _orientation(part.removeprefix(b'Exif\0\0'))
        elif not height:
            height, width = _webp_size(kind, part)
        at += 8 + length + length % 2
    return Header(height, width, orientation, cut_off=end > len(content))


def _webp_size(kind: bytes, part: bytes) -> tuple[int, int]:
    """(H, W) that a chunk tells: the canvas, or the only frame; (0, 0) of other chunks."""
    if kind == b'VP8X':
        width, height = (int.from_bytes(part[i : i + 3], 'little') + 1 for i in (4, 7))
    elif kind == b'VP8L':
        bits = int.from_bytes(part[1:5], 'little')
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b'VP8 ':
        width, height = (int.from_bytes(part[i : i + 2], 'little') & 0x3FFF for i in (6, 8))
    else:
        return 0, 0
    return height, width


def _jp2(content: bytes) -> Header:
    """Bands that are no colours are grey of several channels, of which OpenCV reads the first."""
    at = content.find(b'jp2h')
    box = content[at : at - 4 + int.from_bytes(content[at - 4 : at], 'big')] if at > 0 else b''
    start, colours = box.find(b'ihdr') + 4, box[box.find(b'colr') + 4 :]
    places = ((0, 4), (4, 8), (8, 10), (10, 11))
    height, width, samples, bits = (
        int.from_bytes(box[start + i : start + j], 'big') for i, j in places
    )
    expected = 1 if int.from_bytes(colours[3:7], 'big') == JP2_GREY else 3
    has_alpha = samples == expected + 1 and b'cdef' in box
    has_others = colours[:1] != b'\1' or b'pclr' in box  # an ICC profile or a colour map
    known = samples == expected or has_alpha or has_others
    channels = None if known else samples
    return Header(height, width, bits=bits % 128 + 1, channels=channels, plain=known)


def _orientation(exif: bytes) -> int:
    """Of a TIFF or an EXIF block, which is a TIFF; 1 where it does not say."""
    value = _tiff_fields(exif).get(EXIF_ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def _tiff(fields: dict[int, int], orientation: int) -> Header:
    """Alpha is the last sample; what OpenCV makes of it, of planes, and of a map is not its own."""
    samples, photometric = fields.get(SAMPLES, 1), fields.get(PHOTOMETRIC, 1)
    bits, number = fields.get(BITS, 1), KINDS.get(fields.get(SAMPLE_FORMAT), 'uint')
    alpha = samples > 1 and fields.get(EXTRA_SAMPLES) in ALPHA
    kind = f'{number}{max(bits, 8)}'
    plain = samples == TIFF_CHANNELS.get(photometric) and photometric != COLOUR_MAP
    plain |= samples == CONVERTED_CHANNELS.get(photometric) and kind == 'uint8'
    plain &= fields.get(PLANES, 1) == 1 and kind in ('uint8', 'uint16')
    size = fields.get(TIFF_HEIGHT, 0), fields.get(TIFF_WIDTH, 0)
    channels = samples - alpha
    return Header(*size, orientation, False, bits, channels, alpha, kind, photometric, plain)


def _tiff_fields(content: bytes) -> dict[int, int]:
    """The single whole numbers of the first directory, by tag; the first of ``BITS`` and
    ``SAMPLE_FORMAT``, which are the same for all samples, and the last of ``EXTRA_SAMPLES``.
    """
    order = {b'II': 'little', b'MM': 'big'}.get(content[:2])
    if order is None:
        return {}

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], order)

    # bytes of an offset, of the number of entries, and of an entry
    word, few, entry = (8, 8, 20) if content.startswith(TIFFS[2:]) else (4, 2, 12)
    start = number(word, word)
    end = min(start + few + entry * number(start, few), len(content))
    fields: dict[int, int] = {}
    for at in range(start + few, end, entry):
        tag, size, count = number(at, 2), NUMBER_TYPES.get(number(at + 2, 2)), number(at + 4, word)
        if size and (count == 1 or tag in (BITS, SAMPLE_FORMAT, EXTRA_SAMPLES)):
            place = at + 4 + word
            place = place if count * size <= word else number(place, word)
            place += (count - 1) * size if tag == EXTRA_SAMPLES else 0
            fields.setdefault(tag, number(place, size))
    return fields
