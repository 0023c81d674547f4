"""Videos and cameras as single frames."""

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .read_image import IMG_EXTENSIONS, VIDEO_EXTENSIONS, ImageSource

CAMERA_FPS = 10.0  # for cameras and files that do not say theirs
EBML, SEGMENT = b'\x1a\x45\xdf\xa3', b'\x18\x53\x80\x67'  # starts of Matroska's and WebM's parts
# what an MP4 or MOV is made of
BOXES = {b'ftyp', b'styp', b'moov', b'mdat', b'moof', b'mfra', b'free', b'skip', b'wide', b'uuid'}
# what OpenCV calls codings whose key frames say their size: Motion JPEG, MPEG-4 and so on
CODINGS_WITH_SIZE = {
    b'MJPG', b'FMP4', b'h264', b'hevc', b'VP80', b'VP90', b'AV01', b'mpg1', b'mpg2', b'flv1',
}  # fmt: skip
JPEG_STREAMS = ('.mjpeg',)  # start as images do
SHARE_READ = 0.8  # of the time that a file says it lasts; a video may be shorter than its sound


class Video(NamedTuple):
    """An open video or camera.

    After the last frame of a file that is cut off, or without any, and where the size of a file's
    frames changes, ``frames`` raise ValueError.
    """

    frames: Iterator[np.ndarray]  # (H, W, 3) uint8 BGR, upright, one by one
    fps: float
    num_frames: int | None  # as the file says; None where it does not, as for a camera


def is_video(source: ImageSource) -> bool:
    """Whether it is the path of a video: called like one, or else decoded as one."""
    if not isinstance(source, str) or '://' in source:
        return False
    named = source.lower().endswith(VIDEO_EXTENSIONS)
    if not os.path.isfile(source) or not is_text(source):
        return named
    if source.lower().endswith(JPEG_STREAMS):
        return True
    if source.lower().endswith(IMG_EXTENSIONS) or cv2.haveImageReader(source):
        return False
    if named:
        return True
    capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG)
    try:
        return capture.isOpened()
    finally:
        capture.release()


@contextmanager
def open_video(source: str | int, name: str) -> Iterator[Video]:
    """Open a video file or, with a number as ``source``, a camera; ``name`` is for messages.

    Raises FileNotFoundError, or ValueError for what can not be read or a camera that is not there.
    """
    is_file = isinstance(source, str)
    if is_file and not os.path.isfile(source):
        raise FileNotFoundError(f'video {name} is not there (looked for in {Path.cwd()})')
    if is_file and not is_text(source):
        raise ValueError(f'the name of the video {name} is not UTF-8: rename it')
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise ValueError(
                f"video {name} can not be read: it is damaged or not coded as OpenCV's FFmpeg "
                'knows it'
                if is_file
                else f'camera {source} can not be opened: try another number, from 0'
            )
        fps, count = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        num_frames = count if is_file and count > 0 else None
        fps = fps if fps > 0 else CAMERA_FPS
        frames = _whole(capture, source, name, num_frames, fps) if is_file else _captured(capture)
        yield Video(frames, fps, num_frames)
    finally:
        capture.release()


def is_text(path: str) -> bool:
    """Whether a path is UTF-8; for others OpenCV ends the process."""
    return path.encode(errors='replace').decode() == path


def _captured(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while (frame := capture.read()[1]) is not None:
        yield frame


def _whole(
    capture: cv2.VideoCapture, path: str, name: str, num_frames: int | None, fps: float
) -> Iterator[np.ndarray]:
    number, seconds, first = 0, 0.0, None
    sizes = packet_sizes(path)
    for frame in _captured(capture):
        size = next(sizes, None)
        first = first or size
        if size != first and size is not None:
            raise ValueError(
                f'video {name} changes its size from {" x ".join(map(str, first))} to '
                f'{" x ".join(map(str, size))} pixels at frame {number}: cut it there into two '
                'videos, or scale it to one size'
            )
        number += 1
        seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 + 1 / fps  # when the frame ends
        yield frame
    if not number:
        raise ValueError(f'video {name} has no frame that can be read: it is damaged')
    too_short = num_frames is not None and seconds < SHARE_READ * num_frames / fps
    if too_short or is_cut_off(path):
        said = '' if num_frames is None else f' of {num_frames}'
        raise ValueError(
            f'video {name} is cut off or damaged: it has {number}{said} frames that can be read: '
            'copy it again'
        )


def packet_sizes(path: str) -> Iterator[tuple[int, int] | None]:
    """(width, height) that each packet of a video says; None where it says none.

    OpenCV gives all frames the size of the first and what is left in its memory for their pixels.
    What a packet says shows when it is the only one of a video, whose head, an IVF's, says nothing.
    """
    packets = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    code = struct.pack('<i', int(packets.get(cv2.CAP_PROP_FOURCC)))
    try:
        while code in CODINGS_WITH_SIZE and (packet := packets.read()[1]) is not None:
            is_key = packets.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME)
            yield _size_of(code, packet.tobytes()) if is_key else None
    finally:
        packets.release()


def _size_of(code: bytes, packet: bytes) -> tuple[int, int] | None:
    head = struct.pack('<4sHH4sHHIIII', b'DKIF', 0, 32, code, 0, 0, 1, 1, 1, 0)
    with tempfile.NamedTemporaryFile(suffix='.ivf') as file:
        file.write(head + struct.pack('<IQ', len(packet), 0) + packet)
        file.flush()
        one = cv2.VideoCapture(file.name, cv2.CAP_FFMPEG)
        width = int(one.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(one.get(cv2.CAP_PROP_FRAME_HEIGHT))
        one.release()
    return (width, height) if width and height else None


def is_cut_off(path: str) -> bool:
    """Whether an AVI, MP4, MOV, Matroska or WebM file is shorter than its parts say."""
    size, at = os.path.getsize(path), 0
    with open(path, 'rb') as file:
        while at < size:
            file.seek(at)
            length = _part_length(file.read(16))
            if not length:
                return False
            at += length
    return at > size


def _part_length(head: bytes) -> int:
    """Bytes of a part of a video file that starts so; 0 where it does not say."""
    if head.startswith(b'RIFF'):
        length = int.from_bytes(head[4:8], 'little')
        return length and 8 + length
    if head.startswith((EBML, SEGMENT)):
        width = 9 - head[4].bit_length() if len(head) > 4 else 9
        most = 2 ** (7 * width) - 1  # stands for unknown
        length = int.from_bytes(head[4 : 4 + width], 'big') & most
        return 4 + width + length if width <= 8 and length != most else 0
    if head[4:8] in BOXES:
        length = int.from_bytes(head[:4], 'big')
        return int.from_bytes(head[8:], 'big') if length == 1 else length
    return 0
