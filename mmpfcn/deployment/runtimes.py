"""What runs a graph: ONNX Runtime or OpenVINO."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
"""Inputs by name to outputs by name."""

RUNTIMES = dict(onnxruntime='ONNX Runtime', openvino='OpenVINO')
OPENVINO_TYPES = dict(f32='f32', bf16='bf16', int8='bf16', f16='f32')  # of what is not quantised
PRECISIONS = tuple(OPENVINO_TYPES)


def load_graph(
    path: str | os.PathLike,
    runtime: str,
    precision: str,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    content: bytes | None = None,
) -> Run:
    """A graph that is ready to run.

    Args:
        path: of the .onnx file.
        runtime, precision, threads, providers: see :class:`OnnxInferencer`.
        content: a graph that is inside the file; None for the file itself.

    Raises:
        ImportError: the runtime is not installed.
        ValueError: no such runtime, precision or number of threads, or no model that it can load;
            a run of one that it can not run raises it too.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f'runtime={runtime!r}, expected one of {", ".join(RUNTIMES)}')
    if precision not in PRECISIONS:
        raise ValueError(f'precision={precision!r}, expected one of {", ".join(PRECISIONS)}')
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ValueError(f'threads={threads!r}, expected a whole number from 1 on, or None')
    threads = threads or available_threads()
    if runtime == 'openvino':
        if providers is not None:
            raise ValueError('providers are of ONNX Runtime: leave them out with runtime=openvino')
        return _in_openvino(path, precision, threads, content)
    if precision == 'bf16':
        raise ValueError("precision='bf16' needs runtime='openvino': ONNX Runtime has none on CPUs")
    return _in_onnxruntime(path, threads, providers, content)


def available_threads() -> int:
    """One for each core that this process may use; fewer where ``OMP_NUM_THREADS`` says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    asked = os.environ.get('OMP_NUM_THREADS', '')
    return min(cores, int(asked)) if asked.isdecimal() and int(asked) else cores


def _in_onnxruntime(
    path: str | os.PathLike, threads: int, providers: Sequence[str] | None, content: bytes | None
) -> Run:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f'{error}: install numpy, opencv-python-headless and onnxruntime'
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if providers is None:
        wanted = ('CUDAExecutionProvider', 'CPUExecutionProvider')
        providers = [x for x in wanted if x in onnxruntime.get_available_providers()]
    try:
        session = onnxruntime.InferenceSession(
            content or os.fspath(path), options, providers=list(providers)
        )
    except Exception as error:  # ONNX Runtime has many, which share no base class
        raise _unusable('loaded', path, 'onnxruntime', onnxruntime.__version__, error) from error
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return dict(zip(names, session.run(names, dict(inputs)), strict=True))
        except Exception as error:  # such as of a graph whose sizes another program fixed
            raise _unusable('run', path, 'onnxruntime', onnxruntime.__version__, error) from error

    return run


def _in_openvino(
    path: str | os.PathLike, precision: str, threads: int, content: bytes | None
) -> Run:
    try:
        import openvino
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'mmpfcn[openvino]'") from error
    settings = dict(
        INFERENCE_NUM_THREADS=threads,
        INFERENCE_PRECISION_HINT=OPENVINO_TYPES[precision],
        PERFORMANCE_HINT='LATENCY',
        ENABLE_CPU_PINNING=False,  # other programs want cores too
        **cache_settings(),
    )
    core = openvino.Core()
    try:
        model = core.read_model(content or os.fspath(path))
        request = core.compile_model(model, 'CPU', settings).create_infer_request()
    except RuntimeError as error:
        raise _unusable('loaded', path, 'openvino', openvino.__version__, error) from error
    lock = Lock()

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            with lock:  # a request has room for one run
                results = request.infer(dict(inputs))
        except RuntimeError as error:
            raise _unusable('run', path, 'openvino', openvino.__version__, error) from error
        return {name: values for output, values in results.items() for name in output.get_names()}

    return run


def cache_settings() -> dict[str, str]:
    """Where OpenVINO keeps compiled graphs; nothing where no folder can be made."""
    try:
        home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        folder = Path(home, 'mmpfcn', 'openvino')
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter where the user has no home
        return {}
    return dict(CACHE_DIR=str(folder))


def _unusable(what: str, path: object, runtime: str, version: str, error: Exception) -> ValueError:
    return ValueError(
        f'{path} can not be {what} by {RUNTIMES[runtime]} {version}, expected a whole and '
        'unchanged file of "mmpfcn export" or "mmpfcn quantize": copy or export it again '
        f'({" ".join(str(error).split())})'
    )
