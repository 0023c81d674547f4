"""Videos that are written."""

import cv2
import numpy as np
import pytest

from mmpfcn.formats.video_file import VideoFile


def test_a_video_has_its_name_when_it_is_closed(tmp_path):
    path = tmp_path / 'deep' / 'clip.mp4'
    with VideoFile(path, 12.5) as file:
        for value in (50, 200):
            file.add(np.full((49, 65, 3), (value, 0, 0), np.uint8))
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ['clip.mp4']
    video = cv2.VideoCapture(str(path))
    frames = [video.read()[1] for _ in range(2)]
    assert frames[0].shape == (48, 64, 3)  # the coding wants even sides
    assert [round(float(frame[..., 2].mean()), -1) for frame in frames] == [50, 200]
    assert not video.read()[0]


def test_a_frame_of_another_size_is_not_dropped_in_silence(tmp_path):
    with pytest.raises(OSError, match=r'could not be written \(1 of 2 frames\)'):
        with VideoFile(tmp_path / 'a.mp4', 10) as file:
            file.add(np.zeros((48, 64, 3), np.uint8))
            file.add(np.zeros((64, 64, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
