"""Files of Aperio ImageScope."""

import numpy as np
import pytest
from helpers.own_data import assert_names, failure, made, photo, run

TOOL = 'polygons_panoptic'
SIZE = (40, 60)
ONE = ['--things', 'nucleus', '--background', 'rest']


def region(*corners, kind=0, excluded=0):
    vertices = ''.join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in corners)
    return (
        f'<Region Id="1" Type="{kind}" NegativeROA="{excluded}"><Attributes/>'
        f'<Vertices>{vertices}</Vertices></Region>'
    )


def box(x1, y1, x2, y2, **options):
    return region((x1, y1), (x2, y1), (x2, y2), (x1, y2), **options)


def layer(*regions, name='', attribute='Description', value=''):
    """As ImageScope writes it, with headers that have attributes too."""
    return (
        f'<Annotation Id="1" Name="{name}" Type="4"><Attributes><Attribute Name="{attribute}" '
        f'Id="0" Value="{value}"/></Attributes><Regions><RegionAttributeHeaders><AttributeHeader '
        f'Name="Region"/></RegionAttributeHeaders>{"".join(regions)}</Regions></Annotation>'
    )


def write(path, *layers, root='Annotations'):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<{root} MicronsPerPixel="0.25">{"".join(layers)}</{root}>')


@pytest.fixture
def data(tmp_path):
    photo(tmp_path / 'train' / 'TCGA-1-DX1.tif', *SIZE)
    return tmp_path


def convert(data, *arguments, annotations='xml'):
    where = data / 'train', data / annotations, '--out', data / 'annotations'
    run(TOOL, *where, '--workers', 1, *arguments)
    return made(data / 'annotations', 'train')


def test_regions_of_layers_without_names(data):
    """They may overlap, and leave the image; the later one is on top. Beside the image, too."""
    for folder in ('xml', 'train'):
        write(
            data / folder / 'TCGA-1-DX1.xml', layer(box(5, 5, 15, 15), box(10, 5, 20, 15)),
            layer(box(50, 30, 70, 50), box(30, 20, 40, 24, kind=1)), layer(),
        )  # fmt: skip
        expected = np.full(SIZE, 'rest', object)
        expected[5:15, 5:10], expected[5:15, 10:20] = 'nucleus1', 'nucleus2'
        expected[30:, 50:], expected[20:24, 30:40] = 'nucleus4', 'nucleus3'
        found = convert(data, *ONE, '--overwrite', annotations=folder).labels('TCGA-1-DX1.tif')
        assert found.tolist() == expected.tolist()


def test_layers_are_classes(data):
    """By their name, an attribute's value, or an attribute's name as in MoNuSAC."""
    write(
        data / 'xml' / 'TCGA-1-DX1.xml', layer(box(0, 0, 9, 9), name='Epithelial'),
        layer(box(20, 0, 29, 9), value='Epithelial'), layer(box(40, 0, 49, 9), attribute='Stromal'),
        layer(box(5, 5, 9, 9, excluded=1), name='Epithelial'),
    )  # fmt: skip
    expected = np.full(SIZE, '', object)
    expected[:9, :9], expected[:9, 20:29] = 'Epithelial1', 'Epithelial2'
    expected[:9, 40:49], expected[5:9, 5:9] = 'Stromal1', ''
    classes = ['--things', 'Epithelial', 'Stromal', '--void', 'NegativeROA']
    assert convert(data, *classes).labels('TCGA-1-DX1.tif').tolist() == expected.tolist()


def test_an_ellipse_is_given_by_its_box(data):
    write(data / 'xml' / 'TCGA-1-DX1.xml', layer(region((10, 10), (40, 30), kind=2)))
    labels = convert(data, *ONE).labels('TCGA-1-DX1.tif')
    rows, columns = np.nonzero(labels == 'nucleus1')
    assert len(rows) == pytest.approx(np.pi * 15 * 10, rel=0.02)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 29, 10, 39)


LINE = region((1, 1), (9, 9), kind=4)
MISTAKES = {
    'no area': ([layer(LINE)], ONE, ['region 1 (nucleus) has 2 points', '--skip-without-area']),
    'no class': ([layer(LINE)], [], ['region 1 is in a layer without a name', 'exactly one class']),
    'two classes': ([layer(LINE)], ['--things', 'a', 'b'], ['a layer without a name']),
    'another class': ([layer(box(0, 0, 9, 9), name='cell')], ONE, ["label 'cell'", 'nucleus']),
    'excluded': ([layer(box(0, 0, 9, 9, excluded=1))], ONE, ["--void 'NegativeROA'"]),
    'no number': ([layer(region((1, 1), ('x', 9), (3, 4)))], ONE, ['region 1', 'x, y points']),
    'no layer': ([], ONE, ['expected <Annotations> with an <Annotation>']),
}  # fmt: skip


@pytest.mark.parametrize('case', MISTAKES)
def test_mistakes_are_named(data, case):
    layers, classes, parts = MISTAKES[case]
    write(data / 'xml' / 'TCGA-1-DX1.xml', *layers)
    message = failure(TOOL, data / 'train', data / 'xml', *classes, out=data / 'annotations')
    assert_names(message, ['TCGA-1-DX1.xml', *parts])


def test_files_of_others(data):
    where, out = (data / 'train', data / 'xml', *ONE), data / 'annotations'
    write(data / 'xml' / 'TCGA-1-DX1.xml', root='annotation')
    assert_names(failure(TOOL, *where, out=out), ['got <annotation>', 'move it away'])
    (data / 'xml' / 'TCGA-1-DX1.xml').write_text('<Annotations><Annotation>')
    assert_names(failure(TOOL, *where, out=out), ['TCGA-1-DX1.xml is not valid XML'])
    for encoding in ('shift_jis', 'nonsense'):  # those that the parser has not
        text = f'<?xml version="1.0" encoding="{encoding}"?><Annotations/>'
        (data / 'xml' / 'TCGA-1-DX1.xml').write_text(text)
        assert_names(failure(TOOL, *where, out=out), ['TCGA-1-DX1.xml is not valid XML'])
    write(data / 'xml' / 'TCGA-2-DX1.xml', layer(box(0, 0, 9, 9)))
    write(data / 'xml' / 'TCGA-1-DX1.xml', layer(box(0, 0, 9, 9)))
    assert_names(failure(TOOL, *where, out=out), ['TCGA-2-DX1.xml has no image of its name'])


def test_lines_are_skipped_when_asked(data, capsys):
    write(data / 'xml' / 'TCGA-1-DX1.xml', layer(LINE, box(0, 0, 9, 9), region((1, 2))))
    result = convert(data, *ONE, '--skip-without-area')
    assert (result.labels('TCGA-1-DX1.tif') == 'nucleus1').sum() == 81
    assert '2 shapes without area are left out' in capsys.readouterr().out
