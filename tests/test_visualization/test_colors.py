"""Colours of classes and of their objects."""

import colorsys

import pytest
from mmdet.datasets import CocoPanopticDataset

from mmpfcn.visualization.colors import class_palette, label_colors, shades

PALETTE = [(220, 20, 60), (0, 0, 142), (70, 130, 180)]


def hue(color):
    return colorsys.rgb_to_hsv(*(int(channel) / 255 for channel in color))[0]


@pytest.mark.parametrize('color', CocoPanopticDataset.METAINFO['palette'] + [(0, 0, 0)])
def test_shades_are_different_and_of_one_hue(color):
    result = shades(color, 20)
    assert len(set(result)) == 20 and result[0] == color
    distances = [abs(hue(shade) - hue(color)) for shade in result]
    assert max(min(distance, 1 - distance) for distance in distances) < 0.01
    assert shades(color, 5) == result[:5]


def test_the_first_of_each_class_has_its_colour():
    colors = label_colors([1, 0, 1], PALETTE)
    assert colors[0].tolist() == list(PALETTE[1])
    assert colors[1].tolist() == list(PALETTE[0])
    assert colors[2].tolist() == list(shades(PALETTE[1], 2)[1])


@pytest.mark.parametrize('palette', [None, 'random', [(1, 2, 3)]])
def test_a_palette_is_made_up_where_there_is_none(palette):
    meta = dict(classes=('cat', 'dog'), palette=palette)
    assert len(class_palette(meta)) == 2 and class_palette(meta) == class_palette(meta)
    assert class_palette(dict(meta, palette=PALETTE)) == PALETTE


def test_a_track_has_one_shade_whatever_else_there_is():
    colors = label_colors([1, 0, 1, 1], PALETTE, [5, 0, 6, 0])
    alone = label_colors([1], PALETTE, [6])
    assert colors[2].tolist() == alone[0].tolist() != colors[0].tolist()
    assert colors[1].tolist() == list(PALETTE[0]) and colors[3].tolist() == list(PALETTE[1])
