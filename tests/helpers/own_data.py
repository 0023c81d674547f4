"""Run the converters for data of your own, and read what they made."""

import base64
import importlib
import io
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from mmpfcn.formats import read_panoptic_png


def run(tool: str, *arguments) -> None:
    """`python tools/dataset_converters/<tool>.py ARGUMENTS` without starting Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [f'{tool}.py', *map(str, arguments)])
        importlib.import_module(f'mmpfcn.commands.convert.{tool}').main()


def failure(tool: str, *arguments, out: Path) -> str:
    """The message of a run that must fail and leave nothing whole behind."""
    with pytest.raises(SystemExit) as caught:
        run(tool, *arguments, '--out', out, '--workers', 1)
    assert isinstance(caught.value.code, str)  # a message, and exit code 1
    assert not list(out.glob('*.json'))
    assert all('.partial' in str(path) for path in out.rglob('*.png'))
    return caught.value.code


def assert_names(message: str, parts: list[str]) -> None:
    """It is one of an error, and says all of these."""
    assert message.startswith('error: ')
    for part in parts:
        assert part in message


class Made(NamedTuple):
    """A panoptic data set: its JSON, and by image name the ids (H, W) and the annotation."""

    data: dict
    ids: dict[str, np.ndarray]
    segments: dict[str, list[dict]]

    def category(self, name: str) -> int:
        return next(c['id'] for c in self.data['categories'] if c['name'] == name)

    def labels(self, image: str) -> np.ndarray:
        """(H, W) of texts: class, '+n' for the n-th object of it from the top, 'crowd', '' void."""
        names = {c['id']: c['name'] for c in self.data['categories']}
        isthing = {c['id']: c['isthing'] for c in self.data['categories']}
        ids, counts = self.ids[image], {}
        labels = np.full(ids.shape, '', object)
        position = {s['id']: np.flatnonzero(ids == s['id'])[0] for s in self.segments[image]}
        for segment in sorted(self.segments[image], key=lambda s: position[s['id']]):
            key = segment['category_id']
            text = names[key]
            if segment['iscrowd']:
                text += ' crowd'
            elif isthing[key]:
                counts[key] = counts.get(key, 0) + 1
                text += str(counts[key])
            assert not (labels[ids == segment['id']] != '').any()
            labels[ids == segment['id']] = text
        return labels


def made(folder: Path, name: str) -> Made:
    """Read a data set and check what holds for each: areas, boxes, files, one segment per stuff."""
    data = json.loads((folder / f'panoptic_{name}.json').read_text())
    stuff = {c['id'] for c in data['categories'] if not c['isthing']}
    ids, segments = {}, {}
    for image, annotation in zip(data['images'], data['annotations'], strict=True):
        assert annotation['image_id'] == image['id']
        key, infos = image['file_name'], annotation['segments_info']
        ids[key] = read_panoptic_png(folder / f'panoptic_{name}' / annotation['file_name'])
        segments[key] = infos
        assert ids[key].shape == (image['height'], image['width'])
        assert set(np.unique(ids[key])) - {0} == {s['id'] for s in infos}
        for segment in infos:
            rows, cols = np.nonzero(ids[key] == segment['id'])
            x, y = cols.min(), rows.min()
            assert segment['area'] == len(rows)
            assert segment['bbox'] == [x, y, cols.max() - x + 1, rows.max() - y + 1]
        regions = [s['category_id'] for s in infos if s['category_id'] in stuff or s['iscrowd']]
        assert len(set(regions)) == len(regions)
    assert not list(folder.rglob('*.partial')) and not list(folder.rglob('*.tmp'))
    return Made(data, ids, segments)


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write grey (uint8, uint16) or RGB pixels; `.jpg` and others by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_palette(path: Path, ids: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8), 'P')
    image.putpalette([(7 * i + 3) % 256 for i in range(768)])
    image.save(path)
    return path


def photo(path: Path, height: int = 4, width: int = 6) -> Path:
    return save(path, np.full((height, width, 3), 128, np.uint8))


def labelme(path: Path, *shapes, image: str = 'a.jpg', size: tuple[int, int], **more) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(shapes=shapes, imagePath=image, imageHeight=size[0], imageWidth=size[1], **more)
    path.write_text(json.dumps(content))


def in_base64(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'PNG')
    return base64.b64encode(buffer.getvalue()).decode()


def grid(text: str) -> np.ndarray:
    """Rows of numbers as (H, W) uint8."""
    return np.array([row.split() for row in text.strip().splitlines()], np.uint8)
