"""Maps of objects, and masks of one object each."""

import numpy as np
import pytest
from helpers.own_data import assert_names, failure, grid, made, photo, run, save
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

from mmpfcn.formats.file_content import LFS_POINTER

TOOL = 'objects_panoptic'
SIZE = (3, 6)
NUMBERS = grid("""
    0 1 1 0 2 2
    0 1 7 0 2 2
    1 0 7 0 0 9
""")
LISTED = ['--things', 'nucleus', '--background', 'rest']
EXPECTED = [
    ['rest', 'nucleus1', 'nucleus1', 'rest', 'nucleus2', 'nucleus2'],
    ['rest', 'nucleus1', 'nucleus3', 'rest', 'nucleus2', 'nucleus2'],
    ['nucleus1', 'rest', 'nucleus3', 'rest', 'rest', 'nucleus4'],
]


@pytest.fixture
def data(tmp_path):
    photo(tmp_path / 'train' / 'city' / 'a.tif', *SIZE)
    (tmp_path / 'masks' / 'city').mkdir(parents=True)
    return tmp_path


def convert(data, *arguments):
    where = data / 'train', data / 'masks', '--out', data / 'annotations'
    run(TOOL, *where, '--workers', 1, *arguments)
    return made(data / 'annotations', 'train')


def save_mat(path, numbers):
    savemat(path, dict(inst_map=numbers, type_map=np.ones_like(numbers), centroid=np.ones((4, 2))))


FORMS = {
    'png of 8 bits': ('a.png', save),
    'png of 16 bits': ('a.png', lambda path, x: save(path, x.astype(np.uint16) * 6000)),
    'tiff of 32 bits': ('a.tif', lambda path, x: save(path, x.astype(np.int32) * 70_000)),
    'tiff of floats': ('a.tiff', lambda path, x: save(path, x.astype(np.float32))),
    'numpy': ('a.npy', lambda path, x: np.save(path, x.astype(np.int64) * 70_000)),
    'matlab': ('a.mat', lambda path, x: save_mat(path, x.astype(np.float64))),
}


@pytest.mark.parametrize('form', FORMS)
def test_maps_of_objects(data, form):
    """Touching objects, one in two parts and one of a pixel are each an object, as numbered."""
    name, write = FORMS[form]
    write(data / 'masks' / 'city' / name, NUMBERS)
    assert convert(data, *LISTED).labels('city/a.tif').tolist() == EXPECTED


def test_a_mask_for_each_object(data, capsys):
    """Smaller ones are on top; what no pixel shows is named."""
    for value in (1, 2, 7, 9):
        mask = (NUMBERS == value) | ((NUMBERS == 7) if value == 1 else False)
        save(data / 'masks' / 'city' / 'a' / f'{value}.png', mask.astype(np.uint8) * 255)
    save(data / 'masks' / 'city' / 'a' / 'empty.png', np.zeros(SIZE, np.uint8))
    result = convert(data, *LISTED)
    assert result.labels('city/a.tif').tolist() == EXPECTED
    assert '1 of 5 objects are left out' in capsys.readouterr().out
    assert result.data['categories'][0]['name'] == 'nucleus'


def test_thousands_of_objects(tmp_path):
    photo(tmp_path / 'train' / 'a.png', 120, 160)
    numbers = np.arange(120 * 160, dtype=np.int32).reshape(120, 160) // 4 + 70_000
    (tmp_path / 'masks').mkdir()
    save(tmp_path / 'masks' / 'a.tif', numbers)
    result = convert(tmp_path, '--things', 'nucleus')
    assert len(result.segments['a.png']) == 4800
    assert all(segment['area'] == 4 for segment in result.segments['a.png'])


def test_void_is_what_nobody_says(data):
    numbers = np.where(NUMBERS == 9, -1, NUMBERS.astype(np.int32))
    np.save(data / 'masks' / 'city' / 'a.npy', numbers)
    out = data / 'annotations'
    message = failure(TOOL, data / 'train', data / 'masks', *LISTED, out=out)
    assert_names(message, ['a.npy has the value -1', '--void -1'])
    labels = convert(data, '--things', 'nucleus', '--void=-1').labels('city/a.tif')
    assert labels.tolist() == [
        [{'rest': '', 'nucleus4': ''}.get(label, label) for label in row] for row in EXPECTED
    ]


def test_mistakes_are_named(data):
    where, out = (data / 'train', data / 'masks'), data / 'annotations'
    np.save(data / 'masks' / 'city' / 'a.npy', NUMBERS)
    message = failure(TOOL, *where, '--things', 'a', 'b', out=out)
    assert_names(message, ["['a', 'b']", 'exactly one', 'id_maps_panoptic.py'])
    assert_names(failure(TOOL, *where, out=out), ['[]', '--things NAME'])
    for array, parts in (
        (NUMBERS.T, ['array (6, 3)', '(3, 6)', 'city/a.tif']),
        (NUMBERS + 0.5, ['not whole']),
        (np.array([dict()]), ['cannot be read', 'save it again']),
    ):
        np.save(data / 'masks' / 'city' / 'a.npy', array)
        assert_names(failure(TOOL, *where, *LISTED, out=out), ['a.npy', *parts])
    (data / 'masks' / 'city' / 'a.npy').rename(data / 'masks' / 'city' / 'b.npy')
    message = failure(TOOL, *where, *LISTED, out=out)
    assert_names(message, ['masks without image: city/b.npy'])
    (data / 'masks' / 'city' / 'b.npy').unlink()
    save(data / 'masks' / 'city' / 'a.png', NUMBERS.repeat(3).reshape(*SIZE, 3))
    assert_names(failure(TOOL, *where, *LISTED, out=out), ['a.png has RGB pixels'])
    save(data / 'masks' / 'city' / 'a' / '1.png', NUMBERS)
    message = failure(TOOL, *where, *LISTED, out=out)
    assert_names(message, ['both city/a.png and city/a/1.png', 'keep one'])
    (data / 'masks' / 'city' / 'a.png').unlink()
    (data / 'masks' / 'city' / 'a' / '1.png').write_bytes(b'no picture')
    assert_names(failure(TOOL, *where, *LISTED, out=out), ['a/1.png cannot be decoded'])


def test_a_matlab_file_says_which_array(data):
    path = data / 'masks' / 'city' / 'a.mat'
    where, out = (data / 'train', data / 'masks'), data / 'annotations'
    savemat(path, dict(one=NUMBERS, two=NUMBERS))
    message = failure(TOOL, *where, *LISTED, out=out)
    assert_names(message, ['one (3, 6), two (3, 6)', 'called inst_map'])
    savemat(path, dict(nuclei=NUMBERS))
    assert convert(data, *LISTED).labels('city/a.tif').tolist() == EXPECTED


def test_files_that_would_be_read_in_part_or_wrongly_are_refused(data, tmp_path):
    """A stack, a JPEG, sparse arrays, an archive of arrays, a pointer of Git LFS."""
    stack = [Image.fromarray((NUMBERS == i).astype(np.uint8)) for i in (1, 2)]
    ways = {
        'a.tif': (lambda path: stack[0].save(path, save_all=True, append_images=stack[1:]), '2 pages'),
        'a.jpg': (lambda path: stack[0].save(path), 'JPEG'),
        'a.mat': (
            lambda path: savemat(path, dict(m=csc_matrix(NUMBERS * 1.0))),
            'numbers of (3, 6)',
        ),
        'a.npy': (lambda path: np.savez(path.open('wb'), a=NUMBERS), 'array NpzFile'),
        'a/1.npy': (lambda path: path.write_bytes(LFS_POINTER + b'v1'), 'git lfs pull'),
    }
    for name, (write, part) in ways.items():
        path = data / 'masks' / 'city' / name
        path.parent.mkdir(exist_ok=True)
        write(path)
        message = failure(TOOL, data / 'train', data / 'masks', *LISTED, out=data / 'annotations')
        assert_names(message, [name, part])
        path.unlink()


def test_a_map_whose_second_page_is_a_smaller_copy(data):
    pages = [Image.fromarray(NUMBERS.astype(np.uint8)), Image.new('L', (3, 1))]
    pages[0].save(data / 'masks' / 'city' / 'a.tif', save_all=True, append_images=pages[1:])
    assert convert(data, *LISTED).labels('city/a.tif').tolist() == EXPECTED


def test_all_objects_by_one_value(data, capsys):
    """They became one: that is said, but not of a mask for each object."""
    save(data / 'masks' / 'city' / 'a.png', (NUMBERS > 0).astype(np.uint8) * 255)
    convert(data, *LISTED)
    assert 'no image has more than one object' in capsys.readouterr().out
    (data / 'masks' / 'city' / 'a').mkdir()
    (data / 'masks' / 'city' / 'a.png').rename(data / 'masks' / 'city' / 'a' / '1.png')
    convert(data, *LISTED, '--overwrite')
    assert 'no image has more' not in capsys.readouterr().out
