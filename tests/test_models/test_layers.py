"""What the heads and the encoder share."""

import torch

from mmpfcn.models.layers import append_coordinates


def test_coordinates_of_one_row_or_column():
    out = append_coordinates(torch.zeros(2, 1, 1, 3))
    assert out[:, 1].eq(-1).all()
    assert out[0, 2, 0].tolist() == [-1, 0, 1]
