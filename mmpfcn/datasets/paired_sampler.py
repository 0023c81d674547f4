"""Images in pairs that have a class in common, for ``loss_intra_batch``."""

import logging
from collections.abc import Iterator
from itertools import count

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import BaseDataset, InfiniteSampler
from mmengine.logging import print_log

from .replayable_sampler import SampleIndex, mixed_seed


class PairIndex(SampleIndex):
    """Index of an image of a pair, which a pipeline finds as ``sample_idx``.

    Attributes:
        label: of the class that both images have.
        pair_seed: the same for both, for what is to be drawn for the pair.
    """

    label: int
    pair_seed: int

    def __new__(cls, index: int, seed: int = 0, label: int = 0, pair_seed: int = 0) -> 'PairIndex':
        self = super().__new__(cls, index, seed)
        self.label, self.pair_seed = label, pair_seed
        return self


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

    def __init__(self, dataset: BaseDataset, seed: int | None = None) -> None:
        super().__init__(dataset, seed=seed)
        self.images = images_of_classes(dataset)
        rare = [label for label, images in self.images.items() if len(images) == 1]
        for label in rare:
            del self.images[label]
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

    def _indices_of_rank(self) -> Iterator[int]:
        labels = sorted(self.images)
        for number in count(self.rank, self.world_size):
            seed = mixed_seed(self.seed, number)
            rng = np.random.default_rng(seed)
            label = labels[rng.integers(len(labels))]
            for i, image in enumerate(rng.choice(self.images[label], 2, replace=False).tolist()):
                yield PairIndex(image, mixed_seed(self.seed, number, i), label, seed)


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
