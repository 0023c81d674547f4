"""Any convolutional backbone of timm, with its ImageNet weights."""

from difflib import get_close_matches
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

STRIDES = [4, 8, 16, 32]


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """Features of a timm model (``features_only``) at strides 4, 8, 16 and 32; needs ``timm``.

    Args:
        model_name: of timm, such as ``'tf_efficientnet_lite0'`` or ``'convnext_tiny'``.
        pretrained: load timm's own weights, which are downloaded, when weights are initialised.
        checkpoint: a local file of such weights in timm's names, instead.
        frozen_stages: the first so many of the four features and all before them are not trained;
            0 or less trains everything.
        norm_eval: keep the statistics of batch norm as they were loaded.
        drop_path_rate: share of residual branches that a training step leaves out.

    Attributes:
        out_channels: of the four features; ``neck.in_channels`` has to be the same.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm has no such model (the nearest names are given), or one without features at
            these strides.
        FileNotFoundError: there is no such checkpoint.
    """

    def __init__(
        self,
        model_name: str,
        pretrained: bool = False,
        checkpoint: str | None = None,
        frozen_stages: int = 0,
        norm_eval: bool = True,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.model_name = model_name
        self.pretrained = pretrained
        self.checkpoint = checkpoint
        self.norm_eval = norm_eval
        self.net = self._create(drop_path_rate=drop_path_rate)
        self.out_channels = self.net.feature_info.channels()
        self._freeze(frozen_stages)

    def _create(self, **arguments: object) -> nn.Module:
        timm = import_timm()
        if not timm.is_model(self.model_name):
            near = get_close_matches(self.model_name, timm.list_models(), 3)
            raise ValueError(
                f'timm {timm.__version__} has no model {self.model_name!r}: '
                + (f'did you mean {" or ".join(near)}?' if near else 'see timm.list_models()')
            )
        strides = timm.create_model(self.model_name, features_only=True).feature_info.reduction()
        if not set(STRIDES) <= set(strides):
            raise ValueError(
                f'{self.model_name} gives features at strides {strides}, but {STRIDES} are needed: '
                'choose a hierarchical model, such as a ResNet, EfficientNet or ConvNeXt'
            )
        # the last feature of a stride, where there are several
        indices = tuple(len(strides) - 1 - strides[::-1].index(stride) for stride in STRIDES)
        return timm.create_model(
            self.model_name, features_only=True, out_indices=indices, **arguments
        )

    def init_weights(self) -> None:
        """Load ``checkpoint``, or timm's weights with ``pretrained``."""
        if self.checkpoint is not None:
            if not Path(self.checkpoint).is_file():
                raise FileNotFoundError(
                    f'backbone.checkpoint {self.checkpoint} is not there '
                    f'(looked for in {Path.cwd()})'
                )
            loaded = self._create(
                pretrained=True, pretrained_cfg_overlay=dict(file=self.checkpoint)
            )
        elif self.pretrained:
            loaded = self._create(pretrained=True)
        else:
            return
        self.net.load_state_dict(loaded.state_dict())

    def _freeze(self, stages: int) -> None:
        if stages <= 0:
            return
        modules = self.net.feature_info.module_name()
        names = [name for name, _ in self.net.named_parameters()]
        last = max(i for i, name in enumerate(names) if name.startswith(f'{modules[stages - 1]}.'))
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad = name not in names[: last + 1]

    def train(self, mode: bool = True) -> 'TimmBackbone':
        """Training mode, with batch norm in evaluation mode where ``norm_eval`` or frozen."""
        nn.Module.train(self, mode)
        for module in self.net.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)):
                frozen = module.affine and not module.weight.requires_grad
                module.train(mode and not (self.norm_eval or frozen))
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) to features (N, c, h, w) at strides 4, 8, 16 and 32."""
        # depthwise convolutions, and all that follows, then take two thirds of the time on a CPU
        return tuple(self.net(x.contiguous(memory_format=torch.channels_last)))


def import_timm():
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f'TimmBackbone needs timm ({error}): pip install mmpfcn[timm], with a torchvision that '
            'fits the torch that is installed'
        ) from error
    return timm
