"""Images in pairs that have a class in common, for ``loss_intra_batch``."""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from typing import TypeVar

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import BaseDataset, InfiniteSampler
from mmengine.logging import print_log

from .replayable_sampler import SampleIndex, mixed_seed

T = TypeVar('T')


class PairIndex(SampleIndex):
    """Index of an image of a pair, which a pipeline finds as ``sample_idx``.

    Attributes:
        label: of the class that both images have.
        pair_seed: the same for both.
    """

    label: int
    pair_seed: int

    def __new__(cls, index: int, seed: int = 0, label: int = 0, pair_seed: int = 0) -> 'PairIndex':
        self = super().__new__(cls, index, seed)
        self.label, self.pair_seed = label, pair_seed
        return self

    def choose(self, options: Sequence[T]) -> T:
        """One of some at random, the same in both images."""
        return options[np.random.default_rng(self.pair_seed).integers(len(options))]


@DATA_SAMPLERS.register_module()
class PairedSampler(InfiniteSampler):
    """Endless pairs: a class drawn uniformly, and two images that have it (arXiv 2304.08222).

    A process yields the two one after the other, so with an even batch size they are images 2i and
    2i + 1 of a batch. As with :class:`ReplayableSampler` the n-th sample of a run is always the
    same, and so is its augmentation; :class:`PairedCrop` turns both to the class.

    A class of fewer than two images is in no pair, which the log says: with itself as the partner
    an image would be taught that its objects are not there. Crowds do not count.

    Args:
        dataset: whose records have ``segments_info``, such as :class:`PanopticDataset`.
        seed: None for one that all processes draw together.

    Raises:
        ValueError: the data set is a wrapper, which would not hand the pair on to the pipeline, or
            no panoptic one, or no class is in two images.
    """

    in_pairs = True
    """What a batch sampler that changes the order has to know."""

    def __init__(self, dataset: BaseDataset, seed: int | None = None) -> None:
        super().__init__(dataset, seed=seed)
        images = sorted(images_of_classes(dataset).items())
        self.images = [(label, found) for label, found in images if len(found) > 1]
        rare = [label for label, found in images if len(found) == 1]
        if not self.images:
            raise ValueError(
                f'PairedSampler finds no class that two of {len(dataset)} images have, so there is '
                'no pair: take more images, or sampler=dict(type="ReplayableSampler") and '
                'panoptic_head.loss_intra_batch=None'
            )
        if rare:
            classes = dataset.metainfo.get('classes')
            names = [classes[label] if classes else str(label) for label in rare]
            print_log(
                f'PairedSampler: {len(names)} classes are in one image only and so in no pair: '
                f'{", ".join(names[:10])}{", ..." if len(names) > 10 else ""}',
                logger='current',
                level=logging.WARNING,
            )

    def _indices_of_rank(self, num_skipped: int = 0) -> Iterator[int]:
        pairs = count(num_skipped // 2 * self.world_size + self.rank, self.world_size)
        yield from islice(chain.from_iterable(map(self._pair, pairs)), num_skipped % 2, None)

    def _pair(self, number: int) -> list[PairIndex]:
        """The two images of a pair, which is a function of the seed and its number."""
        seed = mixed_seed(self.seed, number)
        rng = np.random.default_rng(seed)
        label, images = self.images[rng.integers(len(self.images))]
        # not the seed of the class: what is drawn next does not depend on it
        pair_seed, *seeds = (mixed_seed(seed, i) for i in range(3))
        chosen = rng.choice(len(images), 2, replace=False)
        return [
            PairIndex(images[image], own, label, pair_seed)
            for image, own in zip(chosen, seeds, strict=True)
        ]

    def skip(self, num_samples: int) -> None:
        """Start behind so many samples of a process; mmengine's would draw them all."""
        self.indices = self._indices_of_rank(num_samples)


def images_of_classes(dataset: BaseDataset) -> dict[int, list[int]]:
    """Indices of the images that have a segment of a label, crowds left out."""
    if not isinstance(dataset, BaseDataset):
        raise ValueError(
            f'PairedSampler got a {type(dataset).__name__}, expected a data set that is not '
            'wrapped, such as PanopticDataset: wrappers do not tell the pipeline of the pair'
        )
    images: dict[int, list[int]] = {}
    for i in range(len(dataset)):
        record = dataset.get_data_info(i)
        if 'segments_info' not in record:
            raise ValueError(
                f'PairedSampler got a {type(dataset).__name__}, whose records have no '
                'segments_info: use type="PanopticDataset"'
            )
        segments = record['segments_info']
        for label in {s['category'] for s in segments if not s.get('iscrowd')}:
            images.setdefault(label, []).append(i)
    return images
