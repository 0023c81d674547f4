"""The environment mmpfcn runs in: which OpenMMLab packages fit, and how to get them.

mmpfcn installs neither torch nor mmdet by itself, because pulling another mmdet over the one of a
working CUDA environment would break it. It checks at import instead, before anything else is
imported. Only the standard library is used here, because setup.py runs this file.
"""

import importlib.util
import re
from importlib import metadata
from pathlib import Path

# For each set: import name -> (distribution, lowest version, first version that is too new).
# The two sets cannot be mixed: upstream mmdet 3.3 refuses mmcv >= 2.2, and upstream mmengine cannot
# load checkpoints with torch >= 2.6 (weights_only became the default of torch.load).
SUPPORTED = {
    'onedl (the maintained distribution)': {
        'torch': ('torch', '2.4', None),
        'mmengine': ('onedl-mmengine', '0.10.12', '0.11'),
        'mmcv': ('onedl-mmcv', '2.3.0', '2.4'),
        'mmdet': ('onedl-mmdetection', '3.5.0', '3.6'),
    },
    'openmmlab (upstream)': {
        'torch': ('torch', '2.0', '2.6'),
        'mmengine': ('mmengine', '0.10.4', '0.11'),
        'mmcv': ('mmcv', '2.0.0', '2.2.0'),
        'mmdet': ('mmdet', '3.3.0', '3.4'),
    },
}

# mmcv compiles against the torch that is installed, hence torch first and no build isolation;
# its setup.py needs pkg_resources, which setuptools 81 dropped. For upstream, mim finds the
# ready-made wheel for the torch and CUDA at hand.
BUILD_TOOLS = '"setuptools<81" wheel packaging ninja psutil'
INSTALL = (
    f'pip install {{torch}} {BUILD_TOOLS}\n'
    '      MMCV_WITH_OPS=1 pip install --no-build-isolation {packages}',
    f'pip install {{torch}} {BUILD_TOOLS} openmim\n      mim install {{packages}}',
)


def requirement(distribution: str, low: str, high: str | None) -> str:
    """The requirement as pip takes it, such as ``mmcv>=2.0.0,<2.2.0``."""
    return f'{distribution}>={low}' + (f',<{high}' if high else '')


def is_importable(name: str) -> bool:
    """Whether there is such a module; it is not imported, but the packages around it are."""
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def find_version(name: str) -> str | None:
    """Version of the importable package ``name``, without importing it; None if there is none.

    Importing would be no check: upstream mmdet raises its own AssertionError on a wrong mmcv.
    """
    if not is_importable(name):
        return None
    spec = importlib.util.find_spec(name)
    for folder in spec.submodule_search_locations or []:
        file = Path(folder, 'version.py')
        found = file.is_file() and re.search(
            r"""^__version__(?::[^=]*)?\s*=\s*['"]([^'"]+)""", file.read_text('utf-8'), re.MULTILINE
        )
        if found:
            return found.group(1)
    for distribution in (name, *(packages[name][0] for packages in SUPPORTED.values())):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return 'of unknown version'


def release(version: str) -> tuple[int, ...]:
    """The three leading numbers: '2.13.0+cpu' -> (2, 13, 0), '0.11' -> (0, 11, 0)."""
    numbers = [int(number) for number in re.findall(r'\d+', version.split('+')[0])[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def misfits(found: dict[str, str | None], packages: dict[str, tuple]) -> list[str]:
    """What keeps ``found`` (import name -> version) from being the set ``packages``."""
    problems = []
    for name, (distribution, low, high) in packages.items():
        version = found[name]
        wanted = requirement(distribution, low, high)
        if version is None:
            problems.append(f'{name} is not installed ({wanted})')
        elif release(version) < release(low) or (high and release(version) >= release(high)):
            problems.append(f'{name} {version} does not fit ({wanted})')
    return problems


def describe(found: dict[str, str | None]) -> str:
    """One line per fact: what was found, what each set lacks, and the command that installs it."""
    versions = ', '.join(f'{name} {version or "not found"}' for name, version in found.items())
    lines = [
        'mmpfcn needs torch and one of two sets of OpenMMLab packages, and found neither complete.',
        f'  found: {versions}',
    ]
    for (title, packages), command in zip(SUPPORTED.items(), INSTALL, strict=True):
        wanted = {name: f'"{requirement(*entry)}"' for name, entry in packages.items()}
        torch = wanted.pop('torch')
        lines += [
            f'  {title}: ' + '; '.join(misfits(found, packages)),
            '      ' + command.format(torch=torch, packages=' '.join(wanted.values())),
        ]
    lines.append('  or, in a clone of the repository, `make venv` builds a complete environment.')
    return '\n'.join(lines)


def check_versions() -> None:
    """Checks that torch, mmengine, mmcv (with its operators) and mmdet are a set that fits.

    Raises:
        ImportError: something is missing, of another version, or mmcv has no compiled operators;
            the message says what was found, what is supported and the commands to install it.
    """
    names = next(iter(SUPPORTED.values()))
    found = {name: find_version(name) for name in names}
    if all(misfits(found, packages) for packages in SUPPORTED.values()):
        raise ImportError(describe(found))
    try:
        import mmcv.ops  # noqa: F401
    except ImportError as error:
        mmcv, torch = found['mmcv'], found['torch']
        raise ImportError(
            f'mmcv {mmcv} has no operators that load with torch {torch} ({error}).\n'
            '  Either it is mmcv-lite, or it was compiled for another torch. Remove it '
            '(`pip uninstall mmcv mmcv-lite onedl-mmcv`) and install it for this torch:\n'
            f'      pip install {BUILD_TOOLS}\n'
            '      MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir '
            f'"{_mmcv_requirement(found)}"'
        ) from error


def _mmcv_requirement(found: dict[str, str | None]) -> str:
    """The mmcv of the set that the other packages found belong to."""
    fitting = next(packages for packages in SUPPORTED.values() if not misfits(found, packages))
    return requirement(*fitting['mmcv'])
