"""The legend below a picture."""

import numpy as np
import pytest

from mmpfcn.visualization import add_legend

PICTURE = np.full((60, 200, 3), 7, np.uint8)
RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_classes_of_a_legend():
    result = add_legend(PICTURE, [('star', RED), ('sea', BLUE)])
    assert np.array_equal(result[:60], PICTURE) and result.shape[1] == 200
    for color in (RED, BLUE):
        assert (result[60:] == color).all(2).sum() > 100
    assert (result[60:] == 255).all(2).any()  # texts
    one = add_legend(PICTURE, [('star', RED)])
    many = add_legend(PICTURE, [(f'class {i}', RED) for i in range(9)])
    assert len(many) > 2 * (len(one) - 60) + 60
    assert add_legend(PICTURE, []) is PICTURE


@pytest.mark.parametrize('width', [1, 20, 60])
def test_a_name_longer_than_the_picture_is_cut(width):
    assert add_legend(PICTURE[:, :width], [('a very long name', RED)]).shape[1] == width
