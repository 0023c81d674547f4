"""The records that explain.py fills; what stands in them: test_explain.py."""

import numpy as np

from mmpfcn.apis.explanation import Kernel


def test_what_better_things_have_taken_adds_up():
    kernel = Kernel('t3', True, 0, 'cat', ['p3'], 0.5, np.zeros((2, 2), np.float16))
    assert kernel.taken == 0
    kernel.taken_by = (('t1', 30), ('t2', 4))
    assert kernel.taken == 34
