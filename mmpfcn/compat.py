"""The environment mmpfcn runs in: which OpenMMLab packages fit, and how to get them.

mmpfcn installs neither torch nor mmdet by itself, because pulling another mmdet over the one of a
working CUDA environment would break it. It checks at import instead, before anything else is
imported. mmcv's compiled operators may be missing: mmdet can not be imported then, unless something
has their names, which is :class:`MissingOperators`. Only the standard library is used here, because
setup.py runs this file.
"""

import importlib.util
import io
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType

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

# Plain pip builds mmcv apart from torch, which gives an mmcv without operators. To have them, it is
# compiled against the torch that is installed, hence torch first and no build isolation; its
# setup.py needs pkg_resources, which setuptools 81 dropped. For upstream, mim finds the ready-made
# wheel for the torch and CUDA at hand.
BUILD_TOOLS = '"setuptools<81" wheel packaging ninja psutil'
INSTALL = (
    'pip install {torch} {packages}\n'
    "      or, with mmcv's operators, which a C++ compiler makes in 15 minutes on 2 cores:\n"
    f'      pip install {{torch}} {BUILD_TOOLS}\n'
    '      MMCV_WITH_OPS=1 pip install --no-build-isolation {packages}',
    f'pip install {{torch}} {BUILD_TOOLS} openmim\n      mim install {{packages}}',
)

# mmcv asks for opencv-python, a dependency of mmdet for the headless one: both write to one folder
HEADLESS = (
    'OpenCV does not load ({error}): opencv-python is not for servers. Install:\n'
    '      pip uninstall -y opencv-python opencv-python-headless\n'
    '      pip install opencv-python-headless==4.12.0.88'
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
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
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
    """Raise ImportError unless torch, mmengine, mmcv and mmdet are a set that fits and loads.

    The message says what was found, what is supported and the commands to install it. Where mmcv
    has no compiled operators, :class:`MissingOperators` takes their place, so that mmdet can be
    imported.
    """
    names = next(iter(SUPPORTED.values()))
    found = {name: find_version(name) for name in names}
    if all(misfits(found, packages) for packages in SUPPORTED.values()):
        raise ImportError(describe(found))
    try:
        if importlib.util.find_spec(OPERATORS) is None:
            sys.modules[OPERATORS] = MissingOperators(operators_command(found))
        import mmcv.ops  # noqa: F401
    except ImportError as error:
        if 'libGL' in str(error):
            raise ImportError(HEADLESS.format(error=error)) from error
        mmcv, torch = found['mmcv'], found['torch']
        raise ImportError(
            f'mmcv {mmcv} has no operators that load with torch {torch} ({error}).\n'
            '  Either it is mmcv-lite, or it was compiled for another torch. Remove it '
            '(`pip uninstall mmcv mmcv-lite onedl-mmcv`) and install it for this torch:\n'
            + operators_command(found)
        ) from error


def import_mmdet() -> None:
    """Import mmdet without its two lines on stdout, which would be among what a command prints, and
    its warning: both are about optional packages that nothing here uses.
    """
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
        import mmdet.datasets
        import mmdet.evaluation  # noqa: F401


def operators_command(found: dict[str, str | None]) -> str:
    """The lines to type that compile the mmcv of these packages for the torch that is there."""
    fitting = next(packages for packages in SUPPORTED.values() if not misfits(found, packages))
    mmcv = requirement(*fitting['mmcv'])
    return (
        f'      pip install {BUILD_TOOLS}\n'
        '      MMCV_WITH_OPS=1 pip install --no-build-isolation --no-deps --force-reinstall '
        f'--no-cache-dir "{mmcv}"'
    )


OPERATORS = 'mmcv._ext'  # the module of mmcv's compiled operators


class MissingOperators(ModuleType):
    """Stands in for :data:`OPERATORS` in an mmcv that has none.

    mmcv's Python code only looks whether the functions exist. Here every name is one, and calling
    it raises a RuntimeError that says which operator it is, what wanted it and ``command``, which
    installs it.
    """

    def __init__(self, command: str):
        super().__init__(OPERATORS)
        self.__spec__ = ModuleSpec(OPERATORS, None, origin='mmpfcn.compat')  # mmengine asks for it
        self._command = command

    def __getattr__(self, name: str) -> Callable[..., str]:
        if name.startswith('__'):  # what Python and inspect ask of any module
            raise AttributeError(name)
        if name in ('get_compiler_version', 'get_compiling_cuda_version'):  # in mmcv's collect_env
            return lambda: 'none, mmcv is not compiled'

        def missing(*args: object, **kwargs: object) -> str:
            raise RuntimeError(
                f"mmcv's operator {name} is not compiled{_who_asked(sys._getframe(1))}.\n"
                '  Panoptic FCN does without it, this does not. To compile it (C++ compiler, about '
                f'15 minutes on 2 cores):\n{self._command}'
            )

        missing.__name__ = name
        return missing


def has_operators() -> bool:
    """Whether mmcv's compiled operators are there; known after :func:`check_versions`."""
    return not isinstance(sys.modules.get(OPERATORS), MissingOperators)


def _who_asked(frame: FrameType | None) -> str:
    """``, and CLASS of MODULE called it``: the nearest caller outside of what calls for others."""
    while frame is not None:
        module = frame.f_globals.get('__name__', '')
        if module.partition('.')[0] not in ('mmcv', 'mmengine', 'torch'):
            owner = frame.f_locals.get('self')
            name = frame.f_code.co_name if owner is None else type(owner).__name__
            return f', and {name} of {module} called it'
        frame = frame.f_back
    return ''


TORCHVISION_OPERATORS = (
    'nms qnms roi_align _roi_align_backward roi_pool _roi_pool_backward ps_roi_align '
    '_ps_roi_align_backward ps_roi_pool _ps_roi_pool_backward deform_conv2d _deform_conv2d_backward'
).split()


def declare_torchvision_operators() -> None:
    """Let a torchvision whose operators do not load, as one for CUDA beside a torch for the CPU, be
    imported: timm and mmengine's list of versions do, and use none of them.

    Importing it wants the operators declared. A call of one still fails, as torch says it then.
    """
    spec = importlib.util.find_spec('torchvision')
    if spec is None or 'torchvision' in sys.modules:
        return
    import torch

    try:
        for library in Path(spec.origin).parent.glob('_C.*'):
            torch.ops.load_library(library)
    except OSError:
        declared = torch.library.Library('torchvision', 'FRAGMENT')
        for name in TORCHVISION_OPERATORS:
            declared.define(f'{name}(Tensor x) -> Tensor')
        sys.modules[__name__].torchvision_library = declared  # lasts as long as it is referred to
