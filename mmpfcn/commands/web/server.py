"""The page as a server that gives and fetches nothing but what the page needs."""

import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NEEDED = re.compile(
    r'/|/(assets|static|svelte)/.*|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)'
    r'|/gradio_api/(upload|upload_progress|startup-events|cancel|reset|theme\.css'
    r'|queue/(join|data)|heartbeat/\w+|file=(?!\w{2,}:).*)'
)
"""Paths of gradio that the page uses. Others fetch addresses, run ffmpeg or show statistics."""

FONTS = ('system-ui', 'sans-serif')
THEME = gr.themes.Default(
    primary_hue='blue', font=FONTS, font_mono=('ui-monospace', 'monospace'), radius_size='sm'
).set(
    body_text_color_subdued='*neutral_500', block_info_text_color='*neutral_500'
)  # fonts of the system: nothing is fetched
CSS = Path(__file__).with_name('page.css')
EXTRA_BYTES = 2**20  # of a request beside a file
KEEP_SECONDS = 1800  # files of the page are deleted so long after their last use


class Gate:
    """ASGI middleware: answers what the page does not need, before gradio's app sees it.

    404 for other paths, 411 for a body of unknown length, 413 for one of more than ``max_bytes``.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] == 'http' and (refusal := self._refusal(scope)):
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        if not NEEDED.fullmatch(scope['path']):
            return PlainTextResponse('not found', 404)
        headers = dict(scope['headers'])
        length = headers.get(b'content-length', b'0')
        if b'transfer-encoding' in headers or not length.isdigit():
            return PlainTextResponse('the length of the body is needed', 411)
        if int(length) > self.max_bytes:
            return PlainTextResponse(f'more than {self.max_bytes} bytes', 413)
        return None


def delete_old_files(folder: str, seconds: float) -> None:
    """Delete the files that were not used for so long.

    gradio's ``delete_cache`` ends for good when an upload comes while it looks for them.
    """
    now = time.time()
    for current, _, names in os.walk(folder):
        for name in names:
            path = Path(current, name)
            with suppress(FileNotFoundError):
                if now - path.lstat().st_ctime > seconds:
                    path.unlink()


def _delete_every_minute() -> None:
    while True:
        time.sleep(60)
        delete_old_files(get_upload_folder(), KEEP_SECONDS)


def serve(
    page: gr.Blocks,
    host: str,
    port: int,
    root_path: str,  # where a proxy puts the page, such as ``/demo``; empty for the root
    max_mb: float,  # largest file
    ready: Callable[[str], None],  # is told the address
) -> None:
    """Serve the page of :func:`build_page`, until the process is stopped.

    OSError where the port is taken, or the host is not of this machine.
    """
    max_bytes = int(max_mb * 2**20)
    threading.Thread(target=_delete_every_minute, daemon=True).start()
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        root_path=root_path,
        max_file_size=max_bytes,
        app_kwargs=dict(middleware=[Middleware(Gate, max_bytes + EXTRA_BYTES)]),
        theme=THEME,
        css=CSS.read_text('utf-8'),
        share=False,
        ssr_mode=False,
        pwa=False,
        num_workers=0,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        state_session_capacity=1000,
        quiet=True,
        prevent_thread_lock=True,
    )
    ready(address)
    try:
        page.block_thread()
    finally:  # before the files of the users are removed
        page.close(verbose=False)
