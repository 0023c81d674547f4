"""The card of a published model says what its checkpoint says."""

import torch
from mmengine.logging import HistoryBuffer

from mmpfcn.commands.publish_model import NO_FIGURES, model_card

WEIGHTS = dict(state_dict=dict(a=torch.zeros(1_200_000)))


def test_cards():
    logs = {'val/coco_panoptic/PQ': HistoryBuffer([41.25], [1]), 'train/loss': HistoryBuffer()}
    names = dict(thing_classes=['cat', 'dog'], stuff_classes=['sky'])
    meta = dict(iter=90000, dataset_meta=names, cfg='model = dict()')
    card = model_card(dict(WEIGHTS, message_hub=dict(log_scalars=logs), meta=meta), 'iter_9.pth', 'mine')
    assert '# mine' in card and '1.2 million weights, trained for 90000 iterations.' in card
    assert '| coco_panoptic/PQ | 41.25 |' in card and 'loss' not in card
    assert 'Things: cat, dog.\n\nStuff: sky.' in card and '`config.py` is the whole' in card
    card = model_card(WEIGHTS, 'iter_9.pth', 'mine')
    assert '1.2 million weights.' in card and NO_FIGURES in card and 'does not name them' in card
    assert '`config.py` is' not in card
