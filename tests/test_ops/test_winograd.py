"""The Winograd convolution is the plain one, and gives way where it is not meant."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmpfcn.ops import winograd
from mmpfcn.ops.winograd import is_suitable, to_winograd, transform_weight, winograd_conv


@pytest.mark.parametrize('size', [(1, 1), (3, 5), (4, 8), (13, 21), (40, 33)])
@pytest.mark.parametrize('chunk', [1, 2**14, 2**21])
def test_it_is_the_plain_convolution(size, chunk, monkeypatch):
    """In float64, where a wrong coefficient can not hide in rounding."""
    monkeypatch.setattr(winograd, 'CHUNK_SIZE', chunk)
    for name in ('INPUT_TRANSFORM', 'OUTPUT_TRANSFORM'):
        monkeypatch.setattr(winograd, name, getattr(winograd, name).double())
    x, weight, bias = torch.randn(2, 7, *size), torch.randn(5, 7, 3, 3), torch.randn(5)
    x, weight, bias = x.double(), weight.double(), bias.double()
    out = winograd_conv(x, transform_weight(weight), bias)
    torch.testing.assert_close(out, F.conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-12)
    without = winograd_conv(x, transform_weight(weight), None)
    torch.testing.assert_close(without, F.conv2d(x, weight, padding=1), rtol=0, atol=1e-12)


def test_rounding_and_which_convolutions_are_suitable():
    x, weight = torch.randn(1, 256, 32, 44).relu(), torch.randn(256, 256, 3, 3)
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    out = winograd_conv(x, transform_weight(weight), None)
    assert (out - exact).abs().max() < 3e-5 * exact.abs().max()

    def conv(channels=128, kernel=3, **options):
        return nn.Conv2d(channels, 128, kernel, **(dict(padding=1) | options))

    assert is_suitable(conv()) and is_suitable(conv(bias=False))
    assert not is_suitable(conv(channels=64))
    for options in (
        dict(kernel=1), dict(stride=2), dict(padding=0), dict(groups=2),
        dict(padding=2, dilation=2), dict(padding_mode='reflect'), dict(padding='same'),
    ):  # fmt: skip
        assert not is_suitable(conv(**options)), options
    assert not is_suitable(to_winograd(conv()))


@pytest.fixture
def pair():
    """A convolution, the other that shares its weight, and a map that is large enough."""
    conv = nn.Conv2d(128, 128, 3, padding=1)
    return conv, to_winograd(copy.copy(conv)), torch.randn(1, 128, 32, 32)


@torch.no_grad()
def test_it_follows_its_weight(pair):
    conv, other, x = pair
    for _ in range(2):
        torch.testing.assert_close(other(x), conv(x), rtol=0, atol=1e-4)
        assert not torch.equal(other(x), conv(x))  # so it is not the plain one that has run
        conv.weight.mul_(-2)
    other.load_state_dict(dict(other.state_dict(), weight=torch.full_like(conv.weight, 0.01)))
    torch.testing.assert_close(other(x), conv(x), rtol=0, atol=1e-4)
    double = copy.deepcopy(other)
    double.weight.zero_()
    assert torch.equal(double(x)[0, :, 0, 0], conv.bias)
    # As the EMA hook swaps weights: neither address nor version of the weight changes.
    average, own = torch.randn_like(conv.weight) / 30, conv.weight.clone()
    other(x)
    before = conv.weight.data_ptr(), conv.weight._version
    for weight in (average, own, average):
        other.weight.data.copy_(weight)
        assert (conv.weight.data_ptr(), conv.weight._version) == before
        torch.testing.assert_close(other(x), conv(x), rtol=0, atol=1e-4)
    other.weight.data.view(-1)[77] += 0.1
    torch.testing.assert_close(other(x), conv(x), rtol=0, atol=1e-4)


def test_it_is_the_plain_one_elsewhere(pair):
    conv, other, x = pair
    assert list(other.state_dict()) == list(conv.state_dict()) == ['weight', 'bias']
    assert other.weight is conv.weight and other.bias is conv.bias
    assert other.training == conv.training
    assert torch.equal(other(x), conv(x))  # with gradient
    other(x).square().sum().backward()
    assert conv.weight.grad.abs().sum() > 0
    with torch.no_grad():
        small = x[..., :16, :16]
        assert torch.equal(other(small), conv(small))
        with torch.autocast('cpu', torch.bfloat16):
            assert torch.equal(other(x), conv(x))
        assert torch.equal(other.double()(x.double()), conv(x.double()))


@torch.no_grad()
def test_images_without_a_batch_wrong_channels_and_threads(pair):
    conv, other, x = pair
    assert torch.equal(other(x[0]), conv(x[0]))
    assert other(x[:0]).shape == (0, 128, 32, 32)
    with pytest.raises(RuntimeError, match='expected input.* to have 128 channels'):
        other(x[:, :64])
    expected = conv(x)
    with ThreadPoolExecutor(4) as pool:
        for out in pool.map(torch.no_grad()(lambda _: other(x)), range(16)):
            torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)


@pytest.mark.filterwarnings('ignore::FutureWarning')
@pytest.mark.parametrize('change', [
    nn.utils.weight_norm, nn.utils.spectral_norm,
    nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm,
])  # fmt: skip
@torch.no_grad()
def test_a_weight_that_is_computed(pair, change):
    """Such a module is left alone; a fast one that becomes such goes on being right."""
    _, _, x = pair
    plain = change(nn.Conv2d(128, 128, 3, padding=1)).eval()
    assert not is_suitable(plain)
    faster = to_winograd(nn.Conv2d(128, 128, 3, padding=1))
    faster(x)
    change(faster).eval()
    faster.load_state_dict(plain.state_dict())
    for _ in range(2):
        expected = plain(x)
        assert (faster(x) - expected).abs().max() < 3e-5 * expected.abs().max()
        for module in (plain, faster):
            next(p for p in module.parameters() if p.dim() == 4).data.mul_(1.5)
