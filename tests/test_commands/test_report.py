"""The report of a test run: its numbers are the metric's, and its page opens anywhere."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from helpers import panoptic_files
from helpers.browser import Visit, chromium
from helpers.files import read_json
from helpers.oracle import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from test_end_to_end import QUICK, ran

from mmpfcn.commands.report.command import main
from mmpfcn.commands.report.curves import MOST_POINTS, find_logs, read_logs, ticks
from mmpfcn.evaluation import PanopticQualityMetric

TRUTH = {
    'one.png': ('ssssssss', 'sppsssqq', 'sppsssqq', '.rrrrrcc', '.rrrrrcc', 'ggggrr..'),
    'two.png': ('ssssssss', 'rrrrrrrr', 'rccrrppr', 'rccrrppr', 'rrrrrrrr', 'rrrrrrrr'),
}
"""Letters as in panoptic_files: p and q are persons, c a car, g a crowd of cars."""

FOUND = {
    # q is taken for a car (K), c for a person (Q); G lies on the crowd
    'one.png': ('ssssssss', 'sPPsssKK', 'sPPsssKK', '.rrrrrQQ', '.rrrrrQQ', 'GGGGrr..'),
    # a false car G, half of c is found, p is missed
    'two.png': ('GGssssss', 'rrrrrrrr', 'rCrrrrrr', 'rCrrrrrr', 'rrrrrrrr', 'rrrrrrrr'),
}
VALUES = {'.': 4, 'P': 1000, 'Q': 2000, 'C': 1001, 'K': 2001, 'G': 3001, 's': 2, 'r': 3}
"""label + instance * INSTANCE_OFFSET; labels are person, car, sky, road; 4 is void."""

CONFIG = """
default_scope = 'mmdet'
custom_imports = dict(imports=['mmpfcn'])
work_dir = '{work_dir}'
test_dataloader = dict(dataset=dict(
    type='PanopticDataset', data_root='{root}', ann_file='panoptic.json', test_mode=True,
    data_prefix=dict(img='images', seg='pngs'), pipeline=[]))
"""


@pytest.fixture(scope='module')
def two(tmp_path_factory) -> Path:
    """A folder with a config, two images and their hand-made results."""
    folder = tmp_path_factory.mktemp('two')
    panoptic_files.write(folder / 'data', TRUTH)
    text = CONFIG.format(root=folder / 'data', work_dir=folder / 'work')
    (folder / 'config.py').write_text(text)
    write_results(folder, results())
    return folder


def write_results(folder: Path, items: list[dict], name: str = 'results', format_only: bool = True) -> dict:
    """As tools/test.py --out; the figures."""
    dataset = panoptic_files.build(folder / 'data', test_mode=True)
    writer = PanopticQualityMetric(outfile_prefix=str(folder / name), format_only=format_only)
    writer.dataset_meta = dataset.metainfo
    for index, item in enumerate(items):
        writer.process({}, [{**dataset.get_data_info(index), **item}])
    return writer.evaluate(len(items))


def results() -> list[dict]:
    """What a model says."""
    items = []
    for number, (name, rows) in enumerate(FOUND.items()):
        values = torch.tensor([[VALUES[cell] for cell in row] for row in rows])
        infos = [dict(id=v, label=v % 1000, score=0.7) for v in values.unique().tolist() if v != 4]
        panoptic_seg = dict(sem_seg=values[None], segments_info=infos)
        items.append(dict(img_id=f'image-{number}', img_path=name, pred_panoptic_seg=panoptic_seg))
    return items


def write_report(folder: Path, *arguments, results: str | Path = 'results.panoptic.json') -> Path:
    """The page."""
    out = folder / 'report.html'
    fixed = [folder / 'config.py', folder / results, '--workers', 1, '--out', out]
    main([str(argument) for argument in (*fixed, *arguments)])
    return out


def read_tables(page: Path) -> dict[str, dict[str, list[str]]]:
    """Cells by the name of the row, of each table, by the first words of its caption."""
    tables = {}
    for table in re.findall(r'<table.*?</table>', page.read_text(encoding='utf-8'), re.DOTALL):
        caption = re.search(r'<caption><span>(.*?)</span>', table)[1]
        rows = {}
        for row in re.findall(r'<tr>(.*?)</tr>', table, re.DOTALL)[1:]:
            cells = re.findall(r'<t[dh][^>]*>(.*?)</t[dh]>', row, re.DOTALL)
            name, *rest = (html.unescape(re.sub('<.*?>', '', cell)) for cell in cells)
            rows.setdefault(name, []).extend(rest)
        tables[' '.join(caption.split()[:2])] = rows
    return tables


def test_numbers_of_two_hand_made_images(two):
    """Worked out by hand: persons 1 / 2.5, cars 0, sky 1.75 / 2, road (1 + 32 / 38) / 2."""
    page = write_report(two)
    tables = read_tables(page)
    assert tables['Means over'] == {
        'All': ['54.9', '69.9', '60.0', '4'],
        'Things': ['20.0', '50.0', '20.0', '2'],
        'Stuff': ['89.8', '89.8', '100.0', '2'],
    }
    classes = tables['Each class,']
    # PQ, bar (its titles), SQ, RQ, TP, FP, FN
    bar = 'PQ 40.0missed 20.0wrong class 40.0'
    assert classes['person'] == ['40.0', bar, '100.0', '40.0', '1', '1', '2', 'thing']
    assert classes['car'][4:] == ['0', '3', '2', 'thing']
    assert classes['sky'][0] == '87.5' and classes['road'][0] == '92.1'
    # FN, FP, points of all, things, stuff
    assert tables['Unmatched segments'] == {
        'missed': ['1', '0', '5.0', '10.0', '0.0'],
        'false': ['0', '1', '5.0', '10.0', '0.0'],
        'wrong class': ['2', '2', '20.0', '40.0', '0.0'],
        'poor mask': ['1', '1', '10.0', '20.0', '0.0'],
        'merged': ['0', '0', '0.0', '0.0', '0.0'],
        'split': ['0', '0', '0.0', '0.0', '0.0'],
        'masks of matches': ['–', '–', '5.1', '0.0', '10.2'],
        'together: 100 − PQ': ['4', '4', '45.1', '80.0', '10.2'],
    }
    small = tables['Things by']['small, up to 32² px']
    assert small[0] == '20.0' and small[4:] == ['5', '1', '4', '4', '2']
    assert tables['Most frequent'] == {
        'person': ['car', '1', '33 %', 'road', '1', '33 %'],
        'car': ['person', '1', '50 %'],
    }
    assert tables['Segments of']['person'] == ['1', '1', '', '1', '']
    text = page.read_text()
    worst, best = (text.index(f'<b>{name}</b>') for name in ('two.png', 'one.png'))
    assert worst < text.index('id="best-images"') < best
    assert 'PQ 39.8, 2 matched, 4 wrong' in text and 'PQ 62.5, 3 matched, 4 wrong' in text
    assert 'poor mask: car; predicted car' in text
    assert 'wrong class: person, car; predicted person, car' in text


def test_a_json_with_pngs_gives_the_same(two):
    """That of the metric for COCO's server, and one that names images and categories itself."""
    expected = read_tables(write_report(two))
    figures = write_results(two, results(), 'coco', format_only=False)
    assert f'{figures["coco_panoptic/PQ"]:.1f}' == expected['Means over']['All'][0]
    assert read_tables(write_report(two, results='coco.panoptic.json')) == expected
    content = read_json(two / 'coco.panoptic.json')
    names, content['images'] = iter(TRUTH), []
    for number, annotation in enumerate(content['annotations']):
        annotation['image_id'] = number
        content['images'].append(dict(id=number, file_name=f'somewhere/{next(names)}'))
        for info in annotation['segments_info']:
            info['category_id'] += 1000
    content['categories'] = [{**c, 'id': c['id'] + 1000} for c in panoptic_files.CATEGORIES]
    (two / 'named.json').write_text(json.dumps(content))
    arguments = ('--png', two / 'coco.panoptic')
    assert read_tables(write_report(two, *arguments, results='named.json')) == expected


def test_classes_are_known_by_their_names_not_by_their_ids(two, tmp_path, refused):
    """The config names another data set, whose ids mean other classes, or which has others."""
    expected = read_tables(write_report(two))
    shutil.copytree(two / 'data', tmp_path / 'data')
    path = tmp_path / 'data' / 'panoptic.json'
    content = json.loads(path.read_text())
    ids = [category['id'] for category in content['categories']]
    turned = dict(zip(ids, ids[1:] + ids[:1], strict=True))
    for category in content['categories']:
        category['id'] = turned[category['id']]
    for annotation in content['annotations']:
        for segment in annotation['segments_info']:
            segment['category_id'] = turned[segment['category_id']]
    root = ('--cfg-options', f'test_dataloader.dataset.data_root={tmp_path / "data"}')
    path.write_text(json.dumps(content))
    assert read_tables(write_report(two, *root)) == expected
    content['categories'][0]['name'] = 'ship'
    path.write_text(json.dumps(content))
    text = refused(main, two / 'config.py', two / 'results.panoptic.json', *root)
    assert "differ in ['ship', 'sky']" in text


def test_files_behind_a_byte_order_mark(two):
    """As some editors save them: the page is that of the same files without."""
    (two / 'work').mkdir()
    log = two / 'work' / 'scalars.json'
    shutil.copytree(two / 'results.panoptic', two / 'marked.panoptic')
    pages = []
    for results, mark in (('results', b''), ('marked', b'\xef\xbb\xbf')):
        content = (two / 'results.panoptic.json').read_bytes()
        (two / f'{results}.panoptic.json').write_bytes(mark + content)
        log.write_bytes(mark + lines(dict(iter=1, step=1, loss=2.5)).encode())
        page = write_report(two, '--log', log, results=f'{results}.panoptic.json')
        pages.append(page.read_text('utf-8').replace(f'{results}.panoptic.json', ''))
    assert pages[0] == pages[1] and 'loss from 2.5 at 1' in pages[0]
    shutil.rmtree(two / 'work')


@pytest.mark.parametrize('change, message', [
    (lambda r: r.pop(), "no prediction for 1 of the 2 images of the data set, such as 'im"),
    (lambda r: r[0].update(image_id=139), "no prediction for 1 of the 2 images"),
    (lambda r: r.append({**r[0], 'image_id': 'x'}), "1 predictions for images that the data"),
    (lambda r: r.append(r[0]), "several images 'image-0'"),
    (lambda r: r[0].pop('image_id'), 'image_id'),
    (lambda r: r[0].pop('segments_info'), 'segments_info'),
    (lambda r: r[0]['segments_info'][0].update(category_id=77), 'category_id 77, which'),
    (lambda r: r[0]['segments_info'].pop(), 'which its segments_info in the JSON lacks'),
])  # fmt: skip
def test_results_that_do_not_fit_the_data_set(two, tmp_path, refused, change, message):
    content = read_json(two / 'results.panoptic.json')
    change(content['annotations'])
    path = tmp_path / 'results.json'
    path.write_text(json.dumps(content))
    pngs = ('--png', two / 'results.panoptic')
    text = refused(main, two / 'config.py', path, *pngs, '--workers', 1)
    assert re.search(message, text), text
    assert [file.name for file in tmp_path.iterdir()] == ['results.json']


def test_a_png_of_another_size_and_scores(two, tmp_path, refused):
    content = read_json(two / 'results.panoptic.json')
    infos = [info for a in content['annotations'] for info in a['segments_info']]
    assert [info['score'] for info in infos] == [0.7] * 10
    items = results()
    write_results(two, items)
    for item, same in zip(items, results(), strict=True):
        assert torch.equal(seg([item])['sem_seg'], seg([same])['sem_seg'])
    shutil.copytree(two / 'results.panoptic', tmp_path / 'pngs')
    name = content['annotations'][0]['file_name']
    with Image.open(tmp_path / 'pngs' / name) as image:
        image.crop((0, 1, 8, 6)).save(tmp_path / 'pngs' / name)
    json_file = two / 'results.panoptic.json'
    text = refused(main, two / 'config.py', json_file, '--png', tmp_path / 'pngs')
    assert 'is (5, 8) (H, W), its' in text


@pytest.mark.parametrize('change, message', [
    (lambda r: r[0].pop('pred_panoptic_seg'), 'no pred_panoptic_seg for'),
    (lambda r: seg(r).update(sem_seg=torch.full((1, 6, 8), 7)), 'has the value 7, label 7'),
    (lambda r: seg(r)['segments_info'].pop(), 'none of its segments_info: 4 is void for the 4'),
    (lambda r: seg(r).update(sem_seg=torch.rand(1, 6, 8)), r'expected \(1, H, W\) integers'),
])  # fmt: skip
def test_what_a_test_run_does_not_write(two, change, message):
    items = results()
    change(items)
    before = (two / 'results.panoptic.json').read_bytes()
    with pytest.raises(ValueError, match=message):
        write_results(two, items)
    assert (two / 'results.panoptic.json').read_bytes() == before


def seg(items: list[dict]) -> dict:
    return items[0]['pred_panoptic_seg']


FOUND_JSON = 'results.panoptic.json'
DATASET = f'{FOUND_JSON} --cfg-options test_dataloader.dataset'


@pytest.mark.parametrize('arguments, message', [
    ('none.json', 'none.json is not a file'),
    ('config.py', 'expected the .panoptic.json of tools/test.py --out'),
    (f'{FOUND_JSON} --png none', 'PNGs of .* are not in none: give --png'),
    (f'{FOUND_JSON} --out data', 'is a folder'),
    (f'{FOUND_JSON} --out config.py/x.html', 'give another --out'),
    ('empty.json --out config.py/x.html', 'give another --out'),
    (f'{FOUND_JSON} --num-images 0', 'got 0, expected a whole number from 1 on'),
    (f'{FOUND_JSON} --log data', 'has no log of a training'),
    (f'{FOUND_JSON} --log config.py', 'line 1 is no JSON object'),
    ('data/panoptic.json', 'the PNGs of .*panoptic are not in|are not in .*give --png'),
    ('empty.json', 'empty.json is no complete JSON'),
    ('list.json', 'list.json has no annotations'),
    (f'{FOUND_JSON} --cfg-options test_dataloader=None', 'has no test_dataloader'),
    (f'{DATASET}.ann_file=no.json', 'built: annotation file .*no.json is not there'),
    (f'{DATASET}.data_prefix.seg=no', 'panoptic PNG .* is not there'),
    (f'{DATASET}.data_prefix.img=no', 'image .* is not there'),
    (f'{DATASET}.type=BaseDetDataset', 'can not be built'),
])  # fmt: skip
def test_wrong_arguments(two, refused, monkeypatch, arguments, message):
    monkeypatch.chdir(two)
    Path('empty.json').touch()
    Path('list.json').write_text('[]')
    before = sorted(two.rglob('*'))
    text = refused(main, 'config.py', *arguments.split(), '--workers', 1)
    assert re.search(message, text), text
    assert sorted(two.rglob('*')) == before


@pytest.mark.parametrize('changes, message', [
    (dict(images=[], annotations=[]), 'can not be built: .* has no images'),
    (dict(annotations=[]), 'the test data set has no panoptic annotations'),
])  # fmt: skip
def test_a_data_set_without_images_or_annotations(two, tmp_path, refused, changes, message):
    content = read_json(two / 'data' / 'panoptic.json')
    path = tmp_path / 'empty.json'
    path.write_text(json.dumps({**content, **changes}))
    option = '--cfg-options', f'test_dataloader.dataset.ann_file={path}'
    text = refused(main, two / 'config.py', two / FOUND_JSON, *option)
    assert re.search(message, text), text


def lines(*records: dict) -> str:
    return ''.join(json.dumps(record) + '\n' for record in records)


def test_curves_of_a_long_training(tmp_path):
    path = tmp_path / 'scalars.json'
    path.write_text(lines(*(dict(iter=i, step=i, epoch=1, loss=2 * i) for i in range(1, 1000))))
    (chart,) = read_logs([path]).charts
    (curve,) = chart.curves
    assert MOST_POINTS / 2 < len(curve.steps) <= MOST_POINTS
    assert curve.values == pytest.approx(2 * curve.steps)


def test_curves_of_a_resumed_training(tmp_path):
    def train(step, loss):
        return dict(iter=step, step=step, lr=0.1, loss=loss, loss_thing=1.0, time=0.5)

    runs = {
        '20260101_000000': [train(9, 9.0), train(18, 9.0)],
        '20260102_000000': [train(1, 4.0), train(2, 3.0), {'coco_panoptic/PQ': 7.0, 'step': 2},
                            train(3, 99.0), train(4, 99.0)],
        '20260103_000000': [train(3, float('nan')), train(4, 2.0),
                            {'coco_panoptic/PQ': 9.0, 'coco/segm_mAP': 0.1, 'step': 4}],
    }  # fmt: skip
    for name, records in runs.items():
        path = tmp_path / name / 'vis_data' / 'scalars.json'
        path.parent.mkdir(parents=True)
        path.write_text(lines(*records))
    with path.open('a') as file:
        file.write('{"iter": 5, "lo')  # killed
    log = read_logs(find_logs(tmp_path))
    assert log.num_broken == 1
    curves = {(c.title, x.name): x for c in log.charts for x in c.curves}
    assert [chart.title.split()[0] for chart in log.charts] == ['Losses', 'Learning', 'PQ', 'Mask']
    assert {chart.x_name for chart in log.charts} == {'iteration'}
    loss = curves['Losses', 'loss']
    assert loss.steps.tolist() == [1, 2, 4] and loss.values.tolist() == [4, 3, 2]
    assert curves['PQ on the validation images', 'PQ'].values.tolist() == [7, 9]
    assert len(find_logs(tmp_path / '20260102_000000')) == len(find_logs(path)) == 1


@pytest.mark.parametrize('largest, number, expected', [
    (100, 4, [0, 25, 50, 75, 100]),
    (0.19, 4, [0, 0.05, 0.1, 0.15, 0.2]),
    (800, 5, [0, 200, 400, 600, 800]),
    (0, 4, [0, 1]),
])  # fmt: skip
def test_ticks(largest, number, expected):
    assert ticks(largest, number) == pytest.approx(expected)


@pytest.fixture(scope='module')
def shapes(tmp_path_factory) -> Path:
    """A folder with a report of a real test run: drawn data, a model that knows grass, a log."""
    folder = tmp_path_factory.mktemp('shapes')
    counts = ['--train', 2, '--val', 6, '--size', 96, 128, '--workers', 1]
    ran('dataset_converters/make_shapes.py', '--out', 'data/shapes', *counts, cwd=folder)
    config = ROOT / 'configs' / 'panoptic_fcn' / 'r18_shapes.py'
    init_default_scope('mmdet')  # conftest.py does it later, for each test
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    grass = 1  # of the stuff classes
    torch.nn.init.constant_(model.panoptic_head.kernel_generator.region_out.bias[grass], 10)
    torch.save(dict(state_dict=model.state_dict()), folder / 'grass.pth')
    ran(
        'test.py', config, 'grass.pth', '--out', 'results', '--cfg-options', *QUICK,
        'model.test_cfg.center_thr=0.9', cwd=folder,
    )  # fmt: skip
    log = folder / 'work_dirs' / 'r18_shapes' / '20990101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    records = [dict(iter=i, step=i, lr=1e-3 / i, loss=5 / i, loss_thing=2 / i) for i in (1, 50, 99)]
    log.write_text(lines(*records, {'coco_panoptic/PQ': 12.5, 'mIoU': 50.0, 'step': 99}))
    ran('analysis_tools/report.py', config, 'results.panoptic.json', '--workers', 2, cwd=folder)
    return folder


def test_numbers_and_page_of_a_real_run(shapes):
    (path,) = (shapes / 'work_dirs' / 'r18_shapes').glob('*/*.json')
    figures = read_json(path)
    rows = read_tables(shapes / 'results.panoptic.html')['Means over']
    for name, suffix in (('All', ''), ('Things', '_th'), ('Stuff', '_st')):
        expected = [f'{figures[f"coco_panoptic/{key}{suffix}"]:.1f}' for key in ('PQ', 'SQ', 'RQ')]
        assert rows[name][:3] == expected
    assert float(rows['Stuff'][0]) > 0
    text = (shapes / 'results.panoptic.html').read_text()
    assert not re.search('<link|@import|<script src|url\\(', text)
    addresses = re.findall(r'(?:src|href)="(.*?)"', text)
    assert all(address.startswith(('data:image/jpeg;base64,', '#')) for address in addresses)
    images = re.findall(r'<img src="data:[^"]*" alt="([^"]+)"', text)
    assert sum(alt.startswith('ground truth of ') for alt in images) == 6
    assert sum(alt.startswith('prediction of ') for alt in images) == 6
    assert 'Losses: loss from 5 at 1 to 0.05051 at 99' in text
    for charts in re.findall(r'<svg class="(?:bar|chart)".*?>', text):
        assert 'role="img"' in charts and re.search('aria-label=".+"', charts)
    assert len(text) < 3e6


def test_the_page_in_a_browser(shapes, tmp_path):
    """On a phone and on a desk, light and dark, without scripts: nothing sticks out or fails."""
    file, pages = shapes / 'results.panoptic.html', {}
    with chromium() as browser:
        for width in (390, 1280):
            for scheme in ('light', 'dark'):
                visit = Visit(browser, file, width, scheme)
                page = visit.page
                assert page.evaluate('document.documentElement.scrollWidth') <= width
                assert page.evaluate('[...document.images].every(i => i.naturalWidth > 0)')
                assert visit.messages == []
                assert {a for a in visit.addresses if not a.startswith('data:')} == {file.as_uri()}
                pages[width, scheme] = page.evaluate('getComputedStyle(document.body).background')
                picture = page.screenshot(path=tmp_path / f'{width}_{scheme}.png', full_page=True)
                assert len(picture) > 50_000
                beside = """[...document.querySelectorAll('.panels')].every(panels => {
                    const [truth, found] = ['.ground-truth', '.prediction']
                      .map(name => panels.querySelector(name).getBoundingClientRect());
                    return truth.top === found.top && truth.right < found.left;
                  })"""
                assert page.evaluate(beside)
        assert pages[390, 'light'] == pages[1280, 'light'] != pages[390, 'dark']
        check_sorting(Visit(browser, file, 1280, 'light').page)
        page = Visit(browser, file, 390, 'light', scripts=False).page
        assert page.locator('table.sortable tbody tr').count() == 10
        assert page.locator('table.sortable button').count() == 0


def check_sorting(page) -> None:
    """A click on a head sorts the classes; classes without a number come last."""

    def column(number):
        return page.locator(f'table.sortable tbody tr > :nth-child({number})').all_inner_texts()

    names = column(1)
    for order in ('ascending', 'descending'):
        page.get_by_role('button', name='PQ', exact=True).click()
        assert page.locator(f'th[aria-sort={order}]').count() == 1
        texts = column(2)
        numbers = [float(text) for text in texts if text != '–']
        assert numbers == sorted(numbers, reverse=order == 'descending')
        assert '–' not in texts[: len(numbers)]
    page.get_by_role('button', name='class', exact=True).click()
    assert column(1) == sorted(names)
