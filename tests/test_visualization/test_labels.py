"""Where texts are written."""

import numpy as np
import pytest

from mmpfcn.visualization.labels import draw_texts, load_font, place_beside, place_labels, text_size


def test_every_text_is_inside_and_alone():
    """Random maps with many small and large segments, some at the border."""
    rng = np.random.default_rng(1)
    written = 0
    for _ in range(20):
        index = np.full((150, 200), -1)
        for number in range(15):
            y, x = rng.integers(-20, 150), rng.integers(-20, 200)
            height, width = rng.integers(5, 90, 2)
            index[max(0, y) : y + height, max(0, x) : x + width] = number
        sizes = [(int(w), 17) for w in rng.integers(20, 220, 15)]
        boxes = place_labels(index, sizes)
        canvas = np.zeros(index.shape, int)
        for number, (x0, y0, x1, y1) in boxes.items():
            assert 0 <= x0 and 0 <= y0 and x1 <= 200 and y1 <= 150
            assert (x1 - x0, y1 - y0) == sizes[number]
            canvas[y0:y1, x0:x1] += 1
            assert (index == number).sum() >= sizes[number][0] * sizes[number][1]
        assert canvas.max(initial=0) <= 1
        written += len(boxes)
    assert written > 60


def test_a_text_is_in_its_segment():
    index = np.full((100, 200), -1)
    index[20:60, 40:140] = 0
    ((x0, y0, x1, y1),) = place_labels(index, [(60, 16)]).values()
    assert (x0 + x1) / 2 == pytest.approx(90, abs=1)
    assert (y0 + y1) / 2 == pytest.approx(40, abs=1)
    # A tall narrow part is farther from the edge than a low wide one.
    index = np.full((120, 200), -1)
    index[10:110, 10:38] = 0
    index[90:110, 10:190] = 0
    ((x0, y0, x1, y1),) = place_labels(index, [(80, 16)]).values()
    assert index[y0:y1, x0:x1].mean() > -0.2
    index = np.full((100, 200), -1)
    index[20:26, 40:50] = 0
    assert place_labels(index, [(60, 16)]) == {}


@pytest.mark.parametrize('text', ['person (crowd) 0.99', 'Ägypten', 'jgpqy|'])
def test_a_written_text_stays_in_its_box(text):
    font = load_font(16)
    width, height = text_size(text, font)
    image = np.zeros((80, 300, 3), np.uint8)
    drawn = draw_texts(image, [(text, (20, 30, 20 + width, 30 + height))], font)
    ys, xs = np.nonzero(drawn[..., 0])
    assert 20 <= xs.min() and xs.max() < 20 + width
    assert 30 <= ys.min() and ys.max() < 30 + height
    assert drawn.max() == 255


def test_texts_beside_spots_are_near_inside_and_alone():
    rng = np.random.default_rng(2)
    spots = []
    for x, y, side in rng.integers([0, 0, 1], [180, 140, 60], (40, 3)).tolist():
        spots.append((x, y, min(x + side, 200), min(y + side, 150)))
    boxes = place_beside(spots, [(50, 15)] * 40, (150, 200))
    canvas = np.zeros((150, 200), int)
    for number, (x0, y0, x1, y1) in boxes.items():
        assert (x1 - x0, y1 - y0) == (50, 15)
        assert 0 <= x0 and 0 <= y0 and x1 <= 200 and y1 <= 150
        canvas[y0:y1, x0:x1] += 1
        left, top, right, bottom = spots[number]
        assert x0 <= right + 2 and x1 >= left - 2 and y0 <= bottom + 2 and y1 >= top - 2
    assert canvas.max() == 1 and len(boxes) >= 10
    boxes = place_beside([(10, 10, 110, 50), (150, 20, 154, 24)], [(40, 14)] * 2, (100, 190))
    assert boxes == {0: (40, 23, 80, 37), 1: (108, 15, 148, 29)}
