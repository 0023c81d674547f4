"""`make docs`: the site builds without a warning and without a network, and needs no other host."""

import re
import sys
from pathlib import Path

import pytest
from helpers import browser
from helpers.oracle import ROOT
from helpers.shell import environment, run

import mmpfcn

NO_NETWORK = {f'{kind}_proxy': 'http://127.0.0.1:9' for kind in ('http', 'https', 'all')}


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Path:
    """Built by the command of the Makefile, into another folder."""
    out = tmp_path_factory.mktemp('site')
    (command,) = re.findall(r'^\t\$\(PY\) (-m sphinx .*)', (ROOT / 'Makefile').read_text(), re.M)
    assert ' -W ' in command
    words = command.replace('build/', f'{out}/').split()
    done = run(sys.executable, *words, cwd=ROOT, env=environment(**NO_NETWORK))
    assert done.returncode == 0, done.stderr
    return out / 'docs'


def test_pages_interface_and_links(site):
    start = (site / 'index.html').read_text()
    menu = start.split('class="sidebar-tree"')[1].split('</div>')[0]
    pages = re.findall(r'class="reference internal" href="(\w+)\.html"', menu)
    assert len(pages) == len(set(pages))
    assert set(pages) == {path.stem for path in (ROOT / 'docs').glob('*.md')} - {'index'}
    page = (site / 'api.html').read_text()
    described = set(re.findall(r'id="mmpfcn\.(?:\w+\.)*(\w+)"', page))
    assert set(mmpfcn.__all__) - {'__version__'} <= described
    for path in site.glob('*.html'):
        for link in re.findall(r'(?:href|src)="([^":#?]+)[^":]*"', path.read_text()):
            assert (path.parent / link).exists(), f'{path.name}: {link}'


@pytest.mark.parametrize('width, scheme', [(1280, 'light'), (390, 'dark')])
def test_in_a_browser(site, width, scheme):
    """Nothing is asked of other hosts, nothing goes wrong, and no page is wider than the window."""
    with browser.chromium() as chromium:
        for name in ('index', 'api', 'configs', 'migration', 'models'):
            visit = browser.Visit(chromium, site / f'{name}.html', width, scheme)
            assert visit.messages == []
            assert all(address.startswith(('file:', 'data:')) for address in visit.addresses)
            wide = visit.page.evaluate('document.documentElement.scrollWidth')
            assert wide <= width, name
