"""The bytes of a file, and what is said when they are not there."""

import socket
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from mmpfcn.formats import file_content, image_size, read_image
from mmpfcn.formats.file_content import read_content


def test_with_and_without_mmengine_and_pointers(tmp_path):
    (tmp_path / 'a').write_bytes(b'content')
    assert read_content(tmp_path / 'a') == b'content'
    assert read_content(str(tmp_path / 'a'), dict(backend='local')) == b'content'
    text = 'version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 12345\n'
    (tmp_path / 'a.jpg').write_text(text)
    for read in (read_image, image_size):
        with pytest.raises(ValueError, match='a.jpg is a Git LFS pointer.*git lfs pull'):
            read(tmp_path / 'a.jpg')


@pytest.mark.parametrize('name', ['none', 'a/below', 'a\0'])
def test_what_is_not_there(tmp_path, name):
    (tmp_path / 'a').write_bytes(b'content')
    with pytest.raises(FileNotFoundError):
        read_content(tmp_path / name)


@contextmanager
def server(answer: bytes, ends: bool):
    """An address whose server takes every request, says so much, and then hangs up or nothing more."""
    finished, kept = Event(), []

    def serve():
        while True:
            connection, _ = listening.accept()
            if finished.is_set():
                return
            connection.recv(4096)
            connection.sendall(answer)
            kept.append(connection)
            if ends:
                connection.close()

    with socket.create_server(('127.0.0.1', 0)) as listening:
        thread = Thread(target=serve)
        thread.start()
        try:
            yield f'http://127.0.0.1:{listening.getsockname()[1]}/a.jpg'
        finally:
            finished.set()
            socket.create_connection(listening.getsockname()).close()
            thread.join()
            for connection in kept:
                connection.close()


HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'


@pytest.mark.parametrize('answer, ends, message', [
    (b'', False, 'server has said nothing for 0.2 seconds'),
    (HEAD[:20], False, 'server has said nothing for 0.2 seconds'),
    (HEAD + bytes(100), False, 'server has said nothing for 0.2 seconds'),
    (b'', True, 'closed connection|reset by peer'),
    (HEAD + bytes(100), True, '100 bytes read, 900 more expected'),
    (HEAD.replace(b'200 OK', b'404 Not Found') + bytes(1000), True, 'Not Found'),
])  # fmt: skip
def test_a_server_that_does_not_answer_is_named(monkeypatch, answer, ends, message):
    monkeypatch.setattr(file_content, 'TIMEOUT', 0.2)
    with server(answer, ends) as address:
        with pytest.raises(OSError, match=f'{address} can not be downloaded .*({message}).* try it later'):
            read_image(address)
    with pytest.raises(OSError, match=f'{address} can not be downloaded .*refused'):
        read_content(address)


def test_all_of_an_answer_is_the_content():
    with server(HEAD.replace(b'1000', b'7') + b'content', True) as address:
        assert read_content(address) == b'content'
