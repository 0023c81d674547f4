"""Videos as frames."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmpfcn.formats import list_inputs, read_image
from mmpfcn.formats.videos import packet_sizes


@pytest.mark.parametrize(
    'ending, coding', [('avi', 'MJPG'), ('mkv', 'MJPG'), ('webm', 'VP80'), ('flv', 'FLV1')]
)
@pytest.mark.parametrize('share', [0.35, 0.6, 0.75])
def test_a_video_that_is_cut_off_says_so_after_its_frames(tmp_path, ending, coding, share):
    path = str(tmp_path / f'clip.{ending}')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*coding), 10, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(30):
        writer.write(cv2.resize(noise.integers(0, 256, (6, 8, 3), np.uint8), (64, 48)))
    writer.release()
    assert len(list(list_inputs(path))) == 30
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: int(len(content) * share)])
    *frames, last = list_inputs(path)
    assert 0 < len(frames) < 30
    with pytest.raises(ValueError, match=f'cut off or damaged: it has {len(frames)} of 30 frames'):
        read_image(last.source)


def write(path: Path, coding: str, size: tuple[int, int], num_frames: int) -> bytes:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*coding), 10, size)
    noise = np.random.default_rng(0)
    for _ in range(num_frames):
        writer.write(cv2.resize(noise.integers(0, 256, (6, 8, 3), np.uint8), size))
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize('sizes', [((96, 64), (128, 96)), ((128, 96), (96, 64)), ((96, 64), (64, 96))])
def test_a_video_whose_size_changes_says_so_after_its_frames(tmp_path, sizes):
    parts = [write(tmp_path / 'part.ts', 'mp4v', size, 20) for size in sizes]
    path = tmp_path / 'clip.ts'  # whose parts may follow each other
    path.write_bytes(b''.join(parts))
    *frames, last = list_inputs(str(path))
    assert len(frames) == 20
    assert {frame.source.shape for frame in frames} == {(sizes[0][1], sizes[0][0], 3)}
    (a, b), (c, d) = sizes
    message = f'changes its size from {a} x {b} to {c} x {d} pixels at frame 20: cut it there'
    with pytest.raises(ValueError, match=message):
        read_image(last.source)
    path.write_bytes(2 * parts[0])
    assert len(list(list_inputs(str(path)))) == 40


@pytest.mark.parametrize('ending, coding, said', [
    ('avi', 'MJPG', 12), ('mkv', 'MJPG', 12), ('avi', 'XVID', 1), ('webm', 'VP80', 1), ('webm', 'VP90', 1),
    ('flv', 'FLV1', 1), ('mp4', 'mp4v', 0), ('avi', 'FFV1', 0),
])  # fmt: skip
def test_sizes_that_packets_say(tmp_path, ending, coding, said):
    path = tmp_path / f'clip.{ending}'
    write(path, coding, (96, 64), 12)
    sizes = [size for size in packet_sizes(str(path)) if size is not None]
    assert len(sizes) >= said and set(sizes) <= {(96, 64)}


def test_a_stream_of_jpegs_is_a_video_though_it_starts_as_an_image(tmp_path):
    path = tmp_path / 'clip.mjpeg'
    frames = [np.full((48, 64, 3), value, np.uint8) for value in (10, 100, 200)]
    path.write_bytes(b''.join(cv2.imencode('.jpg', frame)[1].tobytes() for frame in frames))
    assert [round(read_image(item.source).mean()) for item in list_inputs(path)] == [10, 100, 200]
