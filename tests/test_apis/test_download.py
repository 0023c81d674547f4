"""Checkpoints by address, from a real server on this machine."""

import io
import multiprocessing
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from helpers.malicious import Call
from mmengine.runner import CheckpointLoader

from mmpfcn.apis.checkpoint import CheckpointError, read_checkpoint, use_safe_loader


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(dict(state_dict=dict(a=torch.ones(3)), value=value), file)
    return file.getvalue()


class Server(ThreadingHTTPServer):
    """Gives ``files``, by path, and counts what was asked for."""

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.address = f'http://127.0.0.1:{self.server_port}'
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.missing = 0  # bytes at the end that are not sent


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) - self.server.missing])

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def kept(tmp_path: Path) -> list[str]:
    folder = tmp_path / 'torch' / 'hub' / 'checkpoints'
    return sorted(path.name for path in folder.iterdir() if path.suffix != '.lock')


def value(address: str) -> object:
    return read_checkpoint(address)['value']


def test_many_processes_download_once(server):
    """Without a process group; then mmengine's loader, as train.py has it, asks for nothing."""
    server.files['/a.pth'] = saved(5)
    address = f'{server.address}/a.pth'
    with multiprocessing.get_context('fork').Pool(4) as pool:
        assert pool.map(value, [address] * 8, chunksize=1) == [5] * 8
    use_safe_loader()
    assert CheckpointLoader.load_checkpoint(address)['value'] == 5
    assert server.asked == ['/a.pth']


def test_the_same_name_at_another_address(server, tmp_path):
    server.files.update({'/one/best.pth': saved(1), '/two/best.pth': saved(2)})
    assert [value(f'{server.address}/{folder}/best.pth') for folder in ('one', 'two')] == [1, 2]
    assert len(kept(tmp_path)) == 2
    server.files['/a/resnet-0676ba61.pth'] = saved(3)  # where torch.hub looks for it too
    assert value(f'{server.address}/a/resnet-0676ba61.pth') == 3
    assert 'resnet-0676ba61.pth' in kept(tmp_path)


def test_what_is_not_had_broken_or_code_is_not_kept(server, tmp_path):
    address = f'{server.address}/a.pth'
    with pytest.raises(CheckpointError, match=r'a.pth could not be downloaded to .*404'):
        read_checkpoint(address)
    server.files['/a.pth'], server.missing = saved(1), 100
    with pytest.raises(CheckpointError, match='a.pth is no checkpoint, or a damaged one'):
        read_checkpoint(address)
    assert kept(tmp_path) == []
    server.missing = 0
    assert value(address) == 1
    server.files['/evil.pth'] = saved(Call(os.mkdir, str(tmp_path / 'trap')))
    with pytest.raises(CheckpointError, match=r'evil.pth is refused.*would run \w+.mkdir'):
        read_checkpoint(f'{server.address}/evil.pth')
    assert not (tmp_path / 'trap').exists()


def test_a_folder_that_can_not_be_made(server, tmp_path):
    (tmp_path / 'torch').write_text('a file')
    server.files['/a.pth'] = saved(1)
    with pytest.raises(CheckpointError, match='a.pth could not be downloaded to .*torch'):
        read_checkpoint(f'{server.address}/a.pth')
