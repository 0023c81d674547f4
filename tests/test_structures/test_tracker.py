"""Numbers of things over frames, on drawn rectangles with given kernels."""

import json

import numpy as np
import pytest

from mmpfcn.structures import Tracker, segment_index

SIZE = (60, 80)
EYE = np.eye(8)


def frame(*things, size=SIZE):
    """Map, segments and kernels of things (label, y, x, side, kernel), then of stuff everywhere else."""
    ids = np.full(size, 7, np.int32)
    segments, kernels = [], []
    for label, y, x, side, kernel in things:
        ids[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)] = 1000 + len(segments)
        box = [x, y, side, side]
        segments.append(dict(id=1000 + len(segments), label=label, isthing=True, bbox=box))
        kernels.append(kernel)
    segments.append(dict(id=7, label=7, isthing=False))
    index = segment_index(ids, [segment['id'] for segment in segments])
    return index, segments, np.array([*kernels, EYE[7]])


def numbers(tracker, *things):
    *found, stuff = tracker.update(*frame(*things))
    assert stuff == 0
    return found


def test_numbers_go_with_things_that_pass_each_other():
    """Of one class and one kernel: by where they move. The order of the segments does not matter."""
    tracker, same = Tracker(), EYE[0]
    for time in range(30):
        things = [(0, 10, 2 * time, 12, same), (0, 26, 60 - 2 * time, 12, same)]
        found = numbers(tracker, *things[:: 1 if time % 2 else -1])
        assert found == ([1, 2] if time % 2 else [2, 1]) or time == 0
        if time == 0:
            assert found == [1, 2]
            tracker = Tracker()
            numbers(tracker, *things)


def test_kernels_decide_where_masks_do_not():
    """Two things of a class are each at an equal distance from where both were, and overlap neither."""
    for order in (1, -1):
        tracker = Tracker()
        assert numbers(tracker, (0, 20, 10, 10, EYE[0]), (0, 20, 34, 10, EYE[1])) == [1, 2]
        kernels = [EYE[0], EYE[1]][::order]
        later = [(0, y, 22, 10, kernel) for y, kernel in zip((8, 34), kernels, strict=True)]
        assert numbers(tracker, *later) == [1, 2][::order]


def test_another_class_or_place_is_another_thing():
    tracker = Tracker()
    assert numbers(tracker, (0, 5, 5, 10, EYE[0])) == [1]
    assert numbers(tracker, (1, 5, 5, 10, EYE[0])) == [2]
    assert numbers(tracker, (0, 45, 65, 10, EYE[0])) == [3]  # alike, but far away
    assert numbers(tracker, (0, 25, 5, 10, EYE[1])) == [4]  # near, but not alike
    assert numbers(tracker, (0, 6, 6, 10, EYE[2])) == [1]  # not alike, but on it


@pytest.mark.parametrize('gone, number', [(0, 1), (5, 1), (6, 2)])
def test_a_hidden_thing_is_remembered_where_its_motion_takes_it(gone, number):
    tracker = Tracker(memory=5)
    for time in range(6):
        assert numbers(tracker, (0, 20, 3 * time, 10, EYE[0])) == [1]
    for _ in range(gone):
        assert numbers(tracker) == []
    place = 3 * (6 + gone)
    assert numbers(tracker, (0, 20, place, 10, -EYE[0])) == [number]  # a kernel that says no


def test_many_things_at_once_have_different_numbers_and_few_tracks_are_kept():
    rng, tracker, given = np.random.default_rng(0), Tracker(memory=3), set()
    for _ in range(200):
        things = [(0, *rng.integers(0, 60, 2), 6, rng.normal(size=8)) for _ in range(rng.integers(5))]
        found = numbers(tracker, *things)
        assert len(set(found)) == len(things) and 0 not in found
        given.update(found)
    state = tracker.state()
    assert len(state['tracks']) <= 4 * (1 + tracker.memory)
    assert given == set(range(1, state['count'] + 1))


def test_a_state_in_the_middle_gives_the_same_numbers():
    rng = np.random.default_rng(1)
    speeds, starts = rng.normal(size=(6, 2)), rng.uniform(0, 60, (6, 2))
    frames = []
    for time in range(40):
        places = (starts + time * speeds).astype(int)
        seen = [i for i in range(6) if rng.random() < 0.8]
        kernel = rng.normal(size=(6, 8)).astype(np.float32) * 0.2 + EYE[:6].astype(np.float32)
        frames.append(frame(*((i % 2, *places[i].tolist(), 9, kernel[i]) for i in seen)))
    whole = Tracker()
    expected = [whole.update(*f) for f in frames]
    assert max(map(max, expected)) < 12
    tracker = Tracker()
    for number, f in enumerate(frames):
        tracker = Tracker.from_state(json.loads(json.dumps(tracker.state())))
        assert tracker.update(*f) == expected[number]


def test_another_size_begins_anew_and_large_maps_are_compared_coarsely():
    """Things that lie between the places that are compared are followed too."""
    tracker = Tracker()
    assert numbers(tracker, (0, 5, 5, 10, EYE[0])) == [1]
    for time in range(3):
        things = [(0, 100, 100, 200, EYE[0]), (0, 903 + time, 901, 3, EYE[1]), (1, 41, 51, 2, EYE[2])]
        assert tracker.update(*frame(*things, size=(1200, 1600))) == [2, 3, 4, 0]
    tracks = tracker.state()['tracks']
    assert [sum(track['pixels'][1]) for track in tracks] == [pytest.approx(625, rel=0.1), 1, 1]


@pytest.mark.parametrize('size', [(1200, 1600), (3000, 4000)])
def test_things_side_by_side_that_are_smaller_than_the_grid_keep_their_numbers(size):
    """Several lie in one of its places: each has one all the same, and is where it was."""
    tracker, rng = Tracker(), np.random.default_rng(0)
    places = [(y, x) for y in range(700, 712, 4) for x in range(901, 913, 4)]
    for order in [range(9), *(rng.permutation(9).tolist() for _ in range(4))]:
        things = [(0, *places[i], 3, EYE[i % 8]) for i in order]
        assert tracker.update(*frame(*things, size=size)) == [*(i + 1 for i in order), 0]
    assert [sum(track['pixels'][1]) for track in tracker.state()['tracks']] == [1] * 9


def apart(rng, count, frames, jitter):
    """Places (frames, count, 2) and sides of things that move up to a side a frame, or tremble.

    At first, where nobody knows how they move, each is nearer to where it was than another is.
    """
    places, sides, speeds = [], [], []
    while len(places) < count:
        side = int(rng.integers(2, 7))
        speed = rng.uniform(-1, 1, 2) * side * (not jitter)
        way = rng.uniform(200, 400, 2) + speed * np.arange(frames)[:, None]
        way += rng.uniform(-jitter, jitter, way.shape)
        gaps = [max(side, s) + 2 + 2 * jitter for s in sides]
        steps = [2 * np.abs([speed, s]).max(1).sum() for s in speeds]
        if all(
            (np.abs(way - other).max(1) >= gap + step * (np.arange(frames) < 2)).all()
            for other, gap, step in zip(places, gaps, steps, strict=True)
        ):
            places, sides, speeds = [*places, way], [*sides, side], [*speeds, speed]
    return np.rint(np.stack(places, 1)).astype(int), sides


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('size', [(600, 800), (1200, 1600), (3000, 4000)])  # places of 4, 8 and 20 px
def test_moving_things_that_are_smaller_than_the_grid_keep_their_numbers(size, seed):
    """Of 2 to 6 pixels, of one class, alike in half of the cases, in any order."""
    rng, tracker = np.random.default_rng(seed), Tracker()
    count, frames = 20, 8 if size[0] > 2000 else 16
    places, sides = apart(rng, count, frames, jitter=seed % 2)
    numbers_of = {}
    for now in places:
        order = rng.permutation(count).tolist()
        kernels = rng.normal(size=(count, 8)) * 0.05 + EYE[np.arange(count) % 8 * (seed % 4 > 1)]
        things = [(0, *now[i].tolist(), sides[i], kernels[i]) for i in order]
        *found, _ = tracker.update(*frame(*things, size=size))
        numbers_of = numbers_of or dict(zip(order, found, strict=True))
        assert found == [numbers_of[i] for i in order]
