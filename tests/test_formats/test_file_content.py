"""The bytes of a file, and what is said when they are not there."""

import pytest

from mmpfcn.formats import image_size, read_image
from mmpfcn.formats.file_content import read_content


def test_with_and_without_mmengine_and_pointers(tmp_path):
    (tmp_path / 'a').write_bytes(b'content')
    assert read_content(tmp_path / 'a') == b'content'
    assert read_content(str(tmp_path / 'a'), dict(backend='local')) == b'content'
    text = 'version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 12345\n'
    (tmp_path / 'a.jpg').write_text(text)
    for read in (read_image, image_size):
        with pytest.raises(ValueError, match='a.jpg is a Git LFS pointer.*git lfs pull'):
            read(tmp_path / 'a.jpg')


@pytest.mark.parametrize('name', ['none', 'a/below', 'a\0'])
def test_what_is_not_there(tmp_path, name):
    (tmp_path / 'a').write_bytes(b'content')
    with pytest.raises(FileNotFoundError):
        read_content(tmp_path / name)
