"""Pairs of images that have a class in common: which, how often, and the same again."""

import logging
import pickle
from collections import Counter
from itertools import islice

import pytest
import torch
from helpers import panoptic_files
from mmengine.dataset import RepeatDataset, pseudo_collate
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import DataLoader

from mmpfcn.datasets import PairedSampler
from mmpfcn.datasets.replayable_sampler import ReplayableAspectRatioBatchSampler

PERSON, CAR, SKY, ROAD = range(4)
IMAGES = {
    '0.png': ('ssssssss', 'sspprrrr', 'ssppcccc'),  # p: a person, c: a car, s: sky, r: road
    '1.png': ('ssssssss', 'ssppssss', 'ssppqqss'),
    '2.png': ('rrrrrrrr', 'rrpprrrr', 'rrppqqrr'),
    '3.png': ('gggggggg', 'rrrrrrrr', 'rrrrrrrr'),  # g: a crowd of cars
}
"""Persons are in 0, 1 and 2, sky in 0 and 1, roads in 0, 2 and 3; a car is in 0 only."""
HAVE = {PERSON: {0, 1, 2}, SKY: {0, 1}, ROAD: {0, 2, 3}}
PIPELINE = (
    dict(type='LoadImage'),
    dict(type='LoadPanopticGroundTruth'),
    dict(type='PairedCrop', crop_size=(12, 12), scales=(2, 4), short_side=(3, 40)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPanopticInputs'),
)


@pytest.fixture
def dataset(tmp_path):
    return panoptic_files.build(panoptic_files.write(tmp_path, IMAGES), PIPELINE)


def take(sampler: PairedSampler, number: int, rank: int = 0, world_size: int = 1) -> list:
    sampler.rank, sampler.world_size = rank, world_size
    return list(islice(sampler, number))


def test_classes_are_equally_likely_and_both_images_have_them(dataset):
    drawn = take(PairedSampler(dataset, seed=3), 1200)
    found = Counter()
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        assert first.label == second.label and first.pair_seed == second.pair_seed
        found[first.label, frozenset((int(first), int(second)))] += 1
    assert len({x.seed for x in drawn}) == 1200 and len({x.pair_seed for x in drawn}) == 600
    for label, images in HAVE.items():
        pairs = {pair: n for (other, pair), n in found.items() if other == label}
        assert all(len(pair) == 2 for pair in pairs) and set.union(*map(set, pairs)) == images
        assert abs(sum(pairs.values()) - 200) < 5 * 200**0.5
        mean = 200 / len(pairs)
        assert max(abs(n - mean) for n in pairs.values()) < 5 * mean**0.5
    assert {label for label, _ in found} == set(HAVE)  # neither the one car nor the crowd
    chosen = Counter((x.label, x.choose('abcd')) for x in drawn[::2])
    assert len(chosen) == 12 and max(abs(n - 50) for n in chosen.values()) < 5 * 50**0.5


def test_the_same_again_whoever_draws(dataset):
    def facts(drawn: list) -> list:
        return [(int(x), x.seed, x.label, x.pair_seed) for x in drawn]

    whole = facts(take(PairedSampler(dataset, seed=3), 12))
    assert facts(take(PairedSampler(dataset, seed=3), 12)) == whole
    assert facts(take(PairedSampler(dataset, seed=4), 12)) != whole
    assert facts(pickle.loads(pickle.dumps(take(PairedSampler(dataset, seed=3), 12)))) == whole
    parts = [facts(take(PairedSampler(dataset, seed=3), 6, rank, 2)) for rank in range(2)]
    for skipped in (3, 4):
        sampler = PairedSampler(dataset, seed=3)
        sampler.skip(skipped)
        assert facts(take(sampler, 12 - skipped)) == whole[skipped:]
    # a process has every second pair
    together = [x for i in range(0, 6, 2) for part in parts for x in part[i : i + 2]]
    assert together == whole


def batches(dataset, workers: int, skip: int, number: int) -> list:
    loader = DataLoader(
        dataset, batch_size=4, sampler=PairedSampler(dataset, seed=5), num_workers=workers,
        persistent_workers=workers > 0, collate_fn=pseudo_collate,
    )  # fmt: skip
    iterator = _InfiniteDataloaderIterator(loader)
    iterator.skip_iter(skip)
    return [next(iterator) for _ in range(number)]


@pytest.mark.filterwarnings('ignore:This DataLoader will create 2 worker')
@pytest.mark.parametrize('workers', [0, 2])
def test_a_resumed_run_with_workers_sees_the_same_pixels(dataset, workers):
    torch.manual_seed(workers)
    expected = batches(dataset, 0, 0, 5)
    for ours, golden in zip(batches(dataset, workers, 2, 3), expected[2:], strict=True):
        for image, other in zip(ours['inputs'], golden['inputs'], strict=True):
            assert torch.equal(image, other)
    shapes = [{tuple(image.shape) for image in batch['inputs']} for batch in expected]
    assert len(set.union(*shapes)) > 1  # the augmentation is at work


def test_classes_of_one_image_are_named(dataset, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmpfcn.datasets.paired_sampler.print_log', lambda text, logger, level: said.append((text, level))
    )
    PairedSampler(dataset, seed=0)
    assert said == [
        ('PairedSampler: 1 classes are in one image only and so in no pair: car', logging.WARNING)
    ]


def test_what_gives_no_pairs_is_refused(dataset, tmp_path):
    alone = {name: IMAGES[name] for name in ('0.png',)}
    single = panoptic_files.build(panoptic_files.write(tmp_path / 'single', alone))
    with pytest.raises(ValueError, match='no class that two of 1 images have'):
        PairedSampler(single)
    with pytest.raises(ValueError, match='got a RepeatDataset, expected a data set that is not wrapped'):
        PairedSampler(RepeatDataset(dataset, times=2))
    dataset.get_data_info = lambda i: dict(img_path='a.png')
    with pytest.raises(ValueError, match='whose records have no segments_info'):
        PairedSampler(dataset)


def test_batches_of_like_shape_would_tear_pairs_apart(dataset):
    with pytest.raises(ValueError, match='tears the pairs .* set train_dataloader.batch_sampler=None'):
        ReplayableAspectRatioBatchSampler(PairedSampler(dataset, seed=0), batch_size=2)
