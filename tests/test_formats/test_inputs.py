"""What a user may name, as single inputs."""

import tracemalloc
from collections import deque
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmpfcn.formats import Input, list_inputs, read_image
from mmpfcn.formats.inputs import list_files


@pytest.fixture
def photos(tmp_path):
    """a.jpg a.png b/c.JPG b/notes.md"""
    (tmp_path / 'b').mkdir()
    for name in ('a.jpg', 'a.png', 'b/c.JPG'):
        Image.new('RGB', (8, 6)).save(tmp_path / name)
    (tmp_path / 'b' / 'notes.md').write_text('no image')
    return tmp_path


@pytest.fixture
def video(tmp_path):
    """Three grey frames, each brighter."""
    path = str(tmp_path / 'clip.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 5, (32, 24))
    for level in (10, 100, 200):
        writer.write(np.full((24, 32, 3), level, np.uint8))
    writer.release()
    return path


def stems(inputs):
    return [item.stem for item in list_inputs(inputs)]


def test_folders_and_lists_of_everything(photos, video):
    items = list(list_inputs(photos))
    assert [item.stem for item in items] == ['a', 'a_2', 'b/c']
    assert [item.name for item in items] == [str(photos / n) for n in ('a.jpg', 'a.png', 'b/c.JPG')]
    array = np.zeros((4, 4, 3), np.uint8)
    items = [photos / 'a.jpg', array, Image.new('L', (3, 3)), str(photos / 'b'), video]
    assert stems(items) == ['a', '000001', '000002', 'c', *(f'clip/{i:06d}' for i in range(3))]


def test_patterns_and_lists(photos):
    assert stems(f'{photos}/**/*.[jJ]*') == ['a', 'b/c']
    assert stems(f'{photos}/b/*.JPG') == ['c']
    (photos / 'a.jpg').rename(photos / 'photo[1].jpg')
    assert stems(str(photos / 'photo[1].jpg')) == ['photo[1]']
    (photos / 'list.txt').write_text(f'{photos}/a.png\n\n{photos}/b\n')
    assert stems(photos / 'list.txt') == ['a', 'c']
    (item,) = list_inputs('https://example.org/a%20b/photo.large.jpg?width=3')
    assert item.stem == 'photo.large' and item.source == item.name


def test_videos(video, tmp_path):
    items = list(list_inputs(video))
    assert [item.name for item in items] == [f'{video}#{i}' for i in range(3)]
    assert [round(read_image(i.source).mean(), -1) for i in items] == [10, 100, 200]
    path = tmp_path / 'broken.mp4'
    path.write_bytes(b'no video')
    (item,) = list_inputs(path)
    with pytest.raises(ValueError, match='broken.mp4 can not be read'):
        read_image(item.source)


def test_nothing_to_do(tmp_path, photos):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match=r'no image in the folder .*expected files that end.*empty/\*.mp4'):
        list(list_inputs(tmp_path / 'empty'))
    with pytest.raises(ValueError, match='no file matches the pattern'):
        list(list_inputs(f'{tmp_path}/empty/*.jpg'))
    # The first comes before the rest is looked at.
    items = list_inputs([photos / 'a.jpg', f'{photos}/*.nothing'])
    assert next(items).stem == 'a'
    with pytest.raises(ValueError, match='no file matches'):
        next(items)


def test_arrays_files_and_frames_share_no_stem(photos, video):
    array = np.zeros((4, 4, 3), np.uint8)
    (photos / 'clip').mkdir()
    for name in ('000001.jpg', '000003.jpg', 'clip/000000.jpg'):
        (photos / 'a.jpg').rename(photos / name)
        Image.new('RGB', (8, 6)).save(photos / 'a.jpg')
    names = [photos / '000001.jpg', array, array, photos / '000001.jpg', array, photos / '000003.jpg']
    given = [*stems(names), *stems([video, photos]), *stems([photos, video])]
    assert given[:6] == ['000001', '000001_2', '000002', '000001_3', '000004', '000003_2']
    for items in (names, [video, photos], [photos, video]):
        assert len(set(stems(items))) == len(stems(items))


def test_a_generator_comes_one_by_one_and_keeps_no_names():
    array = np.zeros((1, 1, 3), np.uint8)
    arrays = (array for _ in range(100_000))
    frames = (Input(f'a.mp4#{i}', f'sub/a/{i:06d}', array) for i in range(100_000))
    for given, stem in ((arrays, '099999'), (frames, 'sub/a/099999')):
        tracemalloc.start()
        last = deque(list_inputs(given), 1).pop()
        assert last.stem == stem and tracemalloc.get_traced_memory()[1] < 200_000
        tracemalloc.stop()


def test_a_video_of_any_name(video, photos):
    """The decoder is asked, where a file is named."""
    unknown = Path(video).rename(photos / 'clip.dat')
    assert stems(unknown) == [f'clip/{i:06d}' for i in range(3)]
    (photos / 'a.jpg').rename(photos / 'a.dat')
    (photos / 'text.dat').write_text('no video')
    assert stems([photos / 'a.dat', photos / 'text.dat']) == ['a', 'text']


def test_stems_of_frames_are_given_once():
    array = np.zeros((1, 1, 3), np.uint8)
    names = ['a/000000', 'a/000001', 'a/000001', 'b/000001', 'a/000000', '../c/000001', 'a/000002']
    given = stems([Input(name, name, array) for name in names])
    assert given[:2] == ['a/000000', 'a/000001'] and given[-1] == 'a/000002'
    assert len(set(given)) == len(given) and not any('..' in stem for stem in given)


def test_a_result_takes_no_place_of_an_input(photos, video):
    """Whichever of them it is the result of; nothing is written by then."""
    (photos / 'out').mkdir()
    (photos / 'out' / 'vis').symlink_to(photos / 'b')
    Image.new('RGB', (8, 6)).save(photos / 'b' / 'a.jpg')
    named = photos / 'b' / 'a.jpg'
    with pytest.raises(ValueError, match='out/vis/a.jpg would take the place of the input'):
        list_files(photos, photos / 'out')
    (photos / 'map').mkdir()
    Image.new('RGB', (8, 6)).save(photos / 'map' / 'a.tif')
    (photos / 'tiles').mkdir()
    (photos / 'tiles' / 'panoptic').symlink_to(photos / 'map')
    with pytest.raises(ValueError, match='tiles/panoptic/a.tif would take the place of the input'):
        list_files([photos / 'a.png', photos / 'map'], photos / 'tiles')
    for given in ([photos / 'a.png', named], str(named), iter([named])):
        with pytest.raises(ValueError, match='lies among the results'):
            list(list_inputs(given, photos / 'out'))
    clip = Path(video).rename(photos / 'out' / 'a.mp4')
    with pytest.raises(ValueError, match='out/a.mp4 would take the place of the input'):
        list_files([clip, photos / 'a.png'], photos / 'out')
    with pytest.raises(ValueError, match='is an input and the folder of the results'):
        list(list_inputs(photos, photos))


def test_lists_that_can_not_be_used(photos):
    (photos / 'list.txt').write_text(f'{photos}/a.png\n{photos}/list.txt\n')
    with pytest.raises(ValueError, match='list.txt names another list, .*list.txt'):
        stems(photos / 'list.txt')
    (photos / 'list.txt').write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match='list.txt is no text in UTF-8'):
        stems(photos / 'list.txt')
