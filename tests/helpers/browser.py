"""A real browser for tests of pages: Debian's Chromium, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which('chromium') or shutil.which('chromium-browser')
    if path is None:
        pytest.fail('chromium is not installed: apt-get install chromium')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Visit:
    """A file opened in a window of its own (pixels; 'light' or 'dark'), with what the browser said and
    asked for meanwhile."""

    def __init__(self, browser: Browser, file: Path, width: int, scheme: str, scripts: bool = True) -> None:
        context = browser.new_context(
            viewport=dict(width=width, height=900), color_scheme=scheme, java_script_enabled=scripts
        )
        self.page: Page = context.new_page()
        self.messages: list[str] = []
        self.addresses: list[str] = []
        self.page.on('console', lambda message: self.messages.append(message.text))
        self.page.on('pageerror', lambda error: self.messages.append(str(error)))
        self.page.on('request', lambda request: self.addresses.append(request.url))
        self.page.goto(file.as_uri())
