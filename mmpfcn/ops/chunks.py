"""A sum over many rows whose terms are too large to be kept all at once."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_SIZE = 2**20  # numbers of a tensor that a chunk makes: 4 MiB in float32


def sum_over_chunks(function: Callable[..., Tensor], *rows: Tensor, row_size: int) -> Tensor:
    """Sum of a function over chunks of rows, of which only the inputs are kept for backward.

    Backward runs the function again, chunk by chunk (activation checkpointing), so tensors and
    parameters that it holds get their gradient like everything else.

    Args:
        function: maps chunks of ``rows`` to a scalar that is a sum over rows. For n = 0 it is
            called once, with no rows, so that a gradient reaches everything also then.
        rows: tensors of n rows each.
        row_size: numbers that a tensor inside the function has per row; a chunk has up to
            ``CHUNK_SIZE``.
    """
    chunk = max(1, CHUNK_SIZE // max(1, row_size))
    parts = zip(*(x.split(chunk) for x in rows), strict=True)
    if torch.is_grad_enabled():
        return sum(checkpoint(function, *part, use_reentrant=False) for part in parts)
    return sum(function(*part) for part in parts)
