"""Four strides from one map."""

import torch

from mmpfcn.models.simple_pyramid import SimplePyramid


def test_shapes_and_where_pixels_come_from():
    """A cell of stride 16 becomes 4 x 4 cells of stride 4, and nothing else."""
    torch.manual_seed(0)
    pyramid, feat = SimplePyramid(16), torch.randn(2, 16, 4, 6)
    outs = pyramid(feat)
    assert [out.shape[1] for out in outs] == pyramid.out_channels == [4, 8, 16, 16]
    assert [tuple(out.shape[2:]) for out in outs] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    feat[0, :, 1, 2] += torch.randn(16)
    for out, other, scale in zip(outs, pyramid(feat), (4, 2, 1), strict=False):
        rows, columns = (out != other).any(1)[0].nonzero(as_tuple=True)
        assert {*(rows // scale).tolist()} == {1} and {*(columns // scale).tolist()} == {2}
        assert len(rows) == scale**2 and torch.equal(out[1], other[1])


def test_the_size_of_activations_does_not_matter():
    pyramid, feat = SimplePyramid(16), torch.randn(1, 16, 4, 4)
    for out, other in zip(pyramid(feat), pyramid(100 * feat), strict=True):
        assert torch.allclose(out, other, atol=1e-3)
