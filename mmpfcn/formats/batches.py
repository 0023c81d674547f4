"""Images that are read, prepared and grouped for a network."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from typing import Any, NamedTuple

import numpy as np

from .inputs import Failure, Input
from .pixels import COLOUR, PixelRule
from .read_image import read_image


class LoadedImage(NamedTuple):
    """An image that was read, and what it became for a network."""

    input: Input
    image: np.ndarray  # (H, W, C), as the model's rule makes it
    data: Any  # what the model made of it
    shape: tuple[int, int]  # (H, W) of the network's input, with padding


def padded_shape(shape: tuple[int, int], divisor: int) -> tuple[int, int]:
    """(H, W) of the network's input for an image of (H, W)."""
    h, w = (-(-side // divisor) * divisor for side in shape)
    return h, w


def read_batches(
    inputs: Iterable[Input],
    prepare: Callable[[np.ndarray, str], tuple[Any, tuple[int, int]]],
    batch_size: int,
    failed: Callable[[Failure], object] | None,
    rule: PixelRule = COLOUR,
) -> Iterator[list[LoadedImage]]:
    """Read images, in batches of one padded size; others would change each other's coordinates.

    ``prepare`` makes ``data`` and ``shape`` of an image, read by ``rule``, and a name for messages.
    ``failed`` is told of every image that can not be used; None raises the first error.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size={batch_size}, expected at least 1')

    def load() -> Iterator[LoadedImage]:
        for item in inputs:
            with told(item, failed):
                image = read_image(item.source, rule)
                yield LoadedImage(item, image, *prepare(image, item.name))

    for _, images in groupby(load(), lambda loaded: loaded.shape):
        while batch := [*islice(images, batch_size)]:
            yield batch


@contextmanager
def told(item: Input, failed: Callable[[Failure], object] | None) -> Iterator[None]:
    """What is wrong with an input does not stop the others, see :func:`read_batches`."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        if failed is None:
            raise
        failed(Failure(item.name, item.stem, str(error)))
