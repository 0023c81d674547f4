"""The floors of mmpfcn, read from its imports: no arrow goes up; and tests/ mirrors mmpfcn/."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.oracle import ROOT

FLOORS = (
    'version compat', 'ops formats', 'structures', 'models datasets evaluation', 'visualization engine',
    'apis', 'deployment', 'commands',
)  # fmt: skip
"""From the ground: a module imports from its own floor and from those below."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms.split()}
HEAVY = {'torch', 'torchvision', 'mmcv', 'mmdet', 'mmengine'}


class Import(NamedTuple):
    """``name`` is '' where a module itself is imported; ``at_start``: when its user is."""

    user: str
    module: str
    name: str
    at_start: bool

    def __str__(self) -> str:
        return f'{self.user} imports {self.module} {self.name}'.rstrip()


def module_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def absolute(node: ast.ImportFrom, user: str, is_package: bool) -> str:
    """The module of ``from ..x import y``."""
    if not node.level:
        return node.module
    above = user.split('.')[: None if is_package else -1]
    above = above[: len(above) - (node.level - 1)]
    return '.'.join([*above, *filter(None, [node.module])])


def imports_of(path: Path, root: Path, modules: set[str]) -> list[Import]:
    """All imports of a file, also those inside functions; of a package's module, that module."""
    user, tree = module_of(path, root), ast.parse(path.read_text('utf-8'))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        at_start = id(node) not in inside
        if isinstance(node, ast.Import):
            found += [Import(user, alias.name, '', at_start) for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            module = absolute(node, user, path.name == '__init__.py')
            for name in (alias.name for alias in node.names):
                whole = f'{module}.{name}'
                place = (whole, '') if whole in modules else (module, name)
                found.append(Import(user, *place, at_start))
    return found


def read(root: Path = ROOT) -> list[Import]:
    files = [*root.glob('mmpfcn/**/*.py'), *root.glob('tools/**/*.py')]
    modules = {module_of(path, root) for path in files}
    return [entry for path in sorted(files) for entry in imports_of(path, root, modules)]


def room(module: str) -> str:
    """``formats`` of ``mmpfcn.formats.inputs``; '' of mmpfcn itself, the door to all rooms."""
    return module.partition('.')[2].partition('.')[0]


def within(imports: list[Import]) -> list[Import]:
    """Those of mmpfcn's modules among each other; the door itself opens all rooms."""
    ours = [entry for entry in imports if entry.user.startswith('mmpfcn.')]
    return [entry for entry in ours if entry.module.split('.')[0] == 'mmpfcn']


def going_up(imports: list[Import]) -> list[str]:
    """The door stands above everything but the commands; nothing of mmpfcn imports tools."""
    top = FLOOR['apis'] + 0.5
    up = [e for e in within(imports) if FLOOR.get(room(e.module), top) > FLOOR.get(room(e.user), top)]
    strangers = {'tools', 'tests', 'helpers'}
    ours = [entry for entry in imports if entry.user.startswith('mmpfcn')]
    return list(map(str, up + [entry for entry in ours if entry.module.split('.')[0] in strangers]))


def circle(imports: list[Import]) -> list[str]:
    """A circle between modules; a package's own modules don't wait for its ``__init__``."""
    graph = {}
    for entry in within(imports):
        if entry.user != entry.module:
            graph.setdefault(entry.user, set()).add(entry.module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def private(imports: list[Import]) -> list[str]:
    """Imports of names with an underscore, or from such a module of ours; not ``__version__``. What
    modules another package has (numpy._core) is its own affair."""

    def is_private(entry: Import) -> bool:
        places = entry.module.split('.') if entry.module.split('.')[0] == 'mmpfcn' else ()
        return any(n.startswith('_') and not n.startswith('__') for n in (entry.name, *places))

    return [str(entry) for entry in imports if is_private(entry)]


def edits_of_the_path(root: Path = ROOT) -> list[str]:
    """Every use of ``sys.path`` or ``site.addsitedir``: a read alone serves nothing either."""
    names = {'sys.path', 'site.addsitedir'}

    def used(node: ast.AST) -> set[str]:
        if isinstance(node, ast.ImportFrom):
            return {f'{node.module}.{alias.name}' for alias in node.names}
        return {ast.unparse(node)} if isinstance(node, ast.Attribute) else set()

    files = sorted([*root.glob('mmpfcn/**/*.py'), *root.glob('tools/**/*.py')])
    nodes = [(path, node) for path in files for node in ast.walk(ast.parse(path.read_text('utf-8')))]
    return [f'{path.relative_to(root)}:{node.lineno}' for path, node in nodes if used(node) & names]


def untested(root: Path = ROOT) -> list[str]:
    """Files with functions whose own test is missing; a command is one file or folder."""
    missing = []
    for path in sorted(root.glob('mmpfcn/**/*.py')):
        if path.name == '__init__.py' or 'def ' not in path.read_text('utf-8'):
            continue
        parts = path.relative_to(root / 'mmpfcn').with_suffix('').parts
        parts = parts[:2] if parts[0] == 'commands' else parts
        test = root.joinpath('tests', *(f'test_{part.strip("_")}' for part in parts))
        if not test.with_suffix('.py').is_file() and not [*test.glob('test_*.py')]:
            missing.append(test.relative_to(root / 'tests').as_posix())
    return missing


IMPORTS = read()


def test_rooms_floors_and_leaves():
    folders = {path.parent.name for path in ROOT.glob('mmpfcn/*/__init__.py')}
    files = {path.stem for path in ROOT.glob('mmpfcn/*.py')} - {'__init__', '__main__'}
    assert folders | files == set(FLOOR)
    # deployment imports formats alone, and commands alone import it
    ours = within(IMPORTS)
    rooms = {room(entry.module) for entry in ours if room(entry.user) == 'deployment'}
    users = {room(entry.user) for entry in ours if room(entry.module) == 'deployment'}
    assert rooms <= {'deployment', 'formats'} and users <= {'deployment', 'commands'}
    light = [e for e in IMPORTS if e.at_start and room(e.user) in ('formats', 'deployment')]
    assert [str(entry) for entry in light if entry.module.split('.')[0] in HEAVY] == []


def test_no_import_goes_up_in_a_circle_or_to_a_private_name():
    assert going_up(IMPORTS) == []
    assert circle(IMPORTS) == []
    assert private(IMPORTS) == []
    assert edits_of_the_path() == []
    assert untested() == []  # every file with functions has a test of its name


@pytest.fixture
def house(tmp_path):
    """Writes files of a small mmpfcn, and gives its imports."""

    def build(**files: str) -> list[Import]:
        for name in ('ops', 'models', 'formats'):
            (tmp_path / 'mmpfcn' / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / 'mmpfcn' / name / '__init__.py').touch()
        for name, text in files.items():
            (tmp_path / 'mmpfcn' / f'{name.replace("__", "/")}.py').write_text(text)
        return read(tmp_path)

    build.root = tmp_path
    return build


@pytest.mark.parametrize('line', [
    'from ..models.head import Head', 'from ..models import head', 'from mmpfcn import models',
    'def f():\n    import mmpfcn.models.head', 'import mmpfcn', 'from helpers import tiny',
])  # fmt: skip
def test_an_arrow_up_is_found(house, line):
    files = dict(models__head='from ..ops import conv\n')
    assert going_up(house(**files, ops__conv='')) == []
    (found,) = going_up(house(**files, ops__conv=line))
    assert found.startswith('mmpfcn.ops.conv imports ')


def test_a_circle_is_found(house):
    assert circle(house(ops__a='from .b import x', ops__b='')) == []
    found = circle(house(ops__a='from .b import x', ops__b='def f():\n    from . import a'))
    assert {'mmpfcn.ops.a', 'mmpfcn.ops.b'} == set(found)


@pytest.mark.parametrize('line, bad', [
    ('from .b import _x', True), ('from ._b import x', True), ('from torch import _C', True),
    ('from numpy._core import x', False), ('from ..version import __version__', False),
    ('from __future__ import annotations', False),
])  # fmt: skip
def test_a_private_name_is_found(house, line, bad):
    assert bool(private(house(ops__a=line))) == bad


@pytest.mark.parametrize('line', [
    'import sys\nsys.path.insert(0, "x")', 'import sys\nsys.path[:0] = ["x"]',
    'from sys import path\npath.append("x")', 'import site\nsite.addsitedir("x")',
])  # fmt: skip
def test_an_edit_of_the_path_is_found(house, line):
    house(ops__a=line)
    assert edits_of_the_path(house.root) == ['mmpfcn/ops/a.py:2'] or 'from sys' in line
    assert len(edits_of_the_path(house.root)) == 1


def test_a_file_without_a_test_is_found(house):
    house(ops__a='def f(): ...', ops__b='x = 1', main='def f(): ...')
    for name in ('commands/one/parts.py', 'commands/two/parts.py', 'commands/three.py'):
        path = house.root / 'mmpfcn' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('def f(): ...')
    for name in ('test_commands/test_one', 'test_commands/test_two/test_x', 'test_main'):
        path = house.root / 'tests' / f'{name}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert untested(house.root) == ['test_commands/test_three', 'test_ops/test_a']
