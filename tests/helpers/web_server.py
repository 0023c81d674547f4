"""The web demo as a real server, and requests to it that no page makes."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import cv2
import pytest
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from helpers import tiny_inferencer
from helpers.oracle import ROOT
from helpers.shell import environment, free_port
from helpers.tiny_inferencer import ANY_PREDICTION

TOOL = ROOT / 'tools' / 'web_demo.py'
MAX_PIXELS = 100_000
PASSWORDS = '/etc/passwd'
FORM = 'multipart/form-data; boundary=x'
# told by Python itself, whatever library connects
TELL_CONNECTIONS = """
import sys
def tell(event, args):
    if event == 'socket.connect':
        print('connect', args[1], file=sys.stderr, flush=True)
sys.addaudithook(tell)
"""


class Server:
    """The running tool: its address, what it wrote."""

    def __init__(self, folder: Path) -> None:
        self.port = int(free_port())
        self.url, self.log = f'http://127.0.0.1:{self.port}/', folder / 'log.txt'
        (folder / 'sitecustomize.py').write_text(TELL_CONNECTIONS)
        init_default_scope('mmdet')
        MMLogger.get_current_instance().setLevel('WARNING')
        checkpoint = tiny_inferencer.write_checkpoint(folder)
        models = []
        for name, center_thr in (('all', 0.0), ('stuff only', 0.99)):
            config = tiny_inferencer.config(**{**ANY_PREDICTION, 'center_thr': center_thr})
            config.dump(folder / f'{name}.py')
            models += ['--model', f'{name}={folder}/{name}.py,{checkpoint}']
        limits = ['--max-mb', '0.5', '--max-pixels', str(MAX_PIXELS), '--port', str(self.port)]
        command = [sys.executable, str(TOOL), *models, *limits]
        paths = os.pathsep.join([str(folder), str(ROOT)])
        with open(self.log, 'w') as log:
            env = environment(PYTHONPATH=paths)
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        while self.url not in self.text():
            assert self.process.poll() is None, self.text()
            time.sleep(0.1)

    def text(self) -> str:
        return self.log.read_text()

    def runs(self) -> list[str]:
        """Model and size of every run of a network so far."""
        return re.findall(r'^network (.*) pixels', self.text(), re.MULTILINE)


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """It must live until it is told to stop."""
    server = Server(folder)
    yield server
    assert server.process.poll() is None, server.text()
    server.process.terminate()
    assert server.process.wait(60) == 0


def import_web_demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module; it puts tools/ into the path."""
    for name in ('GRADIO_ANALYTICS_ENABLED', 'GRADIO_TEMP_DIR', 'OPENCV_IO_MAX_IMAGE_PIXELS'):
        monkeypatch.setenv(name, '')  # is restored
    monkeypatch.syspath_prepend(str(TOOL.parent))
    from mmpfcn.commands.web import command as web_demo

    return web_demo


def write_image(path: Path, height=64, width=96, seed=0) -> Path:
    cv2.imwrite(str(path), tiny_inferencer.picture(height, width, seed))
    return path


def answer(server, path: str, body: bytes | None = None, **headers) -> tuple[int, bytes]:
    request = urllib.request.Request(server.url.rstrip('/') + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def upload(server, path: Path) -> str:
    """Where the server put the file."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
    body = head.encode() + path.read_bytes() + b'\r\n--x--\r\n'
    status, text = answer(server, '/gradio_api/upload', body, **{'Content-Type': FORM})
    assert status == 200
    return json.loads(text)[0]


@cache
def shown_by(server: Server) -> tuple[int, list]:
    """Number of the function that the page calls for an image, and its inputs as they start."""
    config = json.loads(answer(server, '/config')[1])
    function = max(config['dependencies'], key=lambda dependency: len(dependency['inputs']))
    values = {c['id']: c['props'].get('value') for c in config['components']}
    return function['id'], [values[i] for i in function['inputs']]


def ask(server: Server, file: dict, session: str) -> dict:
    """What a page with this file gets, as the browser asks for it."""
    number, values = shown_by(server)
    body = dict(data=[file, *values[1:]], fn_index=number, session_hash=session)
    kind = {'Content-Type': 'application/json'}
    answer(server, '/gradio_api/queue/join', json.dumps(body).encode(), **kind)
    messages = {message['msg']: message for message in listen(server, session)}
    return dict(messages['process_completed'], shown=messages.get('process_generating'))


def listen(server: Server, session: str) -> list[dict]:
    """What the server says to a session until it has done all that was asked."""
    _, stream = answer(server, f'/gradio_api/queue/data?session_hash={session}')
    lines = stream.decode().splitlines()
    return [json.loads(line[5:]) for line in lines if line[:5] == 'data:']


def file_data(path: str, **more) -> dict:
    return dict(path=path, meta=dict(_type='gradio.FileData'), **more)
