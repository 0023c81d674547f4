"""Networks for images of other than three channels."""

from collections.abc import Sequence

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..formats.pixels import PixelRule


@MODELS.register_module()
class ChannelDataPreprocessor(DetDataPreprocessor):
    """mmdet's, with a mean and a std for each of any number of channels (there 1 or 3).

    Args:
        mean, std: of each channel, or one for all; in the order of the image, or of red, green
            and blue with ``bgr_to_rgb``.
        pad_size_divisor: images are padded by zeros to multiples of it.
        bgr_to_rgb: turn the channels around; of three only.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        pad_size_divisor: int = 1,
        bgr_to_rgb: bool = False,
    ) -> None:
        super().__init__(mean[:1], std[:1], pad_size_divisor, bgr_to_rgb=bgr_to_rgb)
        for name, values in (('mean', mean), ('std', std)):
            setattr(self, name, torch.tensor(values, dtype=torch.float32).view(-1, 1, 1))


def first_convolution(backbone: nn.Module) -> nn.Conv2d | None:
    """The one that sees the image."""
    return next((m for m in backbone.modules() if isinstance(m, nn.Conv2d)), None)


def spread_weights(backbone: nn.Module) -> None:
    """Let a backbone for C channels take weights of one for three, wherever they come from.

    Each channel gets the mean of the three, times 3 / C, in the first convolution: what is the
    same in all channels gives the features that it gives in three.
    """
    convolution = first_convolution(backbone)
    if convolution is not None and convolution.in_channels != 3:
        convolution._register_load_state_dict_pre_hook(_spread, with_module=True)


def _spread(convolution: nn.Conv2d, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    weight, channels = state_dict.get(f'{prefix}weight'), convolution.in_channels
    if weight is not None and weight.dim() == 4 and weight.shape[1] == 3 != channels:
        mean = weight.mean(1, keepdim=True) * (3 / channels)
        state_dict[f'{prefix}weight'] = mean.repeat(1, channels, 1, 1)


def require_input(model: nn.Module, rule: PixelRule) -> None:
    """Raise ValueError unless backbone and data preprocessor take what a rule makes of images."""
    channels = rule.channels or 3
    convolution = first_convolution(getattr(model, 'backbone', nn.Module()))
    images = f'LoadImage gives images of {channels} channel(s)'
    # four times as many where a stem folds 2 x 2 pixels into one, as YOLOX's
    if convolution is not None and convolution.in_channels not in (channels, 4 * channels):
        raise ValueError(
            f'{images}, but model.backbone takes {convolution.in_channels}: set '
            f'model.backbone.in_channels={channels}, or LoadImage(channels='
            f'{convolution.in_channels}) in the pipelines of training, validation and test'
        )
    preprocessor = getattr(model, 'data_preprocessor', None)
    if getattr(preprocessor, '_channel_conversion', False) and channels != 3:
        raise ValueError(
            f'{images}, which have no red and blue to exchange: set '
            'model.data_preprocessor.bgr_to_rgb=False'
        )
    for name in ('mean', 'std'):
        number = len(getattr(preprocessor, name, [0]))
        if number not in (1, channels):
            raise ValueError(
                f'{images}, but model.data_preprocessor.{name} has {number} numbers: set '
                f"type='ChannelDataPreprocessor' and {name} of 1 or {channels}"
            )
