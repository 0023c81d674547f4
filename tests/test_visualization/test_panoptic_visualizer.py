import mmcv
import numpy as np
import pytest
import torch
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mmpfcn.visualization import PanopticVisualizer
from mmpfcn.visualization.drawing import GAP, title_height

META = dict(
    classes=('cat', 'dog', 'sky'),
    thing_classes=('cat', 'dog'),
    stuff_classes=('sky',),
    palette=[(220, 20, 60), (0, 0, 142), (70, 130, 180)],
)
VOID = len(META['classes'])
HEIGHT, WIDTH = 480, 640
TOP = title_height(HEIGHT, WIDTH)


@pytest.fixture
def visualizer():
    visualizer = PanopticVisualizer('test_panoptic_visualizer')
    visualizer.dataset_meta = META
    return visualizer


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def prediction(values, segments_info=None):
    """A data sample whose map has equally wide columns of the given ids."""
    pan = np.repeat(np.array(values, np.int32), WIDTH // len(values))[None].repeat(HEIGHT, 0)
    metainfo = {} if segments_info is None else dict(segments_info=segments_info)
    sample = DetDataSample()
    sample.pred_panoptic_seg = PixelData(sem_seg=torch.from_numpy(pan.copy())[None], metainfo=metainfo)
    return sample


def add_ground_truth(sample, path, is_thing=True):
    """Id 70000 on the left half, void on the right."""
    png = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    png[:, : WIDTH // 2] = (70000 % 256, 70000 // 256 % 256, 70000 // 65536)
    mmcv.imwrite(png[..., ::-1], str(path))
    info = [dict(id=70000, category=0, is_thing=is_thing)]
    sample.set_metainfo(dict(seg_map_path=str(path), segments_info=info))
    return sample


def panel(picture, number):
    left = number * (WIDTH + GAP)
    return picture[TOP:, left : left + WIDTH].astype(int)


def draw(visualizer, image, sample, tmp_path, **kwargs):
    path = tmp_path / 'picture.png'
    visualizer.add_datasample('x', image, sample, out_file=str(path), **kwargs)
    return mmcv.imread(str(path), channel_order='rgb')


def test_it_is_registered_and_writes_to_backends(image, tmp_path):
    visualizer = VISUALIZERS.build(dict(type='PanopticVisualizer', name='built'))
    assert isinstance(visualizer, PanopticVisualizer)
    backends = dict(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path))
    visualizer = PanopticVisualizer('with_backend', **backends)
    visualizer.dataset_meta = META
    visualizer.add_datasample('val_img', image, prediction([2]), step=7)
    written = mmcv.imread(str(tmp_path / 'vis_data' / 'vis_image' / 'val_img_7.png'))
    assert written.shape == (TOP + HEIGHT, 2 * WIDTH + GAP, 3)
    assert visualizer.get_image().shape == written.shape


def test_three_panels(visualizer, image, tmp_path):
    sample = add_ground_truth(prediction([0 + INSTANCE_OFFSET, 2]), tmp_path / 'gt.png')
    picture = draw(visualizer, image, sample, tmp_path)
    assert picture.shape == (TOP + HEIGHT, 3 * WIDTH + 2 * GAP, 3)
    assert np.array_equal(panel(picture, 0), image)
    truth, predicted = panel(picture, 1), panel(picture, 2)
    right = np.s_[:, WIDTH // 2 + 1 :]
    assert np.array_equal(truth[right], image[right])  # void
    expected = 0.4 * image[20, 20] + 0.6 * np.array(META['palette'][0])
    assert np.abs(truth[20, 20] - expected).max() <= 1
    assert np.abs(predicted[20, 20] - expected).max() <= 1
    expected = 0.4 * image[20, -20] + 0.6 * np.array(META['palette'][2])
    assert np.abs(predicted[20, -20] - expected).max() <= 1
    sample = add_ground_truth(prediction([2]), tmp_path / 'gt.png')
    only_prediction = draw(visualizer, image, sample, tmp_path, draw_gt=False)
    only_truth = draw(visualizer, image, sample, tmp_path, draw_pred=False)
    assert only_prediction.shape[1] == only_truth.shape[1] == 2 * WIDTH + GAP
    # The right half is sky in the prediction and void in the ground truth.
    assert not np.array_equal(panel(only_prediction, 1)[20, -20], image[20, -20])
    assert np.array_equal(panel(only_truth, 1)[20, -20], image[20, -20])


@pytest.mark.parametrize('path', ['absent', None])
def test_no_ground_truth_panel_without_a_path(visualizer, image, tmp_path, path):
    sample = prediction([2])
    if path is None:
        sample.set_metainfo(dict(seg_map_path=None))
    assert draw(visualizer, image, sample, tmp_path).shape[1] == 2 * WIDTH + GAP


@pytest.mark.parametrize('void, infos', [(VOID, None), (VOID, []), (0, None), (0, [])])
def test_all_void_is_the_plain_image(visualizer, image, tmp_path, void, infos):
    """CocoPanopticMetric leaves 0 where there was void."""
    picture = draw(visualizer, image, prediction([void], infos), tmp_path)
    assert np.array_equal(panel(picture, 1), image)


def test_scores_small_images_and_mmdets_own(visualizer, image, tmp_path):
    info = dict(id=2, label=2, isthing=False, area=HEIGHT * WIDTH)
    without = draw(visualizer, image, prediction([2], [info]), tmp_path)
    with_score = draw(visualizer, image, prediction([2], [dict(info, score=0.875)]), tmp_path)
    other = draw(visualizer, image, prediction([2], [dict(info, score=0.125)]), tmp_path)
    assert not np.array_equal(without, with_score)
    assert not np.array_equal(with_score, other)
    sample = DetDataSample()
    sample.pred_panoptic_seg = PixelData(sem_seg=torch.full((1, 192, 256), 2, dtype=torch.int32))
    picture = draw(visualizer, np.zeros((192, 256, 3), np.uint8), sample, tmp_path)
    assert picture.shape == (TOP + 480, 2 * 640 + GAP, 3)
    # One panel with a box, no titles.
    sample = DetDataSample()
    found = dict(labels=torch.tensor([1]), scores=torch.tensor([0.9]))
    sample.pred_instances = InstanceData(bboxes=torch.tensor([[100.0, 100.0, 300.0, 300.0]]), **found)
    picture = draw(visualizer, image, sample, tmp_path, draw_gt=False)
    assert picture.shape == image.shape
    assert not np.array_equal(picture, image)


def test_a_crowd_is_a_thing_class_that_is_no_thing(visualizer, image, tmp_path):
    black = np.zeros_like(image)
    pictures = []
    for is_thing in (True, False):
        sample = add_ground_truth(DetDataSample(), tmp_path / 'gt.png', is_thing)
        pictures.append(draw(visualizer, black, sample, tmp_path))
    thing, crowd = pictures
    # The top rows of the segment, above its text: one colour, or stripes.
    assert len(np.unique(panel(thing, 1)[:60, :300, 0])) == 1
    assert len(np.unique(panel(crowd, 1)[:60, :300, 0])) == 2


def test_a_packed_ground_truth_is_not_read_again(visualizer, image, tmp_path):
    """Class 0 on the left half and a crowd in it; the file is not there, and void is void."""
    ids = np.full((HEIGHT, WIDTH), 255, np.int32)
    ids[:, : WIDTH // 2] = 0 + INSTANCE_OFFSET
    ids[: HEIGHT // 2, : WIDTH // 4] = 0 + 2 * INSTANCE_OFFSET
    cases = (2, 0, True, HEIGHT * WIDTH // 8), (1, 0, False, HEIGHT * WIDTH * 3 // 8), (3, 1, False, 0)
    infos = [
        dict(id=number * INSTANCE_OFFSET, label=label, isthing=not crowd, iscrowd=crowd, area=area)
        for number, label, crowd, area in cases
    ]
    sample = DetDataSample(metainfo=dict(seg_map_path=str(tmp_path / 'none.png')))
    metainfo = dict(ignore_index=255, segments_info=infos)
    sample.gt_panoptic_seg = PixelData(sem_seg=torch.from_numpy(ids)[None], metainfo=metainfo)
    truth = panel(draw(visualizer, np.zeros_like(image), sample, tmp_path), 1)
    assert np.all(truth[-20:, 20:300] == [round(0.6 * c) for c in META['palette'][0]])
    assert len(np.unique(truth[:60, :150, 0])) == 2  # stripes
    assert not truth[:, WIDTH // 2 + 1 :].any()


def test_what_is_wrong(visualizer, image, tmp_path):
    with pytest.raises(ValueError, match='label 7 .* 3 classes'):
        draw(visualizer, image, prediction([7 + 2 * INSTANCE_OFFSET]), tmp_path)
    with pytest.raises(ValueError, match=r'prediction is \(480, 640\).*\(480, 600\)'):
        draw(visualizer, image[:, :600], prediction([2]), tmp_path)
    sample = prediction([2])
    sample.set_metainfo(dict(seg_map_path=str(tmp_path / 'none.png'), segments_info=[]))
    with pytest.raises(FileNotFoundError, match='none.png.*data_prefix'):
        draw(visualizer, image, sample, tmp_path)
    visualizer.dataset_meta = {}
    with pytest.raises(ValueError, match="no 'classes'"):
        draw(visualizer, image, prediction([2]), tmp_path)


@pytest.mark.parametrize('palette', [None, 'random', [(1, 2, 3)]])
def test_a_missing_palette_is_made_up_and_stable(visualizer, image, tmp_path, palette):
    visualizer.dataset_meta = dict(META, palette=palette)
    first = draw(visualizer, image, prediction([2]), tmp_path)
    assert np.array_equal(first, draw(visualizer, image, prediction([2]), tmp_path))
    assert not np.array_equal(panel(first, 1)[20, 20], image[20, 20])


def test_pictures_of_images_of_one_name_are_kept_apart(visualizer, image, tmp_path):
    """mmdet's hook gives each the name of its image, without the folder."""
    for name in ('day/a.png', 'night/a.png', '../a.png', 'a.png'):
        sample = prediction([0, 2])
        sample.set_metainfo(dict(img_path=f'/data/{name}', seg_file_name=name))
        visualizer.add_datasample('x', image, sample, out_file=str(tmp_path / 'out' / 'a.png'))
    written = [str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*.png')]
    assert sorted(written) == ['out/a.png', 'out/day/a.png', 'out/night/a.png']
    visualizer.add_datasample('x', image, sample, out_file=str(tmp_path / 'own.png'))
    assert (tmp_path / 'own.png').is_file()
