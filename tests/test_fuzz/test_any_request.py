"""The web demo's server on requests that no page sends: an answer, and nothing of other files."""

import atexit
import json
import re
import socket
import tempfile
from contextlib import ExitStack
from functools import cache
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import quote

import pytest
from helpers import web_server as web
from helpers.fuzzing import cases, edits, json_values, mutated
from helpers.oracle import ROOT
from hypothesis import given
from hypothesis import strategies as st

STACK = ExitStack()
atexit.register(STACK.close)
SECRET = 'which nobody may read'
FOREIGN = (SECRET.encode(), b'root:x:', b'import setup', b'Traceback', b'site-packages')
"""What no answer holds: content of files, and the code's own lines."""

texts = st.text(st.characters(exclude_characters='\r\n', codec='utf-8'), max_size=12)
methods = st.sampled_from(['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'])
routes = st.sampled_from([
    '/', '/config', '/theme.css', '/static/', '/assets/', '/svelte/', '/gradio_api/file=',
    '/gradio_api/upload', '/gradio_api/queue/join', '/gradio_api/queue/data?session_hash=',
    '/gradio_api/cancel', '/gradio_api/reset', '/gradio_api/heartbeat/',
    '/gradio_api/upload_progress?upload_id=', '/gradio_api/startup-events', '/gradio_api/call/',
])  # fmt: skip
pieces = st.sampled_from([
    '..', '../', '../../../../../..', '%2e%2e/', '..%2f', '..%5c', '..\\', '/', '//', '%2f', '/./',
    '%00', '%', '%zz', '?', '#', ';', '&', '=', 'file://', 'http://', 'http:%2f%2f', 'upload',
    'FOLDER', 'FOLDER/secret.txt', 'secret.txt', 'log.txt', web.PASSWORDS, 'etc/passwd', 'setup.py',
    str(ROOT), str(ROOT / 'setup.py'),
])  # fmt: skip
coded = texts.map(quote)  # most others are refused for a letter that HTTP has not
paths = st.builds(str.__add__, routes | coded, st.lists(pieces | coded, max_size=5).map(''.join))
names = st.lists(pieces | texts, max_size=4).map(''.join)
headers = st.lists(
    st.sampled_from([
        ('Content-Length', 'x'), ('Content-Length', '-1'), ('Content-Length', '999999999'),
        ('Transfer-Encoding', 'chunked'), ('Expect', '100-continue'), ('Range', 'bytes=5-1'),
        ('Upgrade', 'websocket'), ('Upgrade', 'h2c'), ('Connection', 'upgrade'),
        ('Content-Type', 'application/json'), ('Content-Type', 'multipart/form-data'),
        ('Content-Type', 'multipart/form-data; boundary=x'), ('Host', 'example.com'),
        ('X-Forwarded-Host', 'example.com'), ('X-Forwarded-Proto', 'file'), ('Cookie', '=;='),
        ('Origin', 'null'),
    ])
    | st.tuples(st.sampled_from(['Host', 'Range', 'Origin', 'Cookie', 'Accept', 'X-A']), texts),
    max_size=3,
)  # fmt: skip
forms = st.builds(
    '--x\r\nContent-Disposition: form-data; name="{}"; filename="{}"\r\n\r\n{}\r\n--x--\r\n'.format,
    st.just('files') | texts, names, texts,
)  # fmt: skip
bodies = st.binary(max_size=40) | (forms | json_values.map(json.dumps)).map(str.encode)


@cache
def server() -> web.Server:
    folder = Path(STACK.enter_context(tempfile.TemporaryDirectory(prefix='fuzz-')))
    (folder / 'secret.txt').write_text(SECRET)
    web.write_image(folder / 'good.png')
    return STACK.enter_context(web.running_server(folder))


@pytest.fixture(scope='module', autouse=True)
def stop():
    yield
    path = web.upload(server(), folder() / 'good.png')
    require_result(web.ask(server(), web.file_data(path), 'last'))
    STACK.close()


def folder() -> Path:
    return server().log.parent


def send(method: str, path: str, headers: list, body: bytes) -> tuple[int, bytes]:
    """The answer to a request, which must be one of HTTP; of one without an end its head."""
    lines = [f'{method} {path.replace("FOLDER", str(folder()))} HTTP/1.1', 'Connection: close']
    given = {name for name, _ in headers}
    if 'Host' not in given:
        headers = [*headers, ('Host', 'localhost')]
    if not given & {'Content-Length', 'Transfer-Encoding'}:
        headers = [*headers, ('Content-Length', len(body))]
    lines += [f'{name}: {value}' for name, value in headers]
    with socket.create_connection(('127.0.0.1', server().port), timeout=60) as connection:
        connection.sendall('\r\n'.join([*lines, '', '']).encode() + body)
        response = HTTPResponse(connection, method=method)
        response.begin()
        endless = 'event-stream' in response.headers.get('Content-Type', '')
        content = b'' if endless else response.read()
        return response.status, response.headers.as_bytes() + content


def require_sound(answer: bytes) -> None:
    assert not any(part in answer for part in FOREIGN), answer[:2000]
    assert server().process.poll() is None


def require_result(message: dict) -> None:
    """Of the good image."""
    assert message['success'] and 'on 96 × 64 pixels' in json.dumps(message, ensure_ascii=False)


@cases
@given(methods | st.just('GET') | texts, paths | texts, headers, bodies)
def test_request(method, path, headers, body):
    _, answer = send(method, path, headers, body)
    require_sound(answer)


@cases
@given(names, edits)
def test_request_of_an_upload(name, edits):
    """The file lies in the folder of the page, and nowhere else, whatever its name."""
    content = mutated((folder() / 'good.png').read_bytes(), edits)
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + b'\r\n--x--\r\n'
    kind = [('Content-Type', 'multipart/form-data; boundary=x')]
    _, answer = send('POST', '/gradio_api/upload', kind, body)
    for path in re.findall(r'"(/.*?)"', answer.decode()):
        path = Path(json.loads(f'"{path}"'))
        assert path.resolve().parents[1].name.startswith('mmpfcn_web_demo_')
        assert path.read_bytes() in (content, b'')
    require_sound(answer)


def at(values: list, changes: list) -> list:
    values = list(values)
    for place, value in changes:
        values[place % len(values)] = value
    return values


files = st.builds(web.file_data, names) | st.fixed_dictionaries(
    dict(path=names), optional=dict(url=names, meta=json_values, orig_name=names, is_stream=json_values)
)
changes = st.lists(st.tuples(st.integers(0, 20), json_values | files), max_size=4)
extra = st.dictionaries(
    st.sampled_from(['event_data', 'trigger_id', 'event_id', 'batched', 'fn_index', 'api_name']),
    json_values, max_size=2,
)  # fmt: skip


@cases
@given(st.integers(0, 10**9), st.booleans(), changes, extra)
def test_request_of_a_result(session, good, changes, extra):
    """Anything for the function of the page; what is accepted has an end."""
    number, values = web.shown_by(server())
    path = web.upload(server(), folder() / 'good.png')
    changed = at([web.file_data(path) if good else None, *values[1:]], changes)
    body = {'data': changed, 'fn_index': number, 'session_hash': f's{session}', **extra}
    body = json.dumps(body).replace('FOLDER', str(folder())).encode()
    kind = [('Content-Type', 'application/json')]
    status, answer = send('POST', '/gradio_api/queue/join', kind, body)
    if status == 200:
        messages = web.listen(server(), f's{session}')
        assert messages[-1]['msg'] == 'close_stream'
        if good and not changes and not extra:
            require_result(messages[-2])
        answer += json.dumps(messages).encode()
    require_sound(answer)
