"""What mmpfcn uses of mmengine, mmcv and mmdet is in both sets, with the parameters it passes.

One set is installed here at most. The signatures of all are in tests/signatures.json, recorded from
their sources by tests/record_signatures.py.
"""

import inspect
import json
import pkgutil
import re
import runpy
from functools import cache
from pathlib import Path

import mmdet
import pytest
import torch
from helpers.package_sources import read_sources
from record_signatures import RECORD, ROOT, Use, all_uses, record, uses_of_code, versions

SETS = json.loads(RECORD.read_text('utf-8'))
CODE, CONFIGS = all_uses()
COMPAT = runpy.run_path(str(ROOT / 'mmpfcn' / 'compat.py'))
OURS = {
    name
    for file in ROOT.glob('mmpfcn/**/*.py')
    for name in re.findall(r'^class (\w+)', file.read_text('utf-8'), re.MULTILINE)
}
AGAIN = 'record it: see tests/record_signatures.py'


@cache
def signature(parameters: str) -> inspect.Signature:
    """``a, b=None, *, c`` as Python's own, which checks arguments."""
    return inspect.signature(eval(f'lambda {parameters}: None'))


def misuse(use: Use, parameters: str | None) -> str | None:
    """Why a call does not fit ``parameters``; None where it does or where it cannot be told."""
    if parameters is None or use.positional is None:
        return None
    known = signature(parameters)
    bind = known.bind if use.complete else known.bind_partial
    try:
        bind(*[None] * use.positional, **dict.fromkeys(use.keywords))
    except TypeError as error:
        return f'{use.where}: {use.name}({parameters}): {error}'
    return None


@pytest.mark.parametrize('name', SETS)
def test_names_and_types_are_there_and_take_what_is_passed(name):
    names = SETS[name]['names']
    unknown = {f'{use.where}: {use.name}' for use in CODE if use.name not in names}
    assert not unknown, AGAIN
    assert [m for use in CODE if (m := misuse(use, names[use.name]))] == []
    types = SETS[name]['types']
    others = OURS | {*dir(torch.optim), 'BN', 'GN', 'value'}  # BN, GN: torch's; value: of DynamicIntervals
    unknown = {f'{u.where}: {u.name}' for u in CONFIGS if u.name not in {*types, *others}}
    assert not unknown, AGAIN
    uses = [use for use in CONFIGS if use.name in types]
    assert [m for use in uses if (m := misuse(use, types[use.name]))] == []
    (title,) = (title for title in COMPAT['SUPPORTED'] if title.split()[0] == name.split('_')[0])
    packages = COMPAT['SUPPORTED'][title]
    found = {
        key: SETS[name]['versions'][distribution.replace('-', '_')]
        for key, (distribution, _, _) in packages.items()
        if key != 'torch'
    }
    assert COMPAT['misfits'](found, {key: packages[key] for key in found}) == []


def test_the_oldest_upstream_is_recorded_and_nothing_in_vain():
    packages = COMPAT['SUPPORTED']['openmmlab (upstream)']
    oldest = {d: low for key, (d, low, _) in packages.items() if key != 'torch'}
    assert SETS['openmmlab_oldest']['versions'] == oldest
    used = {use.name for use in CODE}
    for name, recorded in SETS.items():
        assert set(recorded['names']) == used, f'{name}: {AGAIN}'


def test_the_recorder_is_right():
    """So the recorder is right about a package that can be looked at."""
    site = Path(mmdet.__file__).parents[1]
    (name,) = (n for n, s in SETS.items() if s['versions'] == versions([site]))
    found = record(read_sources(site), {u.name for u in CODE}, {u.name for u in CONFIGS})
    assert found == {key: SETS[name][key] for key in ('names', 'types')}
    # The parser of sources against Python itself, for all that can be imported here.
    compared = 0
    for name, parameters in SETS['onedl']['names'].items():
        value = pkgutil.resolve_name(name.replace('.', ':', 0))
        if parameters is None or not callable(value):
            continue
        ours = [(p.name, p.kind) for p in signature(parameters).parameters.values()]
        theirs = [(p.name, p.kind) for p in inspect.signature(value).parameters.values()]
        assert ours == [entry for entry in theirs if entry[0] != 'self'], name
        compared += 1
    assert compared > 80


@pytest.mark.parametrize('call, error', [
    ('Config.fromfile(path)', None),
    ('Config.fromfile(path, odd=True)', "unexpected keyword argument 'odd'"),
    ('Config.fromfile()', "missing a required argument: 'filename'"),
    ('Config.fromfile(**options)', None),
])  # fmt: skip
def test_a_wrong_call_is_found(tmp_path, monkeypatch, call, error):
    monkeypatch.setattr('record_signatures.ROOT', tmp_path)
    (tmp_path / 'user.py').write_text(f'from mmengine.config import Config\n{call}\n')
    (use,) = (u for u in uses_of_code(tmp_path / 'user.py') if u.positional is not None)
    found = misuse(use, SETS['openmmlab']['names'][use.name])
    assert (found is None) == (error is None)
    assert error is None or (found.startswith('user.py:2: ') and found.endswith(error))
