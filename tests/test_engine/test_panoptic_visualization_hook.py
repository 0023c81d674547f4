"""Pictures of a test: on the image as the data set reads it."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmdet.structures import DetDataSample
from mmengine.dataset import Compose
from PIL import Image

from mmpfcn import PanopticVisualizationHook, PanopticVisualizer


@pytest.fixture
def runner(tmp_path):
    """Of a test of two images: one turned by its EXIF orientation, one of 12 bits."""
    exif = Image.Exif()
    exif[274] = 6
    Image.new('RGB', (40, 20), (200, 0, 0)).save(tmp_path / 'turned.jpg', exif=exif)
    cv2.imwrite(str(tmp_path / 'deep.png'), np.full((20, 40), 2048, np.uint16))
    return SimpleNamespace(work_dir=str(tmp_path), timestamp='now', iter=0)


@pytest.mark.parametrize('name, step, shape, color', [
    ('turned.jpg', dict(), (40, 20), (0, 0, 200)),
    ('deep.png', dict(channels=1, ranges=[(0, 4096)]), (20, 40), (128, 128, 128)),
])  # fmt: skip
def test_the_image_as_it_was_read(runner, tmp_path, name, step, shape, color):
    PanopticVisualizer.get_instance(f'hook {name}')
    dataset = SimpleNamespace(pipeline=Compose([dict(type='LoadImage', **step)]))
    runner.test_dataloader = runner.val_dataloader = SimpleNamespace(dataset=dataset)
    sample = DetDataSample(metainfo=dict(img_path=str(tmp_path / name)))
    hook = PanopticVisualizationHook(draw=True, interval=2, test_out_dir='out')
    hook._visualizer = PanopticVisualizer.get_instance(f'hook {name}')
    for number in range(2):
        hook.after_test_iter(runner, number, {}, [sample])
    [file] = (tmp_path / 'now').rglob('*.*')
    assert file == tmp_path / 'now' / 'out' / name
    picture = cv2.imread(str(file))
    assert picture.shape[:2] == (shape[0], 2 * shape[1])  # mmdet's ground truth and prediction
    assert abs(picture.reshape(-1, 3).mean(0) - color).max() < 5
    file.unlink()
    PanopticVisualizationHook().after_test_iter(runner, 0, {}, [sample])
    assert not file.exists()


def test_two_images_of_one_name_have_two_pictures(runner, tmp_path):
    PanopticVisualizer.get_instance('hook names')
    dataset = SimpleNamespace(pipeline=Compose([dict(type='LoadImage')]))
    runner.test_dataloader = SimpleNamespace(dataset=dataset)
    hook = PanopticVisualizationHook(draw=True, test_out_dir='out')
    hook._visualizer = PanopticVisualizer.get_instance('hook names')
    for number, folder in enumerate('ab'):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'x.png'), np.full((20, 40, 3), 200 * number, np.uint8))
        sample = DetDataSample(metainfo=dict(img_path=str(tmp_path / folder / 'x.png')))
        hook.after_test_iter(runner, number, {}, [sample])
    files = [tmp_path / 'now' / 'out' / name for name in ('x.png', 'x_2.png')]
    assert [round(cv2.imread(str(file)).mean()) for file in files] == [0, 200]
