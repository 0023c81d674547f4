"""Pictures of what the network says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import tiny_inferencer
from helpers.tiny_inferencer import CLASSES

from mmpfcn.structures import LevelMaps
from mmpfcn.visualization.heat_maps import LONG_SIDE, draw_centers, draw_regions, level_peaks

RED, BLUE = (200, 0, 0), (0, 100, 200)
PALETTE = [RED] * 6 + [BLUE] * 4
META = dict(classes=CLASSES, palette=PALETTE)
DARK = 35  # an image of 100 as a background


@pytest.fixture
def inferencer(tmp_path):
    return tiny_inferencer.inferencer(tmp_path)


@pytest.fixture
def output(inferencer):
    """Of a grey image, 80 wide and 40 high, resized to 96 x 48 and padded to 96 x 64."""
    output = inferencer.run_network(np.full((40, 80, 3), 100, np.uint8))
    assert output.data_sample.img_shape == (48, 96)
    assert output.data_sample.batch_input_shape == (64, 96)
    return output


@pytest.fixture
def drawn_output(output):
    """One centre of 'star' at row 2, column 7 of 8 x 12; sand left, any thing right."""
    centers, regions = (torch.full_like(x, -99) for x in output.levels[0][:2])
    centers[0, 2, 2, 7] = 99
    regions[0, 0, :, :6] = 99
    regions[0, 4, :, 6:] = 99
    nothing = [LevelMaps(torch.full_like(c, -99), torch.full_like(r, -99), k) for c, r, k in output.levels]
    first = LevelMaps(centers, regions, output.levels[0].kernels)
    return replace(output, levels=[first, *nothing[1:]])


def settings(inferencer, center_thr=0.3):
    return replace(inferencer.settings, center_thr=center_thr)


def test_a_peak_is_where_the_network_says(inferencer, drawn_output, output):
    """A lone cell of probability 1 in a window of 3 x 3: (1 + 1 / 9) / 2."""
    (peak,), *others = level_peaks(drawn_output.levels, settings(inferencer))
    assert peak[:2] == (2, (2, 7)) and peak.score == pytest.approx(5 / 9)
    assert others == [[]] * 4
    assert level_peaks(drawn_output.levels, settings(inferencer, 0.6)) == [[]] * 5
    # As many, with the same labels and scores as the head takes.
    peaks = [peak for level in level_peaks(output.levels, inferencer.settings) for peak in level]
    (kernels,) = inferencer.model.panoptic_head.thing_kernels(output.levels)
    best_first = sorted(peaks, key=lambda peak: -peak.score)
    assert len(peaks) > 10
    assert [peak.score for peak in best_first] == kernels.scores.tolist()
    assert sorted(peak.label for peak in peaks) == sorted(kernels.labels.tolist())


def test_centres_lie_on_the_image_and_pictures_are_bounded(inferencer, drawn_output, output):
    """All pictures are the image without padding; the cell is white, the rest is dark."""
    pictures = draw_centers(drawn_output, settings(inferencer), META)
    assert [picture.shape for picture in pictures] == [(LONG_SIDE // 2, LONG_SIDE, 3)] * 5
    rows, columns = np.nonzero((pictures[0] != DARK).any(-1))
    cell = LONG_SIDE / 12  # a cell of the level; the name is beside it
    assert np.all(pictures[0][int(2 * cell) + 1 : int(3 * cell), int(7 * cell) + 1] == 255)
    assert 2 * cell - 2 < rows.min() and rows.max() < 3 * cell + 2
    assert 7 * cell - 2 < columns.min() and columns.max() < 11 * cell
    for picture in pictures[1:]:
        assert np.all(picture == DARK)
    # One pixel that the network sees in 32 x 32 must not become 32 pictures in a square.
    sample = output.data_sample.new(metainfo=dict(img_shape=(1, 1), batch_input_shape=(32, 32)))
    tiny = replace(output, image=np.zeros((1, 1, 3), np.uint8), data_sample=sample)
    pictures = draw_centers(tiny, settings(inferencer), META) + draw_regions(tiny, META)
    assert {picture.shape for picture in pictures} == {(LONG_SIDE // 16, LONG_SIDE // 16, 3)}


def test_names_of_peaks(inferencer, drawn_output):
    texts = None, [['p1'], [], [], [], []], [['star 0.56'], [], [], [], []]
    pictures = (draw_centers(drawn_output, settings(inferencer), META, text)[0] for text in texts)
    drawn, numbered, again = pictures
    assert np.array_equal(drawn, again)
    columns = [np.nonzero((picture != DARK).any((0, 2)))[0].max() for picture in (numbered, drawn)]
    assert columns[0] < columns[1] - 20  # a shorter text
    thresholds = [settings(inferencer, threshold) for threshold in (0.3, 0.6)]
    named, nameless = (draw_centers(drawn_output, threshold, META)[0] for threshold in thresholds)
    changed = np.nonzero((named != nameless).any(-1))[1]
    assert changed.size and changed.min() > LONG_SIDE * 8 / 12 - 2


def test_regions_lie_on_the_image(drawn_output, inferencer, output):
    """Sand in its colour on the left half, any thing white on the right, over a quarter of grey."""
    first, *others = draw_regions(drawn_output, META)
    assert first.shape == (LONG_SIDE // 2, LONG_SIDE, 3)
    for x, color in ((100, BLUE), (600, (255, 255, 255))):
        expected = 0.25 * DARK + 0.75 * np.array(color)
        assert np.abs(first[10, x] - expected).max() <= 1
    for picture in others:
        assert np.all(np.abs(picture[10, 100].astype(int) - DARK) <= 1)
    # Cityscapes has no "any thing" but a region of each class.
    centers = torch.full_like(output.levels[0].centers, -99)
    regions = torch.full((1, 10, 8, 12), -9.0)
    regions[0, 4] = 99  # the first thing class
    levels = [LevelMaps(centers, regions, output.levels[0].kernels)] * 5
    picture = draw_regions(replace(output, levels=levels), META)[0]
    assert np.abs(picture[10, 100] - (0.25 * DARK + 0.75 * np.array(RED))).max() <= 1


@pytest.mark.parametrize('height, width', [(1, 1), (2, 2000), (3000, 2)])
def test_pictures_are_bounded(inferencer, output, height, width):
    image = np.zeros((height, width, 3), np.uint8)
    pictures = draw_centers(replace(output, image=image), settings(inferencer), META)
    assert {max(picture.shape) for picture in pictures} == {LONG_SIDE}
