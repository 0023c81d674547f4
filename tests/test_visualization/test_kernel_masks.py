"""Pictures of single kernels."""

import numpy as np

from mmpfcn.visualization.heat_maps import MASK_ALPHA, OUTLINE, TAKEN, draw_mask

DARK = 35  # grey of 100 as a background
RED = (200, 0, 0)


def left_half() -> np.ndarray:
    prob = np.zeros((10, 20), np.float16)
    prob[:, :10] = 1
    return prob


def mixed(color) -> np.ndarray:
    return (1 - MASK_ALPHA) * DARK + MASK_ALPHA * np.array(color)


def test_probability_border_and_what_others_have():
    canvas = np.full((40, 80, 3), 100, np.uint8)
    drawn = draw_mask(canvas, left_half(), RED)
    assert np.abs(drawn[20, 10] - mixed((255, 0, 0))).max() <= 1  # at full value
    assert np.all(drawn[20, 70] == DARK)
    half = draw_mask(canvas, left_half() / 2, RED)
    assert np.abs(half[20, 10].astype(int) - (drawn[20, 10].astype(int) + DARK) / 2).max() <= 1
    assert np.all(canvas == 100)
    rows, columns = np.nonzero((draw_mask(canvas, left_half(), RED, 0.5) == OUTLINE).all(-1))
    assert columns.max() in (39, 40) and set(rows) == set(range(40))
    assert not (draw_mask(canvas, left_half() * 0.4, RED, 0.5) == OUTLINE).all(-1).any()
    taken = np.zeros((400, 800), bool)
    taken[:200] = True
    drawn = draw_mask(canvas, left_half(), RED, 0.5, taken)
    assert np.abs(drawn[10, 20] - mixed(TAKEN)).max() <= 1
    assert np.abs(drawn[30, 20] - mixed((255, 0, 0))).max() <= 1
    assert np.all(drawn[10, 70] == DARK)
