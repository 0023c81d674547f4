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


def counted(videos, is_thing, windows):
    """The same from the definitions, by masks of tubes: videos are (T, H, W) ids and what they are."""
    quality, labels = {}, range(len(is_thing))
    for k in windows:
        iou, wrong, num = (np.zeros(len(is_thing)) for _ in range(3))
        for gt, kinds, pred, said in videos:
            for start in range(len(gt) - k + 1):
                g, p = gt[start : start + k], pred[start : start + k]
                known = np.isin(g, list(kinds))
                shown = [{i: x for i, x in y.items() if (z == i).any()} for y, z in ((kinds, g), (said, p))]
                matched = set()
                for i, x in shown[0].items():
                    for j, y in shown[1].items():
                        union = (g == i) | (p == j) & known
                        share = ((g == i) & (p == j)).sum() / union.sum()
                        if x.label == y.label and not x.is_crowd and share > 0.5:
                            iou[x.label] += share
                            num[x.label] += 1
                            matched |= {('gt', i), ('pred', j)}
                for i, x in shown[0].items():
                    wrong[x.label] += not x.is_crowd and ('gt', i) not in matched
                for j, y in shown[1].items():
                    crowds = [i for i, x in shown[0].items() if x.is_crowd and x.label == y.label]
                    ignored = (p == j) & (~known | np.isin(g, crowds))
                    wrong[y.label] += ('pred', j) not in matched and 2 * ignored.sum() <= (p == j).sum()
        seen = num + wrong > 0
        quality[f'VPQ_{k}'] = (iou[seen] / (num + wrong / 2)[seen]).mean() if seen.any() else np.nan
    common, either, association, things = np.zeros(len(labels)), np.zeros(len(labels)), 0, 0
    for gt, kinds, pred, said in videos:
        known = np.isin(gt, list(kinds))
        for label in labels:
            a, b = (np.isin(z, [i for i in y if y[i].label == label]) for y, z in ((kinds, gt), (said, pred)))
            common[label] += (a & b).sum()
            either[label] += ((a | b) & known).sum()
        counts = np.isin(gt, [i for i in kinds if not kinds[i].is_crowd])
        for i, x in kinds.items():
            a = gt == i
            if is_thing[x.label] and not x.is_crowd and a.any():
                things += 1
                tubes = [(pred == j) & counts for j, y in said.items() if is_thing[y.label]]
                association += sum((a & b).sum() ** 2 / (a | b).sum() for b in tubes) / a.sum()
    quality['SQ'] = (common[either > 0] / either[either > 0]).mean() if either.any() else np.nan
    quality['AQ'] = association / things if things else np.nan
    return quality


@pytest.mark.parametrize('seed', range(40))
def test_any_videos_are_counted_by_the_definitions(seed):
    rng = np.random.default_rng(seed)
    is_thing = [True] * rng.integers(1, 4) + [False] * rng.integers(3)
    quality, videos = VideoQuality(is_thing, (1, 2, 3)), []
    for _ in range(rng.integers(1, 4)):
        kinds, said = ({int(i): Segment(int(rng.integers(len(is_thing)))) for i in ids}
                       for ids in (rng.choice(99, 5, False) + 1, rng.choice(99, 5, False) + 1))  # fmt: skip
        first = next(iter(kinds))
        kinds[first] = Segment(kinds[first].label, bool(is_thing[kinds[first].label] and seed % 2))
        place = np.repeat(rng.integers(6, size=(1, 3, 5)), rng.integers(1, 6), axis=0)
        noisy = (np.where(rng.random(place.shape) < 0.2, rng.integers(6, size=place.shape), place)
                 for _ in range(2))  # fmt: skip
        gt, pred = (np.array([0, *x], np.int32)[y] for x, y in zip((kinds, said), noisy, strict=True))
        for g, p in zip(gt, pred, strict=True):
            quality.add(g, {i: kinds[i] for i in kinds if i in g}, p, {i: said[i] for i in said if i in p})
        quality.end_video()
        videos.append((gt, kinds, pred, said))
    result = quality.compute()
    for key, value in counted(videos, is_thing, (1, 2, 3)).items():
        assert result[key] == pytest.approx(value, abs=1e-12, nan_ok=True), key
