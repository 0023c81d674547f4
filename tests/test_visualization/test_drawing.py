import colorsys

import numpy as np
import pytest
from mmdet.datasets import CocoPanopticDataset

from mmpfcn.visualization import Segment, draw_panoptic, join_panels
from mmpfcn.visualization.colors import label_colors, shades
from mmpfcn.visualization.drawing import GAP, enlarge, resize, stack_rows, title_height
from mmpfcn.visualization.labels import (
    draw_texts,
    load_font,
    place_beside,
    place_labels,
    text_size,
)

CLASSES = ('cat', 'dog', 'sky')
PALETTE = [(220, 20, 60), (0, 0, 142), (70, 130, 180)]


def hue(color):
    return colorsys.rgb_to_hsv(*(int(channel) / 255 for channel in color))[0]


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize('segments', [[], [Segment(5, 0, 0.9), Segment(6, 2)]])
def test_void_is_the_plain_image(segments):
    image = noise(60, 80)
    drawn = draw_panoptic(image, np.zeros((60, 80), np.int32), segments, CLASSES, PALETTE)
    assert np.array_equal(drawn, image)
    assert drawn is not image


def test_hatching_changes_void_only():
    """Whatever the image: a black one shows the light stripes, a white one the dark ones."""
    ids = np.zeros((60, 80), np.int32)
    ids[:, 40:] = 5
    segments = [Segment(5, 0, crowd=True)]
    arguments = (ids, segments, CLASSES, PALETTE)
    for brightness in (0, 100, 255):
        image = np.full((60, 80, 3), brightness, np.uint8)
        plain = draw_panoptic(image, *arguments)
        hatched = draw_panoptic(image, *arguments, hatch_void=True)
        changed = (plain != hatched).any(-1)
        assert not changed[:, 40:].any()
        assert 0.2 < changed[:, :38].mean() < 0.6
        for row in changed[:, :38], changed[:, :38].T:  # stripes, not lines along the axes
            assert row.any(1).all() and not row.all(1).any()


def test_instances_differ_and_keep_the_hue_of_their_class():
    """On a grey image the blend has the hue of the colour."""
    image = np.full((40, 120, 3), 128, np.uint8)
    ids = np.repeat([1, 2, 3], 40)[None].repeat(40, 0)
    segments = [Segment(1, 0), Segment(2, 0), Segment(3, 1)]
    names = ('cat' * 30, 'dog' * 30)  # too long to be written
    drawn = draw_panoptic(image, ids, segments, names, PALETTE)
    first, second, other = drawn[20, 20], drawn[20, 60], drawn[20, 100]
    assert np.abs(first.astype(int) - second).max() >= 16
    assert hue(first) == pytest.approx(hue(PALETTE[0]), abs=0.01)
    assert hue(second) == pytest.approx(hue(PALETTE[0]), abs=0.01)
    assert hue(other) == pytest.approx(hue(PALETTE[1]), abs=0.01)
    # 0.6 of the class's colour and 0.4 of the image
    assert first.tolist() == [round(0.6 * c + 0.4 * 128) for c in PALETTE[0]]


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


def test_a_text_is_in_the_middle_of_its_segment():
    index = np.full((100, 200), -1)
    index[20:60, 40:140] = 0
    ((x0, y0, x1, y1),) = place_labels(index, [(60, 16)]).values()
    assert (x0 + x1) / 2 == pytest.approx(90, abs=1)
    assert (y0 + y1) / 2 == pytest.approx(40, abs=1)


def test_a_text_prefers_the_part_of_its_segment_that_it_fits_in():
    """A tall narrow part is farther from the edge than a low wide one."""
    index = np.full((120, 200), -1)
    index[10:110, 10:38] = 0
    index[90:110, 10:190] = 0
    ((x0, y0, x1, y1),) = place_labels(index, [(80, 16)]).values()
    assert index[y0:y1, x0:x1].mean() > -0.2


def test_a_small_segment_has_no_text():
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


def test_a_crowd_is_striped():
    image = np.zeros((60, 60, 3), np.uint8)
    ids = np.ones((60, 60), np.int32)
    names = ['cat' * 30]
    plain = draw_panoptic(image, ids, [Segment(1, 0)], names, PALETTE)
    crowd = draw_panoptic(image, ids, [Segment(1, 0, crowd=True)], names, PALETTE)
    assert len(np.unique(plain[..., 0])) == 1
    assert len(np.unique(crowd[..., 0])) == 2


def test_a_line_separates_two_segments():
    ids = np.repeat([1, 2], 30)[None].repeat(60, 0)
    drawn = draw_panoptic(
        np.zeros((60, 60, 3), np.uint8), ids, [Segment(1, 0), Segment(2, 0)], ['cat' * 30], PALETTE
    )
    columns = np.flatnonzero((drawn >= 191).all(axis=(0, 2)))
    assert columns.tolist() == [29]


@pytest.mark.parametrize('label', [-1, 3])
def test_unknown_label(label):
    with pytest.raises(ValueError, match=f'label {label}, but there are 3 classes'):
        draw_panoptic(noise(8, 8), np.zeros((8, 8), int), [Segment(0, label)], CLASSES, PALETTE)


def test_map_of_another_size():
    with pytest.raises(ValueError, match=r'\(8, 9\).*\(8, 8\)'):
        draw_panoptic(noise(8, 8), np.zeros((8, 9), int), [], CLASSES, PALETTE)


def test_join_panels():
    images = [np.full((100, 150, 3), value, np.uint8) for value in (10, 20, 30)]
    picture = join_panels([('a', images[0]), ('b', images[1]), ('c', images[2])])
    top = title_height(100, 150)
    assert picture.shape == (top + 100, 3 * 150 + 2 * GAP, 3)
    for number, image in enumerate(images):
        left = number * (150 + GAP)
        assert np.array_equal(picture[top:, left : left + 150], image)
        assert picture[:top, left : left + 150].max() == 255  # the title


def test_enlarge():
    ids = np.array([[1, 2], [3, 2**31 + 4]])
    assert np.array_equal(enlarge(ids, 6), ids.repeat(3, 0).repeat(3, 1))
    assert enlarge(noise(192, 256), 480).shape == (480, 640, 3)
    large = noise(500, 20)
    assert enlarge(large, 480) is large


def test_resize():
    ids = np.arange(24).reshape(4, 6)
    assert np.array_equal(resize(ids, (8, 12)), ids.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(resize(ids, (2, 3)), ids[::2, ::2])
    image = noise(40, 60)
    small = resize(image, (20, 30))
    mean = image.reshape(20, 2, 30, 2, 3).mean((1, 3))
    assert np.abs(small - mean).max() <= 1
    assert resize(image, (40, 60)) is image


def test_rows_of_different_sizes():
    page = stack_rows([np.full((10, 30, 3), 1, np.uint8), np.full((20, 50, 3), 2, np.uint8)])
    assert page.shape == (30 + GAP, 50, 3)
    assert np.all(page[:10, :30] == 1) and np.all(page[10 + GAP :] == 2)
    assert np.all(page[:10, 30:] == 255) and np.all(page[10 : 10 + GAP] == 255)


def test_a_long_title_is_written_smaller():
    """Nothing of it is cut off: the strip ends are black."""
    image = np.zeros((300, 320, 3), np.uint8)
    picture = join_panels([('a title that is too long for its panel, 300 x 320', image)])
    top = title_height(300, 320)
    text = picture[:top].max((0, 2)) > 60
    assert not picture[:2].any() and not picture[top - 2 : top].any()
    assert not text[:2].any() and not text[-2:].any() and text[10:310].mean() > 0.5


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


def test_a_text_lies_on_a_spot_it_fits_on():
    boxes = place_beside([(10, 10, 110, 50), (150, 20, 154, 24)], [(40, 14)] * 2, (100, 190))
    assert boxes == {0: (40, 23, 80, 37), 1: (108, 15, 148, 29)}
