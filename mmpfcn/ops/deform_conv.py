"""Modulated deformable convolution from ordinary operators."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmcv.ops import modulated_deform_conv2d
from mmengine.registry import MODELS
from mmengine.utils import to_2tuple
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..compat import has_operators

COLUMN_ELEMENTS = 2**22  # of the column matrix at a time: 16 MiB in float32
MIN_ROWS = 256  # of the column matrix; with fewer a convolution takes longer to begin than it saves
HAS_ONEDNN = torch.backends.mkldnn.is_available()
# PyTorch before 2.7 lacks it; its exporters can not be told from torch.compile then
is_exporting = getattr(torch.compiler, 'is_exporting', lambda: False)
# whether ``embedding_bag`` has gradients of the factors alone (pytorch/pytorch#136457)
BAGS_OF_FIXED_ROWS = torch.__version__ >= (2, 7)


def deform_conv_by_sampling(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Modulated deformable convolution (DCNv2, arXiv 1811.11168) from ordinary operators.

    Stride 1, "same" padding, one group. One ``grid_sample`` and one matrix product per tap, so
    no column matrix of 9 times the input is built.

    Args:
        x: (N, C, h, w), of which (N, O, h, w) is made.
        offset: (N, 2 * kh * kw, h, w) in cells, (dy, dx) per tap.
        mask: (N, kh * kw, h, w) in [0, 1].
        weight: (O, C, kh, kw).
        bias: (O,) or None.
    """
    n, _, h, w = x.shape
    ys, xs = sampling_points(offset, weight.shape[2:])
    out = None
    for tap in range(ys.shape[-1]):
        # cell centres sit at (2 i + 1) / size - 1 when align_corners is False
        grid = torch.stack([(2 * xs[..., tap] + 1) / w - 1, (2 * ys[..., tap] + 1) / h - 1], -1)
        sampled = F.grid_sample(x.to(grid.dtype), grid, align_corners=False).to(x.dtype)
        sampled = sampled * mask[:, tap, None]
        part = weight.flatten(2)[..., tap] @ sampled.flatten(2)  # (O, C) x (N, C, hw)
        out = part if out is None else out + part
    if bias is not None:
        out = out + bias[:, None]
    return out.view(n, len(weight), h, w)


def deform_conv_by_bags(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """:func:`deform_conv_by_sampling` for the CPU: the same numbers, about twice as fast.

    A bilinear sample is a weighted sum of four rows of the (cells, C) matrix, which is what
    PyTorch's ``embedding_bag`` is made for; nearly all the time is then one matrix product. The
    column matrix is built ``COLUMN_ELEMENTS`` at a time, and anew in the backward pass, which costs
    little, instead of being kept (docs/benchmarks.md).
    """
    n, c, h, w = x.shape
    cells, factors = corners(*sampling_points(offset, weight.shape[2:]), mask)
    rows = x.permute(0, 2, 3, 1).contiguous().view(-1, c)  # a view would be read across
    kernel = weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])  # (taps * C, O)
    taps = mask.shape[1]
    step = taps * max(COLUMN_ELEMENTS // (taps * c), 1)
    parts = [
        _sample_and_multiply(rows, *part, kernel)
        for part in zip(cells.split(step), factors.to(x.dtype).split(step), strict=True)
    ]
    out = torch.cat(parts)
    if bias is not None:
        out = out + bias
    return out.view(n, h, w, len(weight)).permute(0, 3, 1, 2)


def deform_conv_by_gathers(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """:func:`deform_conv_by_sampling` for ONNX Runtime: the same numbers from rows of the map.

    Each tap is a weighted sum of four rows of the (cells, C) matrix, then one matrix product. ONNX
    has no ``embedding_bag``, and in ONNX Runtime 1.23 ``GridSample`` takes twice the time of this
    on a CPU (docs/deployment.md).
    """
    n, c, h, w = x.shape
    taps = weight.shape[2] * weight.shape[3]
    cells, factors = corners(*sampling_points(offset, weight.shape[2:]), mask)
    cells = cells.view(-1, taps, 4).split(1, 1)
    factors = factors.to(x.dtype).view(-1, taps, 1, 4).split(1, 1)
    rows = x.permute(0, 2, 3, 1).reshape(-1, c)
    kernel = weight.permute(2, 3, 1, 0).flatten(0, 1)  # (taps, C, O)
    out = None
    for tap in range(taps):
        sampled = factors[tap] @ rows[cells[tap]]  # (P, 1, 1, 4) x (P, 1, 4, C)
        part = sampled @ kernel[tap]  # (P, 1, 1, C) x (C, O)
        out = part if out is None else out + part
    if bias is not None:
        out = out + bias
    return out.view(n, h, w, -1).permute(0, 3, 1, 2)


def _sample_and_multiply(rows: Tensor, cells: Tensor, factors: Tensor, kernel: Tensor) -> Tensor:
    def run(rows: Tensor, factors: Tensor, kernel: Tensor) -> Tensor:
        columns = F.embedding_bag(cells, rows, per_sample_weights=factors, mode='sum')
        return _multiply(columns.view(-1, len(kernel)), kernel)

    if not torch.is_grad_enabled():
        return run(rows, factors, kernel)
    return checkpoint(run, rows, factors, kernel, use_reentrant=False, preserve_rng_state=False)


def _multiply(columns: Tensor, kernel: Tensor) -> Tensor:
    """(P, taps * C) x (taps * C, O), by oneDNN where PyTorch would take MKL.

    MKL does without AVX-512 on CPUs that are not Intel's, and takes twice the time there. oneDNN
    comes with convolutions: here one of P pixels. With one thread 1 x 1 convolutions go to MKL too,
    unless they are dilated, which changes nothing in them.
    """
    if not HAS_ONEDNN or columns.dtype != torch.float32 or len(columns) < MIN_ROWS:
        return columns @ kernel
    pixels = columns[None, :, None].permute(0, 3, 1, 2)  # (1, taps * C, P, 1) in channels_last
    return F.conv2d(pixels, kernel.t()[:, :, None, None], dilation=2)[0, :, :, 0].t()


def sampling_points(offset: Tensor, kernel_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Rows and columns, each (N, h, w, taps) float32, in cells, where the taps of a cell look."""
    kh, kw = kernel_size
    n, _, h, w = offset.shape
    device = offset.device
    shift = offset.float().permute(0, 2, 3, 1).reshape(n, h, w, kh * kw, 2)
    taps = torch.arange(kh * kw, device=device)
    tap_rows, tap_columns = taps // kw - kh // 2, taps % kw - kw // 2
    rows = torch.arange(h, device=device)[:, None, None] + tap_rows
    columns = torch.arange(w, device=device)[:, None] + tap_columns
    return shift[..., 0] + rows, shift[..., 1] + columns


def corners(ys: Tensor, xs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The four cells around each sampling point and their shares in its value.

    Of rows and columns (N, h, w, taps) and the factor (N, taps, h, w) of each point:
    (N * h * w * taps, 4) int32 cells of the batch, counted row by row, and float32 factors, which
    are 0 for cells outside the map.
    """
    n, h, w, _ = ys.shape
    mask = mask.permute(0, 2, 3, 1)
    top, left = ys.floor(), xs.floor()
    images = torch.arange(n, dtype=torch.int32, device=ys.device).view(n, 1, 1, 1) * (h * w)
    cells, factors = [], []
    for y, share_y in ((top, 1 - (ys - top)), (top + 1, ys - top)):
        for x, share_x in ((left, 1 - (xs - left)), (left + 1, xs - left)):
            inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
            # whole numbers are clamped, because a NaN would pass a clamp before
            row, column = y.int().clamp(0, h - 1), x.int().clamp(0, w - 1)
            cells.append(images + row * w + column)
            factors.append(share_y * share_x * mask * inside)
    return torch.stack(cells, -1).view(-1, 4), torch.stack(factors, -1).view(-1, 4)


# In mmengine's root registry, because mmcv's ConvModule looks a layer up in whatever registry is
# current and every registry falls back to the root.
@MODELS.register_module()
class ModulatedDeformConv(nn.Module):
    """mmcv's ``DCNv2`` layer with the initialisation of Panoptic FCN and the fastest way to run it.

    The offsets and the mask come from one ordinary convolution which, unlike in mmcv, keeps
    PyTorch's default initialisation; the weight is Kaiming-uniform for ReLU. Parameters have
    mmcv's names. The CPU runs :func:`deform_conv_by_bags`; CUDA mmcv's operator, and
    :func:`deform_conv_by_sampling` where mmcv is not compiled, in bfloat16 and under
    ``torch.compile``, where the operator can not run. Export gets ordinary operators only: ONNX
    :func:`deform_conv_by_gathers`, ``torch.export`` :func:`deform_conv_by_sampling`.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: rows and columns, or one number for both; so are ``stride``, ``padding`` and
            ``dilation``. Other values than stride 1, padding ``kernel_size // 2``, dilation 1 and
            one group need mmcv's operator.
        stride, padding, dilation, groups: as in ``nn.Conv2d``.
        deform_groups: groups of channels that have offsets of their own.
        bias: whether there is one.
    """

    transposed, output_padding = False, (0,)  # mmcv's ConvModule asks

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = to_2tuple(kernel_size), to_2tuple(stride)
        self.padding, self.dilation = to_2tuple(padding), to_2tuple(dilation)
        self.groups, self.deform_groups = groups, deform_groups
        self.weight = nn.Parameter(
            torch.empty(out_channels, in_channels // groups, *self.kernel_size)
        )
        self.register_parameter('bias', nn.Parameter(torch.empty(out_channels)) if bias else None)
        self.init_weights()  # as mmcv does: a seed gives the same numbers
        taps = self.kernel_size[0] * self.kernel_size[1]
        self.conv_offset = nn.Conv2d(
            in_channels, deform_groups * 3 * taps, kernel_size, stride, padding, dilation
        )
        self.init_weights()

    def init_weights(self) -> None:
        nn.init.kaiming_uniform_(self.weight, nonlinearity='relu')
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        if hasattr(self, 'conv_offset'):  # the constructor calls this once before it exists
            self.conv_offset.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, h, w) to (N, O, h, w)."""
        taps = self.deform_groups * self.kernel_size[0] * self.kernel_size[1]
        offset, mask = self.conv_offset(x).split([2 * taps, taps], dim=1)
        inputs = x, offset, mask.sigmoid(), self.weight, self.bias
        run = self._choose(x)
        if run is not None:
            return run(*inputs)
        return modulated_deform_conv2d(
            *inputs, self.stride, self.padding, self.dilation, self.groups, self.deform_groups
        )

    def _choose(self, x: Tensor) -> Callable[..., Tensor] | None:
        """The function to run; None for mmcv's operator."""
        same = tuple(k // 2 for k in self.kernel_size)
        plain = self.stride == self.dilation == (1, 1) and self.groups == self.deform_groups == 1
        if not plain or self.padding != same:  # Panoptic FCN never asks for it
            return None
        if torch.onnx.is_in_onnx_export():
            return deform_conv_by_gathers
        if is_exporting():
            return deform_conv_by_sampling
        if not x.is_cuda:
            if BAGS_OF_FIXED_ROWS or x.requires_grad or not torch.is_grad_enabled():
                return deform_conv_by_bags
            return deform_conv_by_sampling
        ours = x.dtype == torch.bfloat16 or torch.compiler.is_compiling() or not has_operators()
        return deform_conv_by_sampling if ours else None
