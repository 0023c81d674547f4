"""Records the signatures of what mmpfcn and its configs use of mmengine, mmcv and mmdet.

    pip download --no-deps -d sources mmengine==0.10.7 mmdet==3.3.0
    pip download --no-deps --no-build-isolation --no-binary :all: -d sources mmcv==2.1.0
    python tests/record_signatures.py openmmlab sources/*
    python tests/record_signatures.py onedl .venv/lib/python3.11/site-packages

Only the sources are read: neither torch nor a compiled mmcv is needed. Results go to
tests/signatures.json, a set under the name given first; test_signatures.py compares them with the
calls in mmpfcn.
"""

import argparse
import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.package_sources import PACKAGES, Sources, read_sources

ROOT = Path(__file__).resolve().parents[1]
REGISTERED = r"register_module\((?:name='(\w+)')?[^)]*\)\s*class (\w+)"
NOT_PASSED = ('_delete_', 'paramwise_cfg')  # for Config, and for the optimizer's constructor
RECORD = Path(__file__).with_name('signatures.json')


class Use(NamedTuple):
    """One place that uses a name; ``positional`` is None where it isn't called."""

    where: str
    name: str
    positional: int | None = None
    keywords: tuple[str, ...] = ()
    complete: bool = True  # no *args, **kwargs


def uses_of_code(file: Path) -> Iterator[Use]:
    """Imports, attributes and calls of the names that ``file`` imports from PACKAGES."""
    tree = ast.parse(file.read_text('utf-8'))
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] in PACKAGES:
            for alias in node.names:
                imported[alias.asname or alias.name] = f'{node.module}.{alias.name}'
                yield Use(_place(file, node), f'{node.module}.{alias.name}')
        if isinstance(node, ast.Import):
            imported |= {p: p for a in node.names if (p := a.name.split('.')[0]) in PACKAGES}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := _dotted(node, imported)):
            yield Use(_place(file, node), name)
        if isinstance(node, ast.Call) and (name := _dotted(node.func, imported)):
            yield _call(file, node, name)
        if isinstance(node, ast.ClassDef):
            bases = [name for base in node.bases if (name := _dotted(base, imported))]
            for call in ast.walk(node) if bases else ():
                if isinstance(call, ast.Call):
                    if found := re.fullmatch(r'super\(\)\.(\w+)', ast.unparse(call.func)):
                        yield _call(file, call, f'{bases[0]}.{found[1]}')


def uses_of_config(file: Path) -> Iterator[Use]:
    """Each ``dict(type='Name', ...)``; its name is the bare ``Name``."""
    for node in ast.walk(ast.parse(file.read_text('utf-8'))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict':
            keywords = {k.arg: k.value for k in node.keywords if k.arg not in NOT_PASSED}
            kind = keywords.pop('type', None)
            if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
                yield Use(_place(file, node), kind.value, 0, tuple(filter(None, keywords)), False)


def all_uses() -> tuple[list[Use], list[Use]]:
    """Those of the code (mmpfcn and tools) and those of the configs."""
    code = [*ROOT.glob('mmpfcn/**/*.py'), *ROOT.glob('tools/**/*.py')]
    configs = sorted(ROOT.glob('configs/**/*.py'))
    of_configs = [use for file in configs for use in uses_of_config(file)]
    return [use for file in sorted(code) for use in uses_of_code(file)], of_configs


def record(files: dict[str, str], names: set[str], types: set[str]) -> dict:
    """Signatures of ``names`` and of the classes registered as ``types``."""
    sources = Sources(files)
    classes = {
        alias or kind: f'{module}.{kind}'
        for package in PACKAGES  # mmdet's own go before those of mmcv and mmengine
        for module, (path, text) in sources.files.items()
        if path.startswith(f'{package}/')
        for alias, kind in re.findall(REGISTERED, text)
        if (alias or kind) in types
    }
    return {
        'names': {name: sources.signature(name) for name in sorted(names)},
        'types': {kind: sources.signature(classes[kind]) for kind in sorted(classes)},
    }


def versions(places: list[Path]) -> dict[str, str]:
    """Distribution -> version, by the names of the archives or of the folders of metadata."""
    names = []
    for place in places:
        names += [p.name for p in place.glob('*.dist-info')] if place.is_dir() else [place.name]
    pattern = re.compile(r'((?:onedl_)?(?:mmengine|mmcv|mmdet|mmdetection))-(\d[\d.]*\d)')
    return {match[1]: match[2] for name in sorted(names) if (match := pattern.match(name))}


def _place(file: Path, node: ast.AST) -> str:
    return f'{file.relative_to(ROOT)}:{node.lineno}'


def _dotted(node: ast.expr, imported: dict[str, str]) -> str | None:
    """``Config.fromfile`` -> mmengine.config.Config.fromfile; None for names of others."""
    first, *rest = ast.unparse(node).split('.')
    if first not in imported or not all(name.isidentifier() for name in rest):
        return None
    return '.'.join([imported[first], *(name for name in rest if not name.startswith('__'))])


def _call(file: Path, node: ast.Call, name: str) -> Use:
    positional = [a for a in node.args if not isinstance(a, ast.Starred)]
    keywords = tuple(k.arg for k in node.keywords if k.arg)
    complete = len(positional) == len(node.args) and len(keywords) == len(node.keywords)
    return Use(_place(file, node), name, len(positional), keywords, complete)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('set', help='name of the set, such as openmmlab')
    parser.add_argument('sources', nargs='+', type=Path, help='wheels, sdists or site-packages')
    args = parser.parse_args()
    files = {path: text for place in args.sources for path, text in read_sources(place).items()}
    code, configs = all_uses()
    recorded = json.loads(RECORD.read_text('utf-8')) if RECORD.exists() else {}
    found = record(files, {u.name for u in code}, {u.name for u in configs})
    recorded[args.set] = {'versions': versions(args.sources), **found}
    RECORD.write_text(json.dumps(recorded, indent=1, sort_keys=True) + '\n', 'utf-8')


if __name__ == '__main__':
    main()
