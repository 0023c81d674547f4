"""mmpfcn predict --tile: large images on the command line, and what is wrong with them."""

import json
import sys

import cv2
import numpy as np
import pytest
from helpers.files import contents, cut
from helpers.tiny_inferencer import picture

from mmpfcn.commands.predict.command import main

rasterio = pytest.importorskip('rasterio')
TILES = ('--tile', 64, '--overlap', 16)


@pytest.fixture
def predict(model, tmp_path):
    """Runs the command in this process: exit status; results lie in ``out``."""

    def run(*arguments) -> int:
        try:
            return main([*model, '--out-dir', str(tmp_path / 'out'), *map(str, arguments)])
        except SystemExit as error:
            return error.code

    return run


@pytest.fixture
def image(tmp_path):
    cv2.imwrite(str(tmp_path / 'large.tif'), picture(100, 130))
    return tmp_path / 'large.tif'


def test_map_segments_and_polygons_once(predict, image, tmp_path, capsys):
    arguments = (image, *TILES, '--polygons', '--batch-size', 2)
    assert predict(*arguments) == 0
    names = {path.name for path in (tmp_path / 'out' / 'panoptic').iterdir()}
    assert names == {'large.tif', 'large.jsonl', 'large.geojson'}
    files = contents(tmp_path / 'out')
    assert predict(*arguments) == 0
    assert 'large.tif is finished already' in capsys.readouterr().out
    assert contents(tmp_path / 'out') == files
    assert predict(image, '--tile', 80) == 2
    assert 'holds results with another tiles' in capsys.readouterr().err
    cv2.imwrite(str(image), picture(100, 130, 1))  # another content: computed again
    assert predict(*arguments) == 0
    assert contents(tmp_path / 'out')['panoptic/large.tif'] != files['panoptic/large.tif']


def test_progress_counts_tiles_without_a_valid_pixel(predict, tmp_path, capsys):
    pixels = picture(100, 300).transpose(2, 0, 1) | 1
    pixels[:, :, :200] = 0
    kind = dict(driver='GTiff', count=3, height=100, width=300, dtype='uint8', nodata=0)
    for number, part in enumerate((pixels, 0 * pixels)):
        with rasterio.open(tmp_path / f'{number}.tif', 'w', **kind) as file:
            file.write(part)
        assert predict(tmp_path / f'{number}.tif', *TILES, '--polygons') == 0
        shown = capsys.readouterr().out
        assert [' 100%' in line for line in shown.splitlines() if line[:5] in ('Tiles', 'Joini')] == [
            True
        ] * 2
        assert 'Outlines' in shown


def test_processes_share_the_tiles(predict, image, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('WORLD_SIZE', '2')
    for rank in '10':
        assert not (tmp_path / 'out' / 'panoptic').exists()
        monkeypatch.setenv('RANK', rank)
        assert predict(image, *TILES) == 0
    assert 'this share of the tiles is finished' in capsys.readouterr().out
    segments = [json.loads(line) for line in (tmp_path / 'out/panoptic/large.jsonl').open()]
    with rasterio.open(tmp_path / 'out' / 'panoptic' / 'large.tif') as file:
        ids, areas = np.unique(file.read(1), return_counts=True)
    found = dict(zip(ids.tolist(), areas.tolist(), strict=True))
    found.pop(0, None)
    assert found == {segment['id']: segment['area'] for segment in segments}


def test_a_bad_image_is_named_and_the_others_done(predict, image, tmp_path, capsys):
    (tmp_path / 'cut.tif').write_bytes(image.read_bytes())
    cut(tmp_path / 'cut.tif')
    (tmp_path / 'text.tif').write_text('no image')
    kind = dict(driver='GTiff', count=5, height=90, width=90, dtype='uint8')
    with rasterio.open(tmp_path / 'bands.tif', 'w', **kind) as file:
        file.write(np.zeros((5, 90, 90), np.uint8))
    names = ('cut.tif', 'text.tif', 'none.tif', 'bands.tif')
    assert predict(*(tmp_path / name for name in names), image, *TILES) == 1
    errors = capsys.readouterr().err.splitlines()
    errors = [line for line in errors if line.startswith('not finished: ')]
    assert len(errors) == 4
    for name, line in zip(names, errors, strict=True):
        assert name in line and any(w in line for w in ('copy', 'not there', 'the model takes 3'))
    assert [path.name for path in (tmp_path / 'out' / 'panoptic').glob('*.tif')] == ['large.tif']


def test_what_is_finished_is_kept_where_the_map_can_not_be_written(predict, image, tmp_path, capsys):
    (tmp_path / 'out' / 'panoptic').mkdir(parents=True)
    (tmp_path / 'out' / 'panoptic' / 'large.tif').mkdir()  # the map can not take its place
    assert predict(image, *TILES) == 1
    assert 'What was finished is kept; the same command goes on' in capsys.readouterr().err
    assert not [path for path in (tmp_path / 'out').rglob('.*')]
    tile = next((tmp_path / 'out').rglob('0000001.npz'))
    tile.unlink()
    names = ('.large.tif.1', '.large.jsonl.a_b2c3d4', '.large.geojson.abcd1234')
    rests = [
        *(tmp_path / 'out' / 'panoptic' / name for name in names),
        tile.with_name('.0000001.npz.abcd1234'),
    ]
    for path in rests:  # as if a process had been killed while it wrote them
        path.touch()
    assert predict(image, *TILES) == 1
    assert not [path for path in (tmp_path / 'out').rglob('.*')]
    before = contents(tmp_path / 'out' / 'records' / 'tiles')
    assert len(before) > 4
    (tmp_path / 'out' / 'panoptic' / 'large.tif').rmdir()
    assert predict(image, *TILES) == 0
    assert contents(tmp_path / 'out' / 'records' / 'tiles') == before


@pytest.mark.parametrize('arguments, message', [
    (('--tile', 64, '--overlap', 64), 'expected an overlap from 2 to less than the tile'),
    (('--tile', 16), 'tiles of 16 pixels are too small for the model: expected at least'),
    (('--tile', 0), 'got 0, expected a whole number from 1 on'),
    (('--overlap', 16), 'give their side, as by --tile 1024'),
    (('--tile', 64, '--instances'), 'not for --instances'),
])  # fmt: skip
def test_options_that_do_not_fit(predict, image, capsys, tmp_path, arguments, message):
    assert predict(image, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_huge_image_and_a_missing_package_say_what_to_do(predict, tmp_path, monkeypatch, capsys):
    kind = dict(driver='GTiff', count=1, height=17_000, width=17_000, dtype='uint8', sparse_ok=True)
    rasterio.open(tmp_path / 'huge.tif', 'w', **kind).close()
    assert predict(tmp_path / 'huge.tif') == 1
    assert 'huge.tif has 17000 x 17000 pixels' in (error := capsys.readouterr().err)
    assert 'mmpfcn predict --tile 1024' in error
    monkeypatch.setitem(sys.modules, 'rasterio', None)
    assert predict(tmp_path / 'huge.tif', *TILES) == 2
    assert "pip install 'mmpfcn[large]'" in capsys.readouterr().err


def test_not_for_videos(predict, tmp_path, capsys):
    (tmp_path / 'clip.mp4').touch()
    assert predict(tmp_path / 'clip.mp4', *TILES) == 2
    assert 'not for' in capsys.readouterr().err
