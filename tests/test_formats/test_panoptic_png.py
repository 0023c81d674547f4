"""Ids in PNGs; files that are none: test_datasets/test_bad_input.py."""

import numpy as np
import pytest

from mmpfcn.formats import read_panoptic_png, write_panoptic_png


def test_round_trip_of_all_ids_that_fit(tmp_path):
    ids = np.array([[0, 1, 255, 256], [65535, 65536, 2**24 - 1, 7]], np.int32)
    write_panoptic_png(tmp_path / 'sub/x.png', ids)
    assert np.array_equal(read_panoptic_png(str(tmp_path / 'sub/x.png')), ids)
    with pytest.raises(ValueError, match='run from 0 to 16777216, .*0 to 16777215'):
        write_panoptic_png(tmp_path / 'y.png', np.array([[0, 2**24]]))
    assert [path.name for path in tmp_path.rglob('*.png')] == ['x.png']
    with pytest.raises(ValueError, match=r'a.png: .* to 16777216, .* number the segments anew'):
        write_panoptic_png(tmp_path / 'b' / 'a.png', np.full((4, 6), 2**24))
    assert not (tmp_path / 'b').exists()
