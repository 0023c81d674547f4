"""What is inside an ONNX file, weights and metadata, read without the package onnx."""

from collections.abc import Iterator
from os import PathLike

import numpy as np

# numbers of fields in onnx.proto: of the model, a property, the graph, and four of a tensor
GRAPH, PROPERTY, KEY, VALUE, INITIALIZER = 7, 14, 1, 2, 5
DATA_TYPE, FLOAT_DATA, NAME, RAW_DATA = 2, 4, 8, 9
FLOATS = {1: '<f4', 10: '<f2', 11: '<f8'}  # numpy's types of the data types of tensors


def read_properties(path: str | PathLike) -> dict[str, str]:
    """The metadata of a model; empty for what is none, which the runtimes refuse."""
    try:
        model = memoryview(np.memmap(path, np.uint8, 'r'))
        entries = [dict(_fields(value)) for kind, value in _fields(model) if kind == PROPERTY]
        return {str(x[KEY], 'utf-8'): str(x.get(VALUE, b''), 'utf-8') for x in entries}
    except (ValueError, IndexError, KeyError):
        return {}


def require_finite_weights(path: str | PathLike, content: bytes | None = None) -> None:
    """Refuse a model with NaN or infinite weights: objects of whole classes would be missing.

    Args:
        path: of the file.
        content: a model that is inside the file; None for the file itself.

    Raises:
        ValueError: names the first such weight.
    """
    model = memoryview(np.memmap(path, np.uint8, 'r') if content is None else content)
    graph = dict(_fields(model))[GRAPH]
    for tensor in (dict(_fields(value)) for kind, value in _fields(graph) if kind == INITIALIZER):
        data = tensor.get(RAW_DATA, tensor.get(FLOAT_DATA))
        if data is None or tensor[DATA_TYPE] not in FLOATS:
            continue
        finite = np.isfinite(np.frombuffer(data, FLOATS[tensor[DATA_TYPE]]))
        if not finite.all():
            raise ValueError(
                f'{path}: {np.count_nonzero(~finite)} of {finite.size} numbers of '
                f'{bytes(tensor[NAME]).decode()} are NaN or infinite, expected finite ones: its '
                'training went wrong, export an earlier checkpoint'
            )


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message of Protocol Buffers."""
    at = 0
    while at < len(message):
        key, at = _whole_number(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _whole_number(message, at)
        else:
            length, at = _whole_number(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = message[at : at + length], at + length
        yield key >> 3, value


def _whole_number(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
