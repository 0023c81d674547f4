"""Images grouped for a network."""

import numpy as np
import pytest

from mmpfcn.formats.batches import padded_shape, read_batches
from mmpfcn.formats.inputs import list_inputs


def prepare(image: np.ndarray, name: str) -> tuple:
    if image.shape[1] > 90:
        raise ValueError(f'{name} is too wide')
    return name, padded_shape(image.shape[:2], 32)


def test_batches_have_one_padded_size_and_bad_images_are_told():
    sizes = [(50, 70), (33, 90), (64, 96), (64, 90), (10, 10), (32, 32)]
    images = [np.zeros((*size, 3), np.uint8) for size in sizes]
    told = []
    batches = [*read_batches(list_inputs(images), prepare, 2, told.append)]
    grouped = [[loaded.data for loaded in batch] for batch in batches]
    assert grouped == [['image 0', 'image 1'], ['image 3'], ['image 4', 'image 5']]
    assert [batch[0].shape for batch in batches] == [(64, 96), (64, 96), (32, 32)]
    assert [(failure.name, failure.message) for failure in told] == [('image 2', 'image 2 is too wide')]
    with pytest.raises(ValueError, match='image 2 is too wide'):
        list(read_batches(list_inputs(images), prepare, 2, None))
    with pytest.raises(ValueError, match='batch_size=0, expected at least 1'):
        list(read_batches(list_inputs(images), prepare, 0, None))
