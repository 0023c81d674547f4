"""Videos as frames."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmpfcn.formats import list_inputs, read_image


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
