"""Each wrong segment has one kind of error, and the costs of the kinds add up to what PQ lacks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmpfcn.evaluation import panoptic_quality as pq
from mmpfcn.evaluation import segment_errors as errors

C = 3  # classes


def matching_of(gt: str, pred: str, labels: dict[str, int], crowds: str = '') -> pq.Matching:
    """One row of pixels each; a letter is a segment, a dot is void."""
    maps = [np.array([[0 if c == '.' else ord(c) for c in row]]) for row in (gt, pred)]
    segments = [
        {ord(c): pq.Segment(labels[c], c in crowds) for c in dict.fromkeys(row.replace('.', ''))}
        for row in (gt, pred)
    ]
    return pq.match_segments(*pq.count_pairs(*maps), *segments)


def names(kinds: np.ndarray) -> list[str | None]:
    return [None if kind == errors.NO_ERROR else errors.KINDS[kind] for kind in kinds.tolist()]


ONE_CLASS = dict.fromkeys('abcABC', 0)


@pytest.mark.parametrize('gt, pred, labels, missed, wrong', [
    ('aaaabb', 'AAAABB', {**ONE_CLASS, 'b': 1, 'B': 1}, [None, None], [None, None]),
    ('aaaa', '....', ONE_CLASS, ['missed'], []),
    # c is matched with 5 of 8 pixels; B lies where there is none of its class
    ('cccccccc', 'CCCCCBBB', {'c': 2, 'C': 2, 'B': 0}, [None], [None, 'false']),
    ('aaaabb', 'AAAABB', {**ONE_CLASS, 'A': 1}, ['wrong class', None], ['wrong class', None]),
    # IoU 0.4, and 0.05
    ('aaaaabbb', 'AA...BBB', ONE_CLASS, ['poor mask', None], ['poor mask', None]),
    ('a' * 20, 'A' + 19 * '.', ONE_CLASS, ['missed'], ['false']),
    # IoU 0.5 is no match
    ('aabb', 'AAAA', ONE_CLASS, ['merged', 'merged'], ['merged']),
    # A matches the larger one, and is right
    ('aaaaabb', 'AAAAAAA', ONE_CLASS, [None, 'merged'], [None]),
    ('aaaabb', 'AAAAAA', {**ONE_CLASS, 'b': 1}, [None, 'missed'], [None]),
    ('aaaaaaaa', 'AAAABBBB', ONE_CLASS, ['split'], ['split', 'split']),
    # a has its match, B is one part too many
    ('aaaaaaaa', 'AAAAABBB', ONE_CLASS, [None], [None, 'split']),
    # two parts, which cover only half
    ('aaaaaaaa', 'AABB....', ONE_CLASS, ['poor mask'], ['split', 'split']),
    # a crowd is never missed, and excuses what lies on it
    ('aaaabb', 'AAA.BB', ONE_CLASS | {'a': 1, 'A': 1}, [None, None], [None, None]),
    ('....bb', 'AA..BB', ONE_CLASS, [None], [None, None]),
])  # fmt: skip
def test_kinds_of_hand_made_cases(gt, pred, labels, missed, wrong):
    crowds = 'a' if labels.get('a') == 1 else ''
    matching = matching_of(gt, pred, labels, crowds)
    assert names(errors.missed_kinds(matching)) == missed
    assert names(errors.wrong_kinds(matching)) == wrong


@st.composite
def matchings(draw) -> pq.Matching:
    """Random maps of up to five segments, three classes and some crowds."""
    shape = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    gt = draw(arrays(np.int64, shape, elements=st.integers(0, 5)))
    shift = draw(arrays(bool, shape, fill=st.just(False)))
    other = draw(arrays(np.int64, shape, elements=st.integers(0, 5)))
    labels = st.lists(st.integers(0, C - 1), min_size=5, max_size=5)
    crowds = draw(st.lists(st.booleans(), min_size=5, max_size=5))
    gt_labels = draw(labels)
    pred_labels = draw(st.one_of(st.just(gt_labels), labels))
    pred = np.where(shift, other, gt)
    gt_segments = {i + 1: pq.Segment(gt_labels[i], crowds[i]) for i in range(5)}
    pred_segments = {i + 1: pq.Segment(pred_labels[i]) for i in range(5) if (pred == i + 1).any()}
    return pq.match_segments(*pq.count_pairs(gt, pred), gt_segments, pred_segments)


@settings(max_examples=200, deadline=None)
@given(matchings())
def test_kinds_are_a_partition_of_the_errors_and_costs_add_up(matching):
    missed, wrong = errors.missed_kinds(matching), errors.wrong_kinds(matching)
    assert np.array_equal(missed != errors.NO_ERROR, matching.missed)
    assert np.array_equal(wrong != errors.NO_ERROR, matching.wrong)
    missed_counts = errors.count_kinds(matching.gt_labels, missed, C)
    wrong_counts = errors.count_kinds(matching.pred_labels, wrong, C)
    statistics = pq.count_matching(matching, C)
    assert np.array_equal(missed_counts.sum(1), statistics[:, 3])
    assert np.array_equal(wrong_counts.sum(1), statistics[:, 2])
    losses = errors.lost_quality(statistics, missed_counts, wrong_counts)
    assert losses.sum(1) == pytest.approx(1 - pq.class_quality(statistics)[:, 0], nan_ok=True)
    assert np.nanmin(losses, initial=0) >= 0


@settings(max_examples=100, deadline=None)
@given(matchings())
def test_each_segment_has_one_size_and_is_taken_for_one_class(matching):
    sizes = errors.size_statistics(matching, C)
    assert sizes.sum(0) == pytest.approx(pq.count_matching(matching, C))
    taken = errors.taken_for(matching, C)
    assert taken.max(initial=C) == C
    counted = ~matching.is_crowd & (matching.gt_areas > 0)
    assert np.array_equal(taken >= 0, counted)


def test_sizes_by_area():
    """31 x 33 px are small, 32 x 32 medium, 96 x 96 large; the false one by its own size."""
    gt, pred = np.zeros((200, 400), np.int64), np.zeros((200, 400), np.int64)
    for number, (y, x, h, w) in enumerate(((0, 0, 31, 33), (0, 50, 32, 32), (50, 0, 96, 96)), 1):
        gt[y : y + h, x : x + w] = number
        pred[y : y + h, x : x + w] = number
    gt[:, 300:] = 9
    pred[:100, 350:] = 5
    gt_segments = {**{n: pq.Segment(0) for n in (1, 2, 3)}, 9: pq.Segment(1)}
    pred_segments = {**{n: pq.Segment(0) for n in (1, 2, 3)}, 5: pq.Segment(0)}
    matching = pq.match_segments(*pq.count_pairs(gt, pred), gt_segments, pred_segments)
    sizes = errors.size_statistics(matching, 2)
    assert list(errors.SIZES) == ['small', 'medium', 'large']
    assert sizes[:, 0, 1].tolist() == [1, 1, 1]  # TP
    assert sizes[:, 0, 2].tolist() == [0, 1, 0]  # FP of 100 x 50 px
    assert sizes[:, 1, 3].tolist() == [0, 0, 1]  # FN of 200 x 100 px
    labels = {'a': 0, 'b': 1, 'c': 2, 'A': 0, 'B': 1, 'D': 1, 'C': 2}
    matching = matching_of('aaaabbbbbcccc', 'AACCBDDAA....', labels)
    assert errors.taken_for(matching, C).tolist() == [0, 1, C]  # a tie; two parts together; nothing
