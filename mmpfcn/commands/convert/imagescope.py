"""Annotation files of Aperio ImageScope, an XML for each image: outlines in layers."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mmpfcn.formats.file_content import read_content

from .images import find_files
from .outlines import WITHOUT_AREA, Drawing, NoArea, Shape, ellipse, with_area, xy_points

POLYGON, RECTANGLE, ELLIPSE = WITH_AREA = '0', '1', '2'  # "Type" of a region
EXCLUDED = 'NegativeROA'


def read_imagescope(
    folder: Path,  # with one file for each image, below it as the images are
    images: Mapping[str, str],  # relative name without suffix -> with it
    written: Path,  # what the converter makes; not searched
    only_class: str | None,  # of regions of layers without a name; None: they are an error
    skipped: list[str] | None,  # gets the regions without area; None: they are an error
) -> dict[str, Drawing]:
    """Drawings by the relative name, without suffix, of their image.

    A layer (``Annotation``) is a class; it is called as its ``Name`` says, or else its first
    attribute that has a value, or, as in MoNuSAC, a name of its own. Regions that are excluded have
    the label :data:`EXCLUDED`. ValueError names a file that is not ImageScope's, or has no image.
    """
    drawings = {}
    for stem, name in find_files(folder, ['.xml'], 'ANNOTATIONS', written).items():
        file = folder / name
        if stem not in images:
            raise ValueError(f'{file} has no image of its name: add it, or move the file away')
        records = [(_name(layer), r) for layer in _read(file) for r in layer.iter('Region')]
        read = partial(_shape, file, only_class)
        drawings[stem] = Drawing(file, with_area(read, records, skipped))
    return drawings


def _read(file: Path) -> list[ElementTree.Element]:
    content = read_content(file)
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # encodings
        raise ValueError(f'{file} is not valid XML ({error}): export it again') from None
    layers = root.findall('Annotation')
    if root.tag != 'Annotations' or not layers:
        raise ValueError(
            f'{file} is no annotation file of ImageScope: expected <Annotations> with an '
            f'<Annotation>, got <{root.tag}>; move it away'
        )
    return layers


def _name(layer: ElementTree.Element) -> str | None:
    """What a layer says that its regions are; None where it says nothing."""
    attributes = layer.findall('Attributes/Attribute')
    values = [attribute.get('Value', '') for attribute in attributes]
    # ImageScope gives each layer an empty "Description"
    names = [a.get('Name', '') for a in attributes if a.get('Name') != 'Description']
    named = map(str.strip, [layer.get('Name', ''), *values, *names])
    return next(filter(None, named), None)


def _shape(
    file: Path, only_class: str | None, number: int, record: tuple[str, ElementTree.Element]
) -> Shape:
    label, region = record
    where = f'{file}: region {number}'
    label = EXCLUDED if region.get(EXCLUDED, '0') != '0' else label or only_class
    if label is None:
        raise ValueError(
            f'{where} is in a layer without a name: name the layer, or give exactly one class'
        )
    name = f'region {number} ({label})'
    corners = xy_points([_corner(vertex) for vertex in region.iter('Vertex')], where)
    if region.get('Type') == ELLIPSE and len(corners) in (2, 4):  # those of its box
        (left, top), (right, bottom) = np.min(corners, 0), np.max(corners, 0)
        middle = (left + right) / 2, (top + bottom) / 2
        return Shape(label, name, ellipse(*middle, (right - left) / 2, (bottom - top) / 2))
    if region.get('Type', POLYGON) not in WITH_AREA or len(corners) < 3:
        raise NoArea(
            f'{file}: {name} has {len(corners)} points, which has no area: '
            + WITHOUT_AREA.format('region, rectangle or ellipse')
        )
    return Shape(label, name, corners)


def _corner(vertex: ElementTree.Element) -> list[float | None]:
    """x, y; None where it is no number."""
    try:
        return [float(vertex.get(key, '')) for key in 'XY']
    except ValueError:
        return [None, None]
