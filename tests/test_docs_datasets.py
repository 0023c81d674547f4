"""docs/datasets.md: its commands, its config, what it says of few classes, its messages."""

import ast
import json
import re
import shlex
import textwrap
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny
from helpers.oracle import ROOT
from helpers.own_data import made, run, save
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmpfcn.datasets import PanopticDataset

DOC = (ROOT / 'docs' / 'datasets.md').read_text()
SIZE = (64, 96)  # of the images
CAR, PERSON, ROAD, SKY, OTHER = 26, 24, 7, 23, 0
OBJECTS = [('car', CAR, 8, 30, 40, 56), ('person', PERSON, 60, 8, 76, 50)]
"""name, value, x1, y1, x2, y2; the sky is above them, the road below."""


def blocks(language: str, text: str = DOC) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', text, re.S)


def commands() -> list[list[str]]:
    """The converters' command lines, as lists of words."""
    part = DOC.split('## Make it from what you have')[1].split('\n## ')[0]
    text = '\n'.join(blocks('sh', part)).replace('\\\n', ' ')
    lines = [shlex.split(line) for line in text.splitlines()]
    return [words for words in lines if words and words[1].startswith('tools/dataset_converters/')]


def draw(folder: Path, split: str, number: int, things: bool = True) -> list[dict]:
    """One image with its annotations in every form of the docs; returns those of COCO."""
    rng = np.random.default_rng(number)
    classes = np.full(SIZE, SKY, np.uint8)
    classes[32:] = ROAD
    instances = np.zeros(SIZE, np.uint8)
    if things:
        for i, (_, value, x1, y1, x2, y2) in enumerate(OBJECTS, 1):
            classes[y1:y2, x1:x2], instances[y1:y2, x1:x2] = value, i
    classes[:3, :5] = OTHER
    pixels = rng.integers(0, 60, (*SIZE, 3), np.uint8) + classes[..., None] * 7
    save(folder / split / f'{number}.jpg', pixels)
    save(folder / f'{split}_classes' / f'{number}.png', classes)
    for kind in ('instances', 'masks'):
        save(folder / f'{split}_{kind}' / f'{number}.png', instances)


REGIONS = [('sky', SKY, 0, 0, 96, 32), ('road', ROAD, 0, 32, 96, 64)]
NUMBERS = [1, 2, 3, 4]


def draw_labelme(folder: Path) -> None:
    folder.mkdir()
    shapes = [
        dict(label=name, points=[[x1, y1], [x2, y2]], shape_type='rectangle', group_id=None)
        for name, _, x1, y1, x2, y2 in [*REGIONS, *OBJECTS]
    ]
    for number in NUMBERS:
        content = dict(shapes=shapes, imagePath=f'{number}.jpg')
        (folder / f'{number}.json').write_text(json.dumps(content))


def draw_via(path: Path) -> None:
    regions = []
    for name, _, x1, y1, x2, y2 in [*REGIONS, *OBJECTS]:
        rectangle = dict(name='rect', x=x1, y=y1, width=x2 - x1, height=y2 - y1)
        regions.append(dict(shape_attributes=rectangle, region_attributes=dict(type=name)))
    path.write_text(json.dumps({str(n): dict(filename=f'{n}.jpg', regions=regions) for n in NUMBERS}))


def draw_coco(path: Path, drawn: list[tuple], *more: dict) -> None:
    annotations = [
        dict(id=100 * number + value, image_id=number, category_id=value, iscrowd=0,
             segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]])
        for number in NUMBERS for _, value, x1, y1, x2, y2 in drawn
    ]  # fmt: skip
    categories = [*(dict(id=value, name=name) for name, value, *_ in drawn), *more]
    images = [dict(id=n, file_name=f'{n}.jpg', height=64, width=96) for n in NUMBERS]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    """data/mine with four images for training and two for validation; cwd is above it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'data' / 'mine'
    for split, number in [*(('train', number) for number in NUMBERS), ('val', 5), ('val', 6)]:
        draw(folder, split, number)
    draw_labelme(folder / 'train_labelme')
    draw_via(folder / 'via_train.json')
    draw_coco(folder / 'instances_train.json', OBJECTS)
    draw_coco(folder / 'stuff_train.json', REGIONS, dict(id=183, name='other'))
    return folder


def convert(words: list[str], *more: str) -> None:
    run(Path(words[1]).stem, *words[2:], '--workers', 1, *more)


def test_what_the_page_shows_works(tmp_path):
    (tmp_path / 'panoptic.json').write_text(blocks('json')[0])
    dataset = PanopticDataset(ann_file=str(tmp_path / 'panoptic.json'))
    assert dataset.metainfo['classes'] == ('car', 'road')
    assert [s['category'] for s in dataset[0]['segments_info']] == [0, 1]
    own = {'id_maps_panoptic', 'polygons_panoptic', 'coco_panoptic', 'semantic_panoptic', 'objects_panoptic'}
    assert {Path(words[1]).stem for words in commands()} == own
    for words in commands():
        assert (ROOT / words[1]).is_file() and words[0] == 'python'


@pytest.mark.parametrize('index', range(len(commands())))
def test_each_command_of_a_converter(mine, index):
    """All forms of the same annotations give the same classes and nearly the same pixels."""
    convert(commands()[index])
    result = made(mine / 'annotations', 'train')
    for number in range(1, 5):
        labels = result.labels(f'{number}.jpg')
        expected = np.full(SIZE, 'sky', object)
        expected[32:] = 'road'
        if 'nucleus' in commands()[index]:  # a set of one class
            expected[:] = 'background'
        for number, (name, _, x1, y1, x2, y2) in enumerate(reversed(OBJECTS), 1):
            one_class = 'nucleus' in commands()[index]
            expected[y1:y2, x1:x2] = f'nucleus{number}' if one_class else f'{name}1'
        assert (labels != expected).sum() <= 15  # the corner that is void in the PNGs


def template(tmp_path: Path) -> Config:
    """The config of the docs, with r50_coco.py where it really is."""
    text = next(block for block in blocks('python') if '_base_' in block)
    assert len(text.splitlines()) <= 15
    assert "'./r50_coco.py'" in text
    file = tmp_path / 'mine.py'
    file.write_text(text.replace("'./r50_coco.py'", repr(str(tiny.CONFIGS / 'r50_coco.py'))))
    return Config.fromfile(file)


def shrink(cfg: Config, work_dir: Path, iterations: int) -> Config:
    """The same data and class counts, a tiny model and a short run on small images."""
    model = tiny.config()
    for count in ('num_things_classes', 'num_stuff_classes'):
        for head in (model.panoptic_head, model.panoptic_fusion_head):
            head[count] = cfg.model.panoptic_head[count]
    for key in ('center_thr', 'region_thr', 'score_thr', 'panoptic_score_thr'):
        model.test_cfg[key] = 0.0
    cfg.model = model
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.name
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.pipeline[2].scales = [(96, 64)]
    cfg.val_dataloader.dataset.pipeline[1].scale = (96, 64)
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    cfg.default_hooks.checkpoint = None
    cfg.log_level = 'ERROR'
    return cfg


def train(cfg: Config) -> tuple[Runner, dict[str, float]]:
    """A run, and the figures of its validation."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    prefix = 'val/coco_panoptic/'
    scalars = runner.message_hub.log_scalars.items()
    return runner, {k.removeprefix(prefix): v.current() for k, v in scalars if k.startswith(prefix)}


def test_the_config_trains_and_tests(mine, tmp_path):
    words = commands()[0]
    convert(words)
    convert([word.replace('/train', '/val') for word in words])
    runner, figures = train(shrink(template(tmp_path), tmp_path / 'template', iterations=2))
    assert runner.iter == 2
    dataset = runner.train_dataloader.dataset
    assert isinstance(dataset, PanopticDataset) and len(dataset) == 4
    assert dataset.metainfo['thing_classes'] == ('car', 'person')
    assert dataset.metainfo['stuff_classes'] == ('road', 'sky')
    assert [len(loader.dataset) for loader in (runner.val_dataloader,)] == [2]
    for name in ('PQ', 'PQ_th', 'PQ_st'):
        assert 0 <= figures[name] <= 100


STUFF = ['road=7', 'sky=23']
FEW_CLASSES = {
    'no_stuff': (['--things', 'car=26', 'person=24', '--void'], 2, 0, 'PQ_st'),
    'no_things': (['--things', 'none=65535', '--stuff', *STUFF, '--void'], 1, 2, 'PQ_th'),
    'one_thing': (['--things', 'car=26', '--stuff', 'rest=7', '--void'], 1, 1, None),
}  # fmt: skip


@pytest.mark.parametrize('case', FEW_CLASSES)
def test_few_classes(tmp_path, monkeypatch, case):
    """As the docs say: a group without classes says nothing, everything else works."""
    arguments, num_things, num_stuff, absent = FEW_CLASSES[case]
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'data' / 'mine'
    for split, number in (('train', 1), ('train', 2), ('val', 3)):
        draw(folder, split, number, things=case != 'no_things')
    for split in ('train', 'val'):
        maps = folder / f'{split}_classes', folder / f'{split}_instances'
        where = folder / split, *maps, '--out', folder / 'annotations', '--workers', 1
        run('id_maps_panoptic', *where, *arguments)
    cfg = template(tmp_path)
    for head in ('panoptic_head', 'panoptic_fusion_head'):
        cfg.model[head].update(num_things_classes=num_things, num_stuff_classes=num_stuff)
    if case == 'no_things':
        cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=False)
    _, figures = train(shrink(cfg, tmp_path / case, iterations=1))
    for name in ('PQ_th', 'PQ_st'):
        if name == absent:  # 0 when something is predicted nevertheless
            assert np.isnan(figures[name]) or figures[name] == 0
        else:
            assert 0 <= figures[name] <= 100
    assert 0 <= figures['PQ'] <= 100


def test_the_lines_for_masks_in_colours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = np.array([[[0, 0, 142], [128, 64, 128], [1, 1, 1]]], np.uint8)
    save(tmp_path / 'mask.png', mask)
    exec(next(block for block in blocks('python') if 'Image.open' in block), {})
    assert np.array(Image.open('ids.png')).tolist() == [[26, 7, 0]]


def run_lines(word: str) -> None:
    exec(textwrap.dedent(next(block for block in blocks('python') if word in block)), {})


def test_the_lines_for_runs_of_pixels(tmp_path, monkeypatch):
    """They go down the columns, from 1 on, and each row of the file is an object."""
    monkeypatch.chdir(tmp_path)
    rows = ['ImageId,EncodedPixels,Height,Width,Usage', 'a,1 2 4 1,3,2,Public', 'a,6 1,3,2,Public',
            'b,2 1,1,2,Private']  # fmt: skip
    (tmp_path / 'stage1_solution.csv').write_text('\n'.join(rows))
    run_lines('stage1_solution')
    maps = {
        path.stem: np.array(Image.open(path)).tolist() for path in Path('data/dsb2018/test_masks').iterdir()
    }
    assert maps == {'a': [[1, 1], [1, 0], [0, 2]], 'b': [[0, 1]]}


def test_the_lines_for_a_validation_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'data/dsb2018/annotations'
    folder.mkdir(parents=True)
    images = [dict(id=i, file_name=f'{99 - i}.png') for i in range(23)]
    whole = dict(images=images, annotations=[dict(image_id=i) for i in range(23)], categories=[1])
    (folder / 'panoptic_train.json').write_text(json.dumps(whole))
    run_lines('[::11]')
    val, train = (json.loads((folder / f'panoptic_{name}.json').read_text()) for name in ('val', 'train'))
    assert [image['id'] for image in val['images']] == [22, 11, 0]
    for part in (val, train):
        assert {x['image_id'] for x in part['annotations']} == {image['id'] for image in part['images']}
        assert part['categories'] == [1]
    assert len(train['images']) == 20 and len(val['annotations']) == 3


def source_texts() -> list[str]:
    """Every text in our code; a NUL where an f-string has a value."""
    texts = []
    for path in (ROOT / 'mmpfcn').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else '\0' for p in node.values]
                texts.append(''.join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_the_messages_are_those_of_the_code():
    tables = DOC.split('## What the messages mean')[1]
    rows = re.findall(r'^\| `(.+?)`(?: \(warning\)|, `(.+?)`)? \|', tables, re.M)
    messages = [message for row in rows for message in row if message]
    assert len(messages) > 20
    texts = source_texts()
    texts = [*texts, *(f'annotation file ...{text}' for text in texts)]  # the reader begins so
    for message in messages:
        pattern = '.*'.join(re.escape(piece.strip()) for piece in message.split('...'))
        assert any(re.search(pattern, text, re.S) for text in texts), message
