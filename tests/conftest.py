"""Shared set-up: registries, determinism, and models with the oracle's weights."""

import pytest
import torch
from mmengine.logging import MMLogger  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

import mmpfcn  # noqa: E402, F401 (registers)


@pytest.fixture(autouse=True)
def scope_and_seed():
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('WARNING')  # initialisation is logged per weight
    torch.manual_seed(0)
