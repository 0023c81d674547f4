"""long_run.py prints what it should, in a run too short to say anything about memory."""

import re

import long_run
import numpy as np
import pytest
from helpers import tiny_run


def test_both_slopes_are_printed(tmp_path):
    program = tiny_run.ROOT / 'tests' / 'long_run.py'
    output = tiny_run.run(str(program), '--iterations=50', cwd=tmp_path)
    for what in ('training', 'predictions'):
        assert re.search(rf'^50 {what}, resident: [+-][\d.]+ KiB per 1000 iterations', output, re.MULTILINE)


def test_the_slope_is_that_after_the_first_fifth():
    memory = [0.0] * 20 + list(500 + np.arange(80.0))  # one KiB in 10 iterations
    assert long_run.slope(memory) == pytest.approx(100)
