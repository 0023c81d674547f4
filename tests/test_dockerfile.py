"""The Dockerfile as text: no image is built here. Its steps are those of the documentation."""

import re
import shlex

import pytest
from helpers.oracle import ROOT

DOC = (ROOT / 'docs' / 'get_started.md').read_text()


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, arguments), without comments, continued lines joined."""
    lines = (ROOT / 'Dockerfile').read_text().splitlines()
    text = '\n'.join(line for line in lines if not line.startswith('#')).replace('\\\n', ' ')
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


STEPS = instructions()


def arguments(kind: str) -> list[str]:
    return [' '.join(rest.split()) for name, rest in STEPS if name == kind]


def test_known_instructions_of_what_is_there():
    names = [name for name, _ in STEPS]
    assert set(names) <= {'ARG', 'FROM', 'ENV', 'RUN', 'WORKDIR', 'COPY', 'CMD'}
    assert names.count('FROM') == 1 and set(names[: names.index('FROM')]) == {'ARG'}
    assert names.index('COPY') < len(names) - 1 - names[::-1].index('RUN')
    lines = (ROOT / '.dockerignore').read_text().splitlines()
    ignored = [line for line in lines if line and not line.startswith('#')]
    assert arguments('COPY') == ['. .'] and arguments('WORKDIR') == ['/mmpfcn']
    needed = ['Makefile', 'README.md', 'setup.py', 'pyproject.toml', 'LICENSE', 'model-index.yml']
    needed += ['mmpfcn', 'configs', 'tools', 'requirements', 'tests', 'docs', 'tools/misc']
    for name in needed:
        assert (ROOT / name).exists() and name not in ignored
    for name in ('.git', '.venv*', 'data', 'work_dirs', 'build'):
        assert name in ignored


def test_the_steps_and_arguments_are_documented():
    system, *rest = arguments('RUN')
    documented = re.findall(r'^```sh\n(.*?)^```', DOC, re.M | re.S)
    commands = [line for block in documented for line in block.splitlines()]
    assert rest == ['make venv'] and 'make venv' in commands
    assert re.search(r'^venv:.*##', (ROOT / 'Makefile').read_text(), re.M)
    for package in ('g++', 'git', 'make'):  # what README.md asks for
        assert package in system.split()
    readme = (ROOT / 'README.md').read_text()
    assert 'make and git; no GPU, and a C++ compiler only for `make test OPS=1`' in readme
    script = (ROOT / 'tools' / 'misc' / 'make_venv.sh').read_text()
    for name in ('TORCH', 'TORCH_INDEX', 'JOBS'):
        assert f'${{{name}:-' in script and f'{name}=' in arguments('ARG')
    for name in ('CUDA', 'TORCH', 'TORCH_INDEX'):
        assert f'--build-arg {name}=' in DOC


def expand(text: str, values: dict[str, str]) -> str:
    """${NAME:+word} and ${NAME:-word} as Docker expands them, the inner ones first."""
    pattern = r'\$\{(\w+)(?::([+-])((?:[^{}$])*))?\}'

    def value(match: re.Match) -> str:
        name, sign, word = match.groups()
        given = values.get(name, '')
        if sign is None:
            return given
        return (word if given else '') if sign == '+' else (given or word)

    while re.search(pattern, text):
        text = re.sub(pattern, value, text)
    return text


BASES = {'': 'python:3.11-slim-bookworm', '12.8.1': 'nvidia/cuda:12.8.1-devel-ubuntu22.04'}


@pytest.mark.parametrize('cuda, base', BASES.items())
def test_cuda_is_an_argument(cuda, base):
    force = '1' if cuda else ''
    values = {'CUDA': cuda}
    defaults = dict(argument.split('=', 1) for argument in arguments('ARG'))
    assert defaults['CUDA'] == ''
    values['BASE'] = expand(defaults['BASE'], values)
    assert expand(arguments('FROM')[0], values) == base
    pairs = [pair for line in arguments('ENV') for pair in shlex.split(line.replace('$P', ''))]
    environment = dict(pair.split('=', 1) for pair in pairs)
    assert expand(environment['FORCE_CUDA'], values) == force
    assert expand(environment['OPS'], values) == force  # what it compiles is in .venv-ops
    bin_folder = '/mmpfcn/.venv-ops/bin:' if cuda else '/mmpfcn/.venv/bin:'
    assert expand(environment['PATH'], values).startswith(bin_folder)
    system = expand(arguments('RUN')[0], values).split()
    assert ('python3-venv' in system) == bool(cuda)
