"""The tiny model of the tests of apis."""

import pytest
from helpers import tiny_inferencer
from helpers.onnx_model import IDS

from mmpfcn import PanopticInferencer


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    return tiny_inferencer.write_checkpoint(tmp_path_factory.mktemp('weights'), category_ids=IDS)


@pytest.fixture(scope='session')
def inferencer(checkpoint):
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    return PanopticInferencer(config, checkpoint, 'cpu', show_progress=False)
