"""Files that would take more memory than they have bytes; more in test_fuzz/test_limits.py."""

import pickle
import zipfile

import pytest
import torch

from mmpfcn.apis.checkpoint_limits import CheckpointError, require_no_bomb


def test_what_pytorch_writes_is_taken_and_compressed_is_refused(tmp_path):
    torch.save(dict(a=torch.zeros(10**5)), tmp_path / 'a.pth')
    require_no_bomb(tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth') as plain:
        with zipfile.ZipFile(tmp_path / 'b.pth', 'w', zipfile.ZIP_DEFLATED) as packed:
            for name in plain.namelist():
                packed.writestr(name, plain.read(name))
    with pytest.raises(CheckpointError, match=r'b.pth is refused: compressed, .* to 40\d{4}'):
        require_no_bomb(tmp_path / 'b.pth')


@pytest.mark.parametrize('legacy', [False, True])
def test_a_bytearray_is_refused(tmp_path, legacy):
    path = tmp_path / 'a.pth'
    if legacy:
        path.write_bytes(pickle.dumps(bytearray(9), protocol=2))
    else:
        torch.save(bytearray(9), path)
    with pytest.raises(CheckpointError, match='holds a bytearray'):
        require_no_bomb(path)
