import numpy as np
import pytest
import torch
from helpers.tiny import NUM_THINGS, STUFF

from mmpfcn.models.assigner import draw_gaussians
from mmpfcn.visualization import targets
from mmpfcn.visualization.colors import ANY_THING, LEVELS

CLASSES = ('a', 'b', 'c')
PALETTE = [(200, 0, 0), (0, 100, 0), (0, 0, 40)]
CANVAS = np.full((240, 320, 3), 100, np.uint8)
DARK = 35  # the canvas as a background


def drawn_object(box, levels, label=0):
    """An object whose mask is its box, on the canvas at stride 1."""
    x1, y1, x2, y2 = box
    mask = np.zeros((60, 80), np.float32)
    mask[y1 // 4 : y2 // 4, x1 // 4 : x2 // 4] = 1
    return targets.TargetObject(label, box, mask, levels)


def where(image, color):
    return np.all(image == color, axis=-1)


@pytest.mark.parametrize('label, color', [(0, (255, 0, 0)), (1, (0, 255, 0)), (2, (0, 0, 255))])
def test_a_heat_map_is_white_at_the_centre_and_coloured_around(label, color):
    """Cells of 20 pixels; also of a class whose colour is dark."""
    place = torch.tensor([label]), torch.tensor([[10.0, 4.0]]), torch.tensor([3.0])
    centers = draw_gaussians((12, 16), *place, 3).numpy()
    drawn = targets.draw_centers(CANVAS, centers, CLASSES, PALETTE)
    cells = drawn.reshape(12, 20, 16, 20, 3)[:, 0, :, 0]  # left upper corner: free of the name
    assert np.argwhere(where(cells, 255)).tolist() == [[4, 10]]
    # beside it between the colour and white, then ever fainter; outside of the radius background
    right = cells[4, 11:14].astype(int)
    main = color.index(255)
    assert right[0].argmax() == main and np.all(np.diff(right[:, main]) < 0)
    assert np.all(cells[4, 14:] == DARK) and np.all(cells[:, :7] == DARK)


def test_heat_maps_have_named_peaks():
    cells = torch.tensor([[1.0, 1.0], [8.0, 5.0], [14.0, 10.0]])
    labels, radius = torch.tensor([0, 1, 1]), torch.tensor([0.0, 1.0, 2.0])
    centers = draw_gaussians((12, 16), labels, cells, radius, 3).numpy()
    drawn = targets.draw_centers(CANVAS, centers, CLASSES, PALETTE).reshape(12, 20, 16, 20, 3)[:, 0, :, 0]
    assert np.argwhere(where(drawn, 255))[:, ::-1].tolist() == cells.int().tolist()
    # Only near the peak does the name make a difference.
    centers = np.zeros((3, 12, 16), np.float32)
    centers[1, 4, 10], centers[0, 8, 2] = 1, 0.9
    with_name, without = (
        targets.draw_centers(CANVAS, centers, (name, name, name), PALETTE) for name in ('a name', '')
    )
    rows, columns = np.nonzero((with_name != without).any(-1))
    assert rows.min() > 60 and rows.max() < 120 and columns.min() > 140 and columns.max() < 300


def test_regions_and_their_names():
    """The share of a cell is the opacity."""
    regions = np.zeros((3, 6, 8), np.float32)
    regions[0, :, :3], regions[2, :, 3:5], regions[1, :, 5:7] = 1, 0.5, 1
    names, colors = ('sky', 'tree', 'any thing'), [(0, 100, 200), (50, 150, 0), ANY_THING]
    drawn = targets.draw_regions(CANVAS, regions, names, colors)[20].astype(int)  # a row above the names
    background = np.array([DARK] * 3)
    for cell, color, share in ((1, colors[0], 1), (4, colors[2], 0.5), (6, colors[1], 1)):
        expected = (1 - 0.75 * share) * background + 0.75 * share * np.array(color)
        assert np.abs(drawn[40 * cell + 10] - expected).max() <= 1
    assert np.all(drawn[40 * 7 + 20] == DARK)
    classes, palette = [f'c{i}' for i in range(10)], [(i, 0, 0) for i in range(10)]
    names = targets.target_names(classes, palette, NUM_THINGS, False)
    assert names.regions == [*classes[STUFF:], 'any thing']
    assert names.region_palette == [*palette[STUFF:], ANY_THING]
    names = targets.target_names(classes, palette, NUM_THINGS, True)
    assert names.regions == [*classes[STUFF:], *classes[:STUFF]]
    assert names.region_palette == [*palette[STUFF:], *palette[:STUFF]]


def test_objects_by_level():
    objects = [drawn_object((20, 20, 100, 100), [0]), drawn_object((200, 100, 300, 220), [0, 1])]
    first, second, third = (targets.draw_level_objects(CANVAS, objects, i, CLASSES) for i in range(3))
    assert np.all(first[30, 30] == 100) and np.all(second[30, 30] == DARK)
    assert np.all(first[110, 210] == 100) and np.all(second[110, 210] == 100)
    assert np.all(third == DARK)
    assert where(first, LEVELS[0]).sum() > 500 and not where(first, LEVELS[1]).any()
    assert where(second, LEVELS[1]).sum() > 300
    objects = [drawn_object((20, 20, 100, 100), [2]), drawn_object((200, 100, 300, 220), [3, 4])]
    drawn = targets.draw_objects_by_level(CANVAS, objects, 1, CLASSES)
    left, right = np.s_[:, :150], np.s_[:, 150:]
    assert where(drawn[left], LEVELS[2]).sum() > 300
    assert where(drawn[right], LEVELS[3]).sum() > 300 and where(drawn[right], LEVELS[4]).sum() > 300
    for level in (0, 1, 3, 4):
        assert not where(drawn[left], LEVELS[level]).any()
    assert not where(drawn, targets.NO_LEVEL).any()
    assert np.array_equal(targets.draw_objects_by_level(CANVAS, [], 1, CLASSES), CANVAS)
    nothing = np.zeros((3, 6, 8), np.float32)
    assert np.all(targets.draw_centers(CANVAS, nothing, CLASSES, PALETTE) == DARK)
    assert np.all(targets.draw_regions(CANVAS, nothing, CLASSES, PALETTE) == DARK)


@pytest.mark.parametrize('mask', [None, np.ones((60, 80), np.float32)])
def test_an_object_without_a_level_is_crossed_out(mask):
    """Also one that has no mask at stride 4."""
    lost = targets.TargetObject(1, (40, 20, 200, 180), mask, [])
    drawn = targets.draw_objects_by_level(CANVAS, [lost], 2, CLASSES)
    crossed = where(drawn, targets.NO_LEVEL)
    rows, columns = np.nonzero(crossed)
    # its box at half the size, lines of two pixels
    assert abs(rows.min() - 10) <= 1 and abs(rows.max() - 90) <= 1
    assert abs(columns.min() - 20) <= 1 and abs(columns.max() - 100) <= 1
    assert crossed[20, 30] and crossed[20, 90]
