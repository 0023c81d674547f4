"""A model that does not fit the data set is stopped before anything is computed."""

from types import SimpleNamespace

import pytest
import tiny
from mmengine.dataset import BaseDataset

from mmpfcn import ClassCountHook


def runner(things: int, stuff: int, **metainfo):
    metainfo = metainfo or dict(thing_classes=('a',) * things, stuff_classes=('b',) * stuff)
    dataset = BaseDataset(metainfo=metainfo, lazy_init=True)
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(
        model=tiny.build(), train_dataloader=loader, val_dataloader=loader, test_dataloader=loader
    )


@pytest.mark.parametrize('when', ['before_train', 'before_val', 'before_test'])
def test_counts_are_compared(when):
    check = getattr(ClassCountHook(), when)
    check(runner(6, 4))
    with pytest.raises(ValueError, match='num_things_classes=6, but the data set has 8 thing_cl'):
        check(runner(8, 4))
    with pytest.raises(ValueError, match='panoptic_fusion_head.num_stuff_classes=11'):
        check(runner(6, 11))


def test_data_sets_without_the_two_lists_are_left_alone():
    ClassCountHook().before_train(runner(0, 0, classes=('a', 'b')))
