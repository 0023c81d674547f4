import numpy as np
import pytest

from mmpfcn.visualization import Segment, draw_panoptic, join_panels
from mmpfcn.visualization.drawing import GAP, enlarge, resize, stack_rows, title_height

from .test_colors import PALETTE, hue

CLASSES = ('cat', 'dog', 'sky')


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


def test_crowds_are_striped_and_a_line_separates_segments():
    image = np.zeros((60, 60, 3), np.uint8)
    ids = np.ones((60, 60), np.int32)
    names = ['cat' * 30]
    plain = draw_panoptic(image, ids, [Segment(1, 0)], names, PALETTE)
    crowd = draw_panoptic(image, ids, [Segment(1, 0, crowd=True)], names, PALETTE)
    assert len(np.unique(plain[..., 0])) == 1
    assert len(np.unique(crowd[..., 0])) == 2
    ids = np.repeat([1, 2], 30)[None].repeat(60, 0)
    halves = [Segment(1, 0), Segment(2, 0)]
    drawn = draw_panoptic(np.zeros((60, 60, 3), np.uint8), ids, halves, ['cat' * 30], PALETTE)
    columns = np.flatnonzero((drawn >= 191).all(axis=(0, 2)))
    assert columns.tolist() == [29]


@pytest.mark.parametrize('label', [-1, 3])
def test_unknown_label(label):
    with pytest.raises(ValueError, match=f'label {label}, but there are 3 classes'):
        draw_panoptic(noise(8, 8), np.zeros((8, 8), int), [Segment(0, label)], CLASSES, PALETTE)


def test_map_of_another_size():
    with pytest.raises(ValueError, match=r'\(8, 9\).*\(8, 8\)'):
        draw_panoptic(noise(8, 8), np.zeros((8, 9), int), [], CLASSES, PALETTE)


def test_joined_panels_and_rows():
    images = [np.full((100, 150, 3), value, np.uint8) for value in (10, 20, 30)]
    picture = join_panels([('a', images[0]), ('b', images[1]), ('c', images[2])])
    top = title_height(100, 150)
    assert picture.shape == (top + 100, 3 * 150 + 2 * GAP, 3)
    for number, image in enumerate(images):
        left = number * (150 + GAP)
        assert np.array_equal(picture[top:, left : left + 150], image)
        assert picture[:top, left : left + 150].max() == 255  # the title
    page = stack_rows([np.full((10, 30, 3), 1, np.uint8), np.full((20, 50, 3), 2, np.uint8)])
    assert page.shape == (30 + GAP, 50, 3)
    assert np.all(page[:10, :30] == 1) and np.all(page[10 + GAP :] == 2)
    assert np.all(page[:10, 30:] == 255) and np.all(page[10 : 10 + GAP] == 255)
    # Nothing of it is cut off: the strip ends are black.
    image = np.zeros((300, 320, 3), np.uint8)
    picture = join_panels([('a title that is too long for its panel, 300 x 320', image)])
    top = title_height(300, 320)
    text = picture[:top].max((0, 2)) > 60
    assert not picture[:2].any() and not picture[top - 2 : top].any()
    assert not text[:2].any() and not text[-2:].any() and text[10:310].mean() > 0.5


def test_enlarge_and_resize():
    ids = np.array([[1, 2], [3, 2**31 + 4]])
    assert np.array_equal(enlarge(ids, 6), ids.repeat(3, 0).repeat(3, 1))
    assert enlarge(noise(192, 256), 480).shape == (480, 640, 3)
    large = noise(500, 20)
    assert enlarge(large, 480) is large
    ids = np.arange(24).reshape(4, 6)
    assert np.array_equal(resize(ids, (8, 12)), ids.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(resize(ids, (2, 3)), ids[::2, ::2])
    image = noise(40, 60)
    small = resize(image, (20, 30))
    mean = image.reshape(20, 2, 30, 2, 3).mean((1, 3))
    assert np.abs(small - mean).max() <= 1
    assert resize(image, (40, 60)) is image
