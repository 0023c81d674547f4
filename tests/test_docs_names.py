"""The tables of the documentation name what is there, at its place, and leave nothing out."""

import re
import subprocess
from importlib import import_module
from inspect import getsource
from pathlib import PurePath

import pytest
from helpers.oracle import ROOT

import mmpfcn

TRACKED = [
    PurePath(line) for line in subprocess.check_output(['git', 'ls-files'], cwd=ROOT, text=True).splitlines()
]


def rows(page: str) -> list[list[str]]:
    """Cells of all tables of a page."""
    lines = (ROOT / page).read_text('utf-8').splitlines()
    return [line.strip('| ').split(' | ') for line in lines if line.startswith('|')]


def parts_of_the_paper() -> list[tuple[str, str]]:
    """File below mmpfcn/ and name in it, as architecture.md has them."""
    found = []
    for cells in rows('docs/architecture.md'):
        file = re.fullmatch(r'`(\w+/\w+)\.py`', cells[1]) if len(cells) == 4 else None
        if file:
            found += [(file[1], name.strip('`')) for name in cells[2].split(', ')]
    return found


def test_the_parts_of_the_paper_are_where_the_table_says():
    parts = parts_of_the_paper()
    assert len(parts) > 30
    for file, name in parts:
        source = getsource(import_module(f'mmpfcn.{file.replace("/", ".")}'))
        defined = rf'(class|def) {name.split(".")[-1]}\b|self\.{name} = '
        assert re.search(defined, source), f'{name} is not in mmpfcn/{file}.py'


@pytest.mark.parametrize('page', ['README.md', 'CONTRIBUTING.md', *map(str, ROOT.glob('docs/*.md'))])
def test_dotted_names_are_there(page):
    for name in set(re.findall(r'\bmmpfcn(?:\.[A-Za-z]\w*)+', (ROOT / page).read_text('utf-8'))):
        thing, path = mmpfcn, 'mmpfcn'
        for part in name.split('.')[1:]:
            path = f'{path}.{part}'
            thing = getattr(thing, part) if hasattr(thing, part) else import_module(path)


def test_every_folder_and_every_base_config_has_its_line():
    folders = {path.parts[0] for path in TRACKED if len(path.parts) > 1}
    folders |= {p.parts[1] for p in TRACKED if p.parts[0] == 'mmpfcn' and len(p.parts) > 2}
    files = {path.name for path in TRACKED if path.parts[:2] == ('configs', '_base_')}
    for page, names in (('CONTRIBUTING.md', {f'{x}/' for x in folders}), ('docs/configs.md', files)):
        table = ' '.join(cells[0] for cells in rows(page))
        assert {name for name in names if name not in table} == set(), page
