"""VPQ and STQ of hand-drawn videos: labels 0 and 1 are things, 2 is stuff."""

import numpy as np
import pytest

from mmpfcn.evaluation.panoptic_quality import Segment
from mmpfcn.evaluation.video_quality import VideoQuality

SEGMENTS = {10: Segment(0), 11: Segment(0), 20: Segment(1), 30: Segment(2), 40: Segment(0, True)}
A, B, C, S, CROWD, VOID = 10, 11, 20, 30, 40, 0


def measure(*videos, windows=(1, 2)):
    """Videos are lists of pairs of rows of ids."""
    quality = VideoQuality([True, True, False], windows)
    for video in videos:
        for gt, pred in video:
            maps = [np.array([row], np.int32) for row in (gt, pred)]
            kinds = [{k: SEGMENTS[k] for k in set(row) if k} for row in (gt, pred)]
            quality.add(maps[0], kinds[0], maps[1], kinds[1])
        quality.end_video()
    return quality, quality.compute()


def test_a_right_video_is_perfect_under_any_ids():
    video = [([A, A, S, C], [B, B, S, C]), ([S, A, A, C], [S, B, B, C])]
    quality, result = measure(video)
    assert set(result.values()) == {1.0}
    assert quality.switches == 0 and quality.matches == 4


def test_an_object_that_changes_its_id():
    """Each frame is right; over two the tubes are half of the object, and no match."""
    row = [A, A, S, S]
    quality, result = measure([(row, [A, A, S, S]), (row, [B, B, S, S])])
    assert quality.switches == 1 and quality.matches == 2
    assert result['VPQ_1'] == 1
    assert result['VPQ_2'] == pytest.approx((0 + 1) / 2)  # one missed, two wrong; stuff is right
    assert result['VPQ'] == pytest.approx(0.75)
    # of 4 pixels each id has 2, with IoU 1/2: (2 / 2 + 2 / 2) / 4
    assert result['AQ'] == pytest.approx(0.5) and result['SQ'] == 1
    assert result['STQ'] == pytest.approx(0.5**0.5)


def test_tubes_are_compared_over_all_frames_of_a_window():
    """IoU 1/3 in one frame and 1 in the other are 4/6 of a tube."""
    video = [([A, A, A, S], [A, S, S, S]), ([A, A, A, S], [A, A, A, S])]
    _, result = measure(video)
    assert result['VPQ_2'] == pytest.approx((4 / 6 + 0) / 2)  # stuff: 2 of 4 is not more than half
    assert result['VPQ_1'] == pytest.approx((1 / (1 + 1 / 2 + 1 / 2) + 1 / (1 + 0.5 + 0.5)) / 2)
    assert result['AQ'] == pytest.approx(4 * 4 / 6 / 6)
    assert result['SQ'] == pytest.approx((4 / 6 + 2 / 4) / 2)


def test_association_does_not_ask_for_the_class():
    """C lies where A is: a wrong class, but one id."""
    _, result = measure([([A, A, S, S], [C, C, S, S])] * 2)
    assert result['AQ'] == 1 and result['VPQ_1'] == pytest.approx(1 / 3)
    assert result['SQ'] == pytest.approx((0 + 0 + 1) / 3)


def test_void_and_crowds_do_not_count_in_association():
    """Predictions on them are no mistake, and crowds no objects; a void prediction is one."""
    _, result = measure([([A, A, VOID, CROWD], [A, A, A, A])])
    assert result['AQ'] == 1
    assert result['SQ'] == pytest.approx(1)
    _, result = measure([([A, A, S, S], [A, VOID, S, S])])
    assert result['AQ'] == pytest.approx(1 / 2 * 1 / 2) and result['SQ'] == pytest.approx(3 / 4)


def test_windows_and_ids_end_with_their_video():
    one = [([A, S], [A, S])]
    quality, result = measure(one, [([A, S], [B, S])])
    assert quality.switches == 0
    assert result['VPQ_1'] == 1 and np.isnan(result['VPQ_2'])
    assert result['VPQ'] == 1 and result['STQ'] == 1


def test_what_is_kept_does_not_grow_with_the_frames():
    quality = VideoQuality([True, True, False], (1, 3))
    row = np.array([[A, A, S]])
    kinds = {A: Segment(0), S: Segment(2)}
    for _ in range(50):
        quality.add(row, kinds, row, kinds)
    kept = vars(quality)
    assert len(kept['_frames']) == 3 and len(kept['_tubes']) == 2


def test_an_id_of_two_classes_is_refused():
    quality = VideoQuality([True, True, False])
    row = np.array([[A]])
    quality.add(row, {A: Segment(0)}, row, {A: Segment(0)})
    with pytest.raises(ValueError, match='id 10 of a video is .*label=1.* has to stand for one object'):
        quality.add(row, {A: Segment(0)}, row, {A: Segment(1)})
