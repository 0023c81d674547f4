"""Segmentations of annotations: the mask that they mean, or one clear message."""

import numpy as np
from helpers.fuzzing import cases, edits, json_values, mutated, seeds
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from mmpfcn.commands.convert.fields import encode, parts_of

sides = st.integers(1, 12)


def runs(mask: np.ndarray) -> list[int]:
    """Uncompressed counts: lengths of runs down the columns, the first of zeros."""
    flat = mask.T.ravel().astype(int)
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    lengths = np.diff(ends).tolist()
    return [0, *lengths] if flat[0] else lengths


def compressed(mask: np.ndarray) -> str:
    return mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))['counts'].decode()


def read(segmentation: object, height: int, width: int) -> np.ndarray | None:
    """The mask; None for a ValueError that names the annotation."""
    try:
        rle = encode(parts_of(segmentation, 'annotation 3'), height, width, 'annotation 3')
    except ValueError as error:
        assert 'annotation 3' in str(error) and len(str(error)) > 30
        return None
    mask = mask_utils.decode(rle)
    assert mask.shape == (height, width) and set(np.unique(mask)) <= {0, 1}
    return mask.astype(bool)


@st.composite
def masks(draw):
    generator = np.random.default_rng(draw(seeds))
    share = draw(st.sampled_from([0, 0.1, 0.5, 1]))
    return generator.random((draw(sides), draw(sides))) < share


@cases
@given(masks(), st.sampled_from(['counts', 'text', 'listed', 'both']))
def test_rle(mask, form):
    size = list(mask.shape)
    whole, text = dict(size=size, counts=runs(mask)), dict(size=size, counts=compressed(mask))
    given = dict(counts=whole, text=text, listed=[whole], both=[whole, text])[form]
    assert np.array_equal(read(given, *size), mask)


@cases
@given(masks(), st.integers(0, 20), st.integers(-3, 3), st.integers(0, 3))
def test_rle_of_a_wrong_total(mask, place, more, zeros):
    """Also by zeros, which add nothing, and in both forms."""
    counts = runs(mask)
    counts[place % len(counts)] += more
    counts += [0] * zeros
    found = read(dict(size=list(mask.shape), counts=counts), *mask.shape)
    if more or min(counts) < 0:
        assert found is None
    else:
        assert np.array_equal(found, mask)


@cases
@given(masks(), edits)
def test_compressed_rle_that_is_damaged(mask, edits):
    text = mutated(compressed(mask).encode(), edits).decode('latin-1')
    found = read(dict(size=list(mask.shape), counts=text), *mask.shape)
    if not edits:
        assert np.array_equal(found, mask)


numbers = st.floats() | st.integers(-20, 20) | st.integers()
counts = st.lists(numbers, max_size=5) | st.text(max_size=8) | json_values
rles = st.fixed_dictionaries(
    {}, optional=dict(size=st.just([4, 5]) | st.lists(numbers, max_size=3) | json_values, counts=counts)
)
polygons = st.lists(numbers, max_size=9) | st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=4)


@cases
@given(json_values | rles | polygons | st.lists(rles | polygons | json_values, max_size=3))
def test_segmentation_of_any_form(segmentation):
    read(segmentation, 4, 5)
