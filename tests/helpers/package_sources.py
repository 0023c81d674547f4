"""Finds definitions in the sources of a package, installed or not, without importing it."""

import ast
import copy
import re
import tarfile
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

PACKAGES = ('mmengine', 'mmcv', 'mmdet')


class Definition(NamedTuple):
    """A statement that defines a name, and the module it stands in; None: the name is a module."""

    module: str
    node: ast.stmt | None


def read_sources(place: Path) -> dict[str, str]:
    """Path -> text of the Python files of ``PACKAGES`` in a wheel, sdist or site-packages."""
    if place.is_dir():
        files = {
            file.relative_to(place).as_posix(): file.read_bytes()
            for name in PACKAGES
            for file in place.glob(f'{name}/**/*.py')
        }
    elif zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    else:
        with tarfile.open(place) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and m.name.endswith('.py')]
            files = {m.name: archive.extractfile(m).read() for m in members}
    pattern = re.compile(rf'(?:[\w.]+-[\w.]+/)?((?:{"|".join(PACKAGES)})/(?!\.mim/).*\.py)$')
    found = {pattern.match(name): content for name, content in files.items()}
    return {match[1]: content.decode() for match, content in found.items() if match}


class Sources:
    """Definitions in ``files`` (path -> text), found by dotted name."""

    def __init__(self, files: dict[str, str]) -> None:
        names = {path: re.sub(r'(/__init__)?\.py$', '', path).replace('/', '.') for path in files}
        self.files = {name: (path, files[path]) for path, name in names.items()}
        self.statements = cache(self._statements)

    def _statements(self, module: str) -> list[ast.stmt]:
        """What stands at the module's top level, also under `if` and `try`."""
        return list(_flat(ast.parse(self.files[module][1]).body))

    def find(self, dotted: str) -> Definition | None:
        """The module, class, function, method or assignment ``mmdet.models.losses.DiceLoss``."""
        parts = dotted.split('.')
        definition = Definition(parts[0], None) if parts[0] in self.files else None
        for name in parts[1:]:
            if definition is None:
                return None
            if isinstance(definition.node, ast.ClassDef):
                definition = self.method(definition, name)
            elif definition.node is None:
                definition = self.attribute(definition.module, name)
        return definition

    def attribute(self, module: str, name: str) -> Definition | None:
        """The submodule ``name`` of ``module``, or else what its statements define."""
        if f'{module}.{name}' in self.files:
            return Definition(f'{module}.{name}', None)
        return self.top_level(module, name)

    def top_level(self, module: str, name: str) -> Definition | None:
        """What ``name`` is in ``module``; imports within the package are followed."""
        for node in self.statements(module):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
                return Definition(module, node)
            if isinstance(node, ast.Assign | ast.AnnAssign) and name in _assigned(node):
                return Definition(module, node)
            if isinstance(node, ast.ImportFrom):
                found = self._imported(module, node, name)
                if found:
                    return found
        return None

    def _imported(self, module: str, node: ast.ImportFrom, name: str) -> Definition | None:
        names = [a.name for a in node.names if (a.asname or a.name) == name]
        star = node.names[0].name == '*'
        origin = self._origin(module, node)
        if not (names or star) or origin not in self.files:
            return None
        return self.top_level(origin, name) if star else self.attribute(origin, names[0])

    def _origin(self, module: str, node: ast.ImportFrom) -> str:
        is_package = self.files[module][0].endswith('__init__.py')
        package = module if is_package else module.rpartition('.')[0]
        return resolve_name('.' * node.level + (node.module or ''), package)

    def method(self, owner: Definition, name: str) -> Definition | None:
        """The method or attribute ``name`` of a class or its bases; the class itself where a base is of
        another package, such as nn.Module, and may have it."""
        for node in owner.node.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return Definition(owner.module, node)
            if isinstance(node, ast.Assign | ast.AnnAssign) and name in _assigned(node):
                return Definition(owner.module, node)
        beyond = False
        for base in owner.node.bases:
            parent = self.top_level(owner.module, ast.unparse(base).split('[')[0])
            if parent is None or not isinstance(parent.node, ast.ClassDef):
                beyond = True
                continue
            found = self.method(parent, name)
            if found and not isinstance(found.node, ast.ClassDef):
                return found
            beyond |= found is not None
        return owner if beyond or name == '__init__' else None

    def signature(self, dotted: str) -> str | None:
        """The parameters as source text, without annotations: ``a, b=None, *, c``; None: it is there, but
        not as a function or class (a registry, a C function). KeyError: there is no such name."""
        definition = self.find(dotted)
        if definition is None:
            raise KeyError(dotted)
        node = definition.node
        if isinstance(node, ast.ClassDef):
            node = self.method(definition, '__init__').node
        if not isinstance(node, ast.FunctionDef):
            return None
        return _parameters(node)


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _flat(node.body + node.orelse)
            for handler in getattr(node, 'handlers', ()):
                yield from _flat(handler.body)
        else:
            yield node


def _assigned(node: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}


def _parameters(node: ast.FunctionDef) -> str:
    arguments = copy.deepcopy(node.args)
    first = (arguments.posonlyargs + arguments.args)[:1]
    if first and first[0].arg in ('self', '__self', 'cls'):
        arguments.args = arguments.args[1:]
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [d and ast.Constant(None) for d in arguments.kw_defaults]
    return ast.unparse(arguments)
