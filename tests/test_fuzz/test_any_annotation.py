"""Converters on annotation files of any content: a whole data set, or one line and nothing."""

import copy
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from helpers.fuzzing import cases, change, json_values, places
from helpers.own_data import in_base64, made, photo, run
from hypothesis import given
from hypothesis import strategies as st

FOLDER = Path(tempfile.mkdtemp(prefix='fuzz-'))
PHOTOS = [photo(FOLDER / 'img' / name, 30, 40) for name in ('a.jpg', 'sub/b.jpg')]
CONTENT = [path.read_bytes() for path in PHOTOS]
CORNERS = [8, 6, 26, 6, 26, 20, 8, 20]

PNG = in_base64(np.full((4, 6), 255, np.uint8))
RLE = dict(size=[30, 40], counts=[100, 50, 1050])
COCO = dict(
    images=[dict(id=1, file_name='a.jpg', height=30, width=40), dict(id=2, file_name='sub/b.jpg')],
    annotations=[
        dict(id=1, image_id=1, category_id=1, iscrowd=0, segmentation=[CORNERS]),
        dict(id=2, image_id=2, category_id=2, segmentation=[[[1, 1], [9, 1], [9, 9]]]),
        dict(id=3, image_id=2, category_id=1, iscrowd=1, segmentation=RLE),
    ],
    categories=[
        dict(id=1, name='cat', supercategory='x', color=[1, 2, 3], isthing=1),
        dict(id=2, name='sky', isthing=0),
    ],
)  # fmt: skip
POLYGON = dict(name='polygon', all_points_x=CORNERS[::2], all_points_y=CORNERS[1::2])
ELLIPSE = dict(name='ellipse', cx=3, cy=4, rx=2, ry=1, theta=0.3)
REGIONS = [
    dict(shape_attributes=POLYGON, region_attributes=dict(kind='cat')),
    dict(shape_attributes=ELLIPSE, region_attributes=dict(kind=dict(cat=True))),
]
VIA = {'a.jpg1': dict(filename='a.jpg', regions=REGIONS)}
LABELME = dict(
    imagePath='a.jpg', imageHeight=30, imageWidth=40, imageData=PNG,
    shapes=[
        dict(label='cat', points=[[1, 2], [9, 2], [9, 9]], group_id=1, shape_type='polygon'),
        dict(label='cat', points=[[1, 2], [9, 9]], shape_type='circle'),
        dict(label='cat', points=[[1, 2], [7, 6]], shape_type='mask', mask=PNG),
    ],
)  # fmt: skip
DOCUMENTS = dict(coco=COCO, via=VIA, labelme=LABELME)
NAMES = st.sampled_from(['../a.jpg', str(PHOTOS[0]), 'sub\\b.jpg', 'C:\\a.jpg', 'a\0b', 300 * 'x'])
NUMBERS = st.sampled_from([-1, 1.5, 1e9, 1e300, float('nan'), float('inf'), 10**30, True])


@st.composite
def documents(draw) -> tuple[str, object]:
    kind = draw(st.sampled_from(sorted(DOCUMENTS)))
    document = copy.deepcopy(DOCUMENTS[kind])
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(places(DOCUMENTS[kind])))
        action = draw(st.sampled_from(['replace', 'remove', 'repeat']))
        change(document, path, action, draw(json_values | NAMES | NUMBERS))
    return kind, document


@cases
@given(documents())
def test_annotations(made_up):
    kind, document = made_up
    for folder in ('out', 'json'):
        shutil.rmtree(FOLDER / folder, ignore_errors=True)
    (FOLDER / 'json').mkdir()
    file = FOLDER / 'json' / 'a.json'
    file.write_text(json.dumps(document))
    tool = 'coco_panoptic' if kind == 'coco' else 'polygons_panoptic'
    source = FOLDER / 'json' if kind == 'labelme' else file
    more = [] if kind == 'coco' else ['--things', 'cat', '--skip-unannotated']
    try:
        run(tool, FOLDER / 'img', source, *more, '--out', FOLDER / 'out', '--workers', 1)
    except SystemExit as error:
        assert isinstance(error.code, str) and error.code.startswith('error: ')
        assert not (FOLDER / 'out' / 'panoptic_img.json').exists()
    else:
        made(FOLDER / 'out', 'img')
    assert [path.read_bytes() for path in PHOTOS] == CONTENT
    outside = {p for p in FOLDER.rglob('*') if not p.is_relative_to(FOLDER / 'out') and p.is_file()}
    assert outside == {*PHOTOS, file}
