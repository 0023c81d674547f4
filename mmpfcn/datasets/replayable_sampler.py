"""Samples whose augmentation depends on their place in the data alone."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import InfiniteSampler
from torch.utils.data import Sampler


class SampleIndex(int):
    """Index of a sample that knows the ``seed`` of its augmentation."""

    def __new__(cls, index: int, seed: int = 0) -> 'SampleIndex':
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    # how ConcatDataset and RepeatDataset turn it into the place in what they wrap
    def __sub__(self, other: int) -> 'SampleIndex':
        return SampleIndex(int(self) - other, self.seed)

    def __mod__(self, other: int) -> 'SampleIndex':
        return SampleIndex(int(self) % other, self.seed)


@DATA_SAMPLERS.register_module()
class ReplayableSampler(InfiniteSampler):
    """mmengine's endless sampler, which also says how a sample is to be augmented.

    The n-th sample of a run is always the same image, flipped and cropped in the same way, whatever
    process or worker loads it and whenever: so a run that was killed and resumed sees the data that
    it would have seen. :class:`PanopticDataset` obeys, also inside ``ConcatDataset`` and
    ``RepeatDataset``; for other data sets it is an ``InfiniteSampler``.
    """

    def _indices_of_rank(self) -> Iterator[int]:
        for i, index in enumerate(super()._indices_of_rank()):
            yield SampleIndex(index, mixed_seed(self.seed, i * self.world_size + self.rank))


@DATA_SAMPLERS.register_module()
class ReplayableAspectRatioBatchSampler(AspectRatioBatchSampler):
    """mmdet's batches of images of like shape, which can start later without loading the earlier.

    mmengine skips batches of samplers it does not know by loading all their images again.

    Raises:
        ValueError: the sampler gives pairs, which batches of like shapes would tear apart.
    """

    num_skipped = 0

    def __init__(self, sampler: Sampler, batch_size: int, drop_last: bool = False) -> None:
        if getattr(sampler, 'in_pairs', False):
            raise ValueError(
                f'{type(self).__name__} tears the pairs of {type(sampler).__name__} apart: set '
                'train_dataloader.batch_sampler=None'
            )
        super().__init__(sampler, batch_size, drop_last)

    def skip_batches(self, num_batches: int) -> None:
        """Leave out so many batches of a process when it is gone through next, and only then."""
        self.num_skipped = num_batches

    def __iter__(self) -> Iterator[list[int]]:
        num_skipped, self.num_skipped = self.num_skipped, 0
        return islice(super().__iter__(), num_skipped, None)


def mixed_seed(*numbers: int) -> int:
    """A seed in [0, 2^32) of several whole numbers; near ones give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Python, NumPy and PyTorch on all devices."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The random numbers of Python, NumPy and PyTorch (CPU) inside; as if nothing was after it."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=()):
        random.seed(seed)
        np.random.seed(seed)
        torch.random.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
