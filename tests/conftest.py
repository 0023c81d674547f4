"""Shared set-up: registries, determinism, and models with the oracle's weights."""

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import mmpfcn  # noqa: F401 (registers)


@pytest.fixture(autouse=True)
def scope_and_seed():
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('WARNING')  # initialisation is logged per weight
    torch.manual_seed(0)
