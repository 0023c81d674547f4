"""Sizes after resizing, by the published code's order of factors."""

from fractions import Fraction

import mmcv
import pytest

from mmpfcn.formats.short_side import short_side_size

SCALES = [(1333, 800), (666, 400), (854, 512), (1000, 600), (2048, 2048)]


@pytest.mark.parametrize('shape, scale, expected', [
    ((480, 640), (1333, 800), (1067, 800)),
    ((640, 480), (1333, 800), (800, 1067)),
    ((300, 640), (1333, 800), (1333, 625)),
    ((612, 612), (666, 400), (400, 400)),
    ((370, 620), (1333, 800), (1333, 795)),  # 795.5 if there were no rounding errors
    ((481, 806), (1333, 800), (1333, 795)),
    ((1, 1), (800, 1333), (800, 800)),  # whichever number comes first
])  # fmt: skip
def test_sizes(shape, scale, expected):
    assert short_side_size(shape, scale, 'a') == expected


@pytest.mark.parametrize('scale', SCALES)
def test_never_far_from_exact(scale):
    """A side is the exact one rounded; only where that ends in .5 it may be the one below."""
    differs = 0
    for h in range(31, 650, 3):
        for w in range(29, 650, 7):
            factor = min(Fraction(min(scale), min(h, w)), Fraction(max(scale), max(h, w)))
            for exact, side in zip(
                (w * factor, h * factor), short_side_size((h, w), scale, 'a'), strict=True
            ):
                half = exact % 1 == Fraction(1, 2)
                assert side == int(exact + Fraction(1, 2)) or half and side == int(exact)
            differs += short_side_size((h, w), scale, 'a') != mmcv.rescale_size((w, h), scale)
    assert differs < 100  # of 18,000


def test_a_side_that_vanishes_is_named():
    with pytest.raises(ValueError, match='thin.png is 6000 x 2 pixels .* to 1333 x 800: crop it'):
        short_side_size((2, 6000), (1333, 800), 'thin.png')
