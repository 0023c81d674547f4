"""3 x 3 convolutions with a quarter of the multiplications, for inference on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .deform_conv import is_exporting

TILE = 4  # side of the outputs that are computed together
WINDOW = TILE + 2  # side of the inputs that they see
CHUNK_SIZE = 2**21  # of the transformed tiles held at a time, 8 MiB: they should stay in the cache
MIN_CHANNELS = 128  # with fewer the transforms cost more than the multiplications they save
MIN_TILES = 32  # with fewer reading the weights, which are 4 times as many, takes the time

# F(4 x 4, 3 x 3) of Lavin and Gray, arXiv 1509.09308
_INPUT = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_WEIGHT = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_OUTPUT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]


def both_axes(matrix: list[list[float]]) -> Tensor:
    """The transform of rows and columns as one matrix, in float64."""
    matrix = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(matrix, matrix)


INPUT_TRANSFORM, OUTPUT_TRANSFORM = both_axes(_INPUT).float(), both_axes(_OUTPUT).float()


def transform_weight(weight: Tensor) -> Tensor:
    """(O, C, 3, 3) to (36, C, O), computed in float64."""
    taps = weight.detach().double().permute(2, 3, 1, 0).flatten(0, 1).flatten(1)  # (9, C * O)
    transformed = (both_axes(_WEIGHT) @ taps).to(weight.dtype)
    return transformed.view(-1, weight.shape[1], weight.shape[0])


def winograd_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolution 3 x 3 with stride 1 and padding 1, four outputs at a time along each axis.

    The numbers differ from those of a plain convolution by rounding: by about 1e-5 of the largest
    output. Without gradient. Of (N, C, h, w) float32, fastest in channels_last, the weight
    (36, C, O) of :func:`transform_weight` and the bias (O,): (N, O, h, w) in channels_last.
    """
    n, c, h, w = x.shape
    rows, columns = -(-h // TILE), -(-w // TILE)
    padding = (0, 0, 1, TILE * columns - w + 1, 1, TILE * rows - h + 1)
    x = F.pad(x.permute(0, 2, 3, 1), padding)  # (N, h, w, C)
    out = x.new_empty(n, TILE * rows, TILE * columns, weight.shape[2])
    step = max(CHUNK_SIZE // (WINDOW**2 * c * columns), 1)
    for image, result in zip(x, out, strict=True):
        for first in range(0, rows, step):
            start, stop = TILE * first, TILE * min(first + step, rows)
            _convolve_tiles(image[start : stop + 2], weight, result[start:stop])
    if bias is not None:
        out += bias
    return out[:, :h, :w].permute(0, 3, 1, 2)


def _convolve_tiles(image: Tensor, weight: Tensor, out: Tensor) -> None:
    """Rows of tiles: (4 r + 2, 4 s + 2, C) to ``out`` (4 r, 4 s, O), written in place."""
    tiles = image.unfold(0, WINDOW, TILE).unfold(1, WINDOW, TILE)  # (r, s, C, 6, 6)
    r, s, c = tiles.shape[:3]
    tiles = INPUT_TRANSFORM @ tiles.permute(3, 4, 0, 1, 2).reshape(WINDOW**2, -1)
    products = tiles.view(WINDOW**2, r * s, c) @ weight  # 36 x (r * s, C) x (C, O)
    results = OUTPUT_TRANSFORM @ products.flatten(1)
    results = results.view(TILE, TILE, r, s, -1).permute(2, 0, 3, 1, 4)  # (r, 4, s, 4, O)
    out.view(results.shape).copy_(results)


class WinogradConv2d(nn.Conv2d):
    """A convolution of :func:`to_winograd`: computes the same, faster.

    Where it can not be used (with gradient, under autocast, in another type than float32, not on a
    CPU, for small maps or those of no batch, under ``torch.compile`` and in export) it is the plain
    convolution. The transformed weight is made at the first call and again when the weight has
    other values, whoever wrote them: versions do not tell of what goes through ``weight.data``, so
    they are compared with a copy.
    """

    _transformed: tuple[Tensor, Tensor] | None = None
    """A copy of the weight, and what it was transformed to."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, h, w) to (N, O, h, w)."""
        weight = self.weight  # a parametrisation computes it
        if torch.compiler.is_compiling() or not self._is_usable(x, weight):
            return self._conv_forward(x, weight, self.bias)
        made = self._transformed  # of both in one, for threads
        if made is None or not torch.equal(made[0], weight):
            made = weight.detach().clone(), transform_weight(weight)
            self._transformed = made
        return winograd_conv(x, made[1], self.bias)

    def _is_usable(self, x: Tensor, weight: Tensor) -> bool:
        return (
            x.device.type == weight.device.type == 'cpu'
            and x.dtype == weight.dtype == torch.float32
            and x.dim() == 4
            and x.shape[1] == self.in_channels
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled('cpu')
            and not (torch.jit.is_tracing() or torch.onnx.is_in_onnx_export() or is_exporting())
            and x.shape[-2] * x.shape[-1] >= MIN_TILES * TILE**2
        )


def to_winograd(conv: nn.Conv2d) -> WinogradConv2d:
    """Make a convolution of which :func:`is_suitable` a faster one, in place.

    It remains the same object, with its parameters and hooks, for all that refer to it.
    """
    conv.__class__ = WinogradConv2d
    return conv


def is_suitable(module: nn.Module) -> bool:
    """Whether it is a plain 3 x 3 convolution with enough channels to gain.

    One whose weight is computed (``weight_norm``, ``spectral_norm``, a parametrisation) is not.
    """
    return (
        type(module) is nn.Conv2d
        and module._parameters.get('weight') is not None
        and module.kernel_size == (3, 3)
        and module.stride == module.padding == module.dilation == (1, 1)
        and module.groups == 1
        and module.padding_mode == 'zeros'
        and min(module.in_channels, module.out_channels) >= MIN_CHANNELS
    )
