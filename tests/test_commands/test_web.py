"""The web demo: a real server, driven in a real browser and with forged requests."""

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import tiny_inferencer
from helpers.browser import chromium as run_chromium
from helpers.oracle import ROOT
from helpers.web_server import (
    FORM,
    PASSWORDS,
    answer,
    ask,
    file_data,
    import_web_demo,
    running_server,
    upload,
    write_image,
)
from playwright.sync_api import expect


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp('server')) as server:
        yield server
        folder = Path(upload(server, write_image(tmp_path_factory.mktemp('last') / 'a.png')))
        assert folder.is_file()
    assert not folder.parents[1].exists()  # nothing of the users is left


@pytest.fixture(scope='module')
def chromium():
    with run_chromium() as browser:
        yield browser


@contextmanager
def open_page(chromium, server, refused=(), **options):
    """The page of a new user; nothing but the server is asked, and nothing fails."""
    context = chromium.new_context(**options)
    foreign, errors = [], []

    def block(route):
        foreign.append(route.request.url)
        route.abort()

    context.route(lambda url: not url.startswith((server.url, 'data:', 'blob:')), block)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on('console', lambda m: errors.append(m.text) if m.type == 'error' else None)
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.goto(server.url)
    yield page
    context.close()
    assert not foreign
    assert [e for e in errors if not any(status in e for status in refused)] == []


def drop(page, path: Path) -> None:
    page.set_input_files('#image input[type=file]', path)


def caption(page):
    return page.locator('#segments caption')


def things(page) -> int:
    return page.locator('#segments td', has_text=re.compile('^thing$')).count()


def push(page, threshold: str, key: str) -> None:
    """Move a slider by the keyboard."""
    page.locator(f'#{threshold} input[type=range]').press(key)


def test_a_moved_threshold_does_not_run_the_network(chromium, server, tmp_path):
    before = len(server.runs())
    with open_page(chromium, server) as page:
        drop(page, write_image(tmp_path / 'a.png', 63, 95))
        expect(caption(page)).to_contain_text('95 × 63 pixels')
        table = page.locator('#segments').inner_html()
        overlay = page.locator('#overlay img').get_attribute('src')
        assert things(page) > 0
        assert page.locator('#centers figure').count() == 5
        assert page.locator('#regions figure').count() == 5
        assert '0 peaks' not in page.locator('#centers figcaption').first.inner_text()
        regions = page.locator('#regions').inner_html()

        push(page, 'center_thr', 'End')
        expect(caption(page)).to_contain_text('0 things')
        expect(page.locator('#centers figcaption').first).to_contain_text(': 0 peaks')
        assert page.locator('#overlay img').get_attribute('src') != overlay
        push(page, 'region_thr', 'End')
        expect(page.locator('#segments')).to_contain_text('No segment: lower the thresholds.')
        assert page.locator('#regions').inner_html() == regions

        page.click('#reset')
        expect(page.locator('#center_thr input[type=number]')).to_have_value('0')
        expect(caption(page)).not_to_contain_text('0 things')
        assert page.locator('#segments').inner_html() == table
    assert server.runs()[before:] == ['all: 95 x 63']


def test_another_model_has_its_own_thresholds(chromium, server, tmp_path):
    before = len(server.runs())
    with open_page(chromium, server) as page:
        drop(page, write_image(tmp_path / 'a.png', 62, 95))
        expect(caption(page)).to_contain_text('95 × 62 pixels')
        table = page.locator('#segments').inner_html()

        def pick(name):
            page.click('#model input')
            page.get_by_role('option', name=name).click()

        pick('stuff only')
        expect(page.locator('#center_thr input[type=number]')).to_have_value('0.99')
        expect(caption(page)).to_contain_text('(0 things')
        pick('all')
        expect(caption(page)).not_to_contain_text('(0 things')
        assert page.locator('#segments').inner_html() == table
        expect(page.locator('#center_thr input[type=number]')).to_have_value('0')
    assert server.runs()[before:] == ['all: 95 x 62', 'stuff only: 95 x 62']


def test_two_users_do_not_mix(chromium, server, tmp_path):
    """Different images at once; then the thresholds of one are not those of the other."""
    with open_page(chromium, server) as one, open_page(chromium, server) as two:
        drop(one, write_image(tmp_path / 'one.png', 61, 80, seed=1))
        drop(two, write_image(tmp_path / 'two.png', 80, 61, seed=2))
        expect(caption(one)).to_contain_text('80 × 61 pixels')
        expect(caption(two)).to_contain_text('61 × 80 pixels')
        table = two.locator('#segments').inner_html()
        push(one, 'center_thr', 'End')
        expect(caption(one)).to_contain_text('0 things')
        push(two, 'mask_overlap', 'End')
        push(two, 'mask_overlap', 'Home')
        two.click('#reset')
        expect(two.locator('#mask_overlap input[type=number]')).to_have_value('0.5')
        is_back = 'table => document.querySelector("#segments").innerHTML === table'
        two.wait_for_function(is_back, arg=table)  # the answer to the reset is under way


def test_what_is_no_image_is_said_on_the_page(chromium, server, tmp_path):
    (tmp_path / 'notes.png').write_text('no image')
    (tmp_path / 'cut.png').write_bytes(write_image(tmp_path / 'a.png').read_bytes()[:60])
    too_many = write_image(tmp_path / 'wide.png', 250, 450)
    with open_page(chromium, server) as page:
        toast = page.get_by_test_id('toast-body')
        drop(page, tmp_path / 'notes.png')
        expect(toast.last).to_contain_text('notes.png is no image')
        drop(page, tmp_path / 'cut.png')
        expect(toast.last).to_contain_text('cut.png')
        drop(page, too_many)
        expect(toast.last).to_contain_text('450 x 250 pixels, more than 100000')
        assert page.locator('#segments table').count() == 0
        drop(page, write_image(tmp_path / 'good.png'))
        expect(caption(page)).to_contain_text('96 × 64 pixels')
        drop(page, tmp_path / 'notes.png')  # leaves nothing of the image before
        expect(caption(page)).to_have_count(0)
        expect(page.locator('#centers figure')).to_have_count(0)


def test_a_large_file_is_refused(chromium, server, tmp_path):
    large = tmp_path / 'large.png'
    large.write_bytes(write_image(tmp_path / 'a.png').read_bytes() + bytes(2**20))
    before = server.runs()
    with open_page(chromium, server, refused=['413']) as page:
        drop(page, large)
        expect(page.get_by_test_id('toast-body')).to_contain_text('maximum')
    assert server.runs() == before


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_a_phone_shows_everything(chromium, server, tmp_path, scheme):
    """Nothing is wider than 390 px, with a long table as well; the picture stays in sight."""
    phone = dict(viewport=dict(width=390, height=844), color_scheme=scheme, has_touch=True)
    with open_page(chromium, server, **phone) as page:
        drop(page, write_image(tmp_path / 'a.png'))
        expect(caption(page)).to_contain_text('96 × 64 pixels')
        assert page.evaluate('document.documentElement.scrollWidth') == 390
        beyond = """nodes => nodes.filter(node => node.getBoundingClientRect().right > 390)
                                  .map(node => node.outerHTML.slice(0, 200))"""
        inside = '#columns :is(input, button, img, figure, td, th, caption)'
        assert page.locator(inside).count() > 30
        assert page.locator(inside).evaluate_all(beyond) == []
        page.locator('#stuff_area_limit').scroll_into_view_if_needed()
        assert page.locator('#overlay').bounding_box()['y'] == 0


@pytest.mark.parametrize('path', [
    PASSWORDS,
    f'..{PASSWORDS}',
    f'../../../../../../../..{PASSWORDS}',
    '..%2f..%2f..%2f..%2f..%2fetc%2fpasswd',
    '%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd',
    '%2Fetc%2Fpasswd',
    f'//{PASSWORDS}',
    f'file://{PASSWORDS}',
    'setup.py',
    str(ROOT / 'setup.py'),
])  # fmt: skip
@pytest.mark.parametrize('route', ['/gradio_api/file=', '/file=', '/static/', '/assets/'])
def test_no_other_file_is_given(server, route, path):
    status, body = answer(server, route + path)
    assert status in (403, 404)
    assert b'root:' not in body and b'setuptools' not in body


@pytest.mark.parametrize('path', [
    '/gradio_api/file=http://127.0.0.1:{port}/config',
    '/gradio_api/proxy=http://127.0.0.1:{port}/config',
    '/gradio_api/process_recording',
    '/gradio_api/vibe-starter-queries/',
    '/gradio_api/deep_link',
    '/gradio_api/runs',
    '/monitoring',
    '/docs',
])  # fmt: skip
def test_nothing_beside_the_page_is_served(server, path):
    assert answer(server, path.format(port=server.port))[0] == 404


@pytest.mark.parametrize(
    'header, status', [('Content-Length: 2000000', 413), ('Transfer-Encoding: chunked', 411)]
)
@pytest.mark.parametrize('path', ['upload', 'queue/join'])
def test_a_body_has_a_length_within_the_limit(server, path, header, status):
    """It is refused before it comes."""
    with socket.create_connection(('127.0.0.1', server.port)) as connection:
        lines = f'POST /gradio_api/{path} HTTP/1.1', 'Host: localhost', header, '', ''
        connection.sendall('\r\n'.join(lines).encode())
        assert int(connection.recv(100).split()[1]) == status


@pytest.mark.parametrize('kind', ['text/plain', 'multipart/form-data', FORM])
@pytest.mark.parametrize('body', [b'', b'no form', b'--x\r\nno header', bytes(1000)])
def test_malformed_uploads(server, kind, body):
    status, answered = answer(server, '/gradio_api/upload', body, **{'Content-Type': kind})
    assert 400 <= status <= 500 or answered == b'[]'


def test_forged_files_are_neither_read_nor_fetched(server):
    """Of other folders, from the net, or as data in the request."""
    png = 'data:image/png;base64,iVBORw0KGgo='
    before = server.runs()
    for number, file in enumerate([
        file_data(PASSWORDS),
        dict(path=PASSWORDS),
        file_data(str(ROOT / 'docs' / 'demo.png')),
        file_data(f'{server.url}config'),
        file_data('http://192.0.2.1/a.png'),
        file_data(PASSWORDS, url=png),
        file_data('', url=png),
        dict(url=png),
        'a.png',
        [1],
    ]):  # fmt: skip
        done = ask(server, file, f'forged{number}')
        assert not done['success']
        if 'http://' in str(file):
            assert done['output']['error'] == 'Addresses are not fetched: drop a file'
    assert server.runs() == before
    connected = re.findall(r'^connect (.*)', server.text(), re.MULTILINE)
    assert connected  # to itself, at the start
    assert all("'127.0.0.1'" in address for address in connected)


def test_fifty_requests_at_once(server, tmp_path):
    """Each gets the result of its own image, and the network runs once for each of five."""
    before = len(server.runs())
    paths = [upload(server, write_image(tmp_path / f'{n}.png', 16, 131 + n)) for n in range(5)]

    def result(number):
        done = ask(server, file_data(paths[number % 5]), f'user{number}')
        assert done['success']
        return re.search(r'on (.*?) pixels', json.dumps(done, ensure_ascii=False))[1]

    with ThreadPoolExecutor(50) as pool:
        sizes = list(pool.map(result, range(50)))
    assert sizes == [f'{131 + number % 5} × 16' for number in range(50)]
    assert sorted(server.runs()[before:]) == [f'all: {131 + n} x 16' for n in range(5)]


def test_old_files_are_deleted_and_others_stay(tool, tmp_path):
    from mmpfcn.commands.web.server import delete_old_files

    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'upload.png').touch()
    delete_old_files(str(tmp_path), 60)
    assert (tmp_path / 'a' / 'upload.png').exists()
    delete_old_files(str(tmp_path), -1)
    assert not (tmp_path / 'a' / 'upload.png').exists()


@pytest.fixture
def tool(monkeypatch):
    return import_web_demo(monkeypatch)


def test_kept_outputs_are_bounded(tool, tmp_path):
    """Room for two: the one used longest ago is computed anew."""
    from mmpfcn.commands.web.outputs import Outputs, num_bytes

    inferencer = tiny_inferencer.inferencer(tmp_path)
    runs = []
    files = [write_image(tmp_path / f'{n}.png', seed=n).read_bytes() for n in range(3)]
    size = num_bytes(Outputs(dict(m=inferencer), 1, 10**6, runs.append).get(files[0], 'a', 'm'))
    assert size > 64 * 96 * 3 + 4 * 8 * 16 * 24
    outputs = Outputs(dict(m=inferencer), 2 * size, 10**6, runs.append)
    del runs[:]
    for number, expected in ((0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 4)):
        output = outputs.get(files[number], 'a', 'm')
        assert len(runs) == expected
        assert np.array_equal(output.image, cv2.imdecode(
            np.frombuffer(files[number], np.uint8), cv2.IMREAD_COLOR_RGB))  # fmt: skip


@pytest.mark.parametrize('arguments, message', [
    ('', 'required: --model'),
    ('--model x', "got 'x', expected NAME=CONFIG,CHECKPOINT"),
    ('--model x=,y', "got 'x=,y', expected"),
    ('--model x=no.py,no.pth', '--model x: no.py is neither a config file'),
    ('--model x=no.pth', '--model x: checkpoint no.pth is not there'),
    ('--model x=a --model x=b', 'every name is for one model, got x, x'),
    ('--model x=a --port 70000', 'got 70000, expected a port'),
    ('--model x=a --max-mb 0', 'got 0, expected a number above 0'),
])  # fmt: skip
def test_wrong_arguments(tool, refused, arguments, message):
    assert message in refused(tool.main, *arguments.split())


def test_a_port_that_is_taken(tool, refused, server, tmp_path):
    config = tmp_path / 'c.py'
    tiny_inferencer.config().dump(config)
    model = f'x={config},{tiny_inferencer.write_checkpoint(tmp_path)}'
    message = refused(tool.main, '--model', model, '--port', server.port)
    assert f'--port {server.port}' in message
