"""Any backbone of timm, with its ImageNet weights."""

from difflib import get_close_matches
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from .input_channels import spread_weights
from .simple_pyramid import SimplePyramid

STRIDES = [4, 8, 16, 32]


class BackboneWeightsError(ValueError):
    """Weights of a backbone are another model's, no weights at all, or can not be downloaded."""


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """Features of a timm model (``features_only``) at strides 4, 8, 16 and 32; needs ``timm``.

    A plain vision transformer has one map. It gets patches of 16 x 16, to which timm fits weights
    for other patches, takes images of any size, and :class:`SimplePyramid` makes the four strides.

    Args:
        model_name: of timm, such as ``'tf_efficientnet_lite0'`` or ``'convnext_tiny.fb_in22k'``.
        pretrained: load timm's own weights, which are downloaded, when weights are initialised.
        checkpoint: a local file of such weights in timm's names, instead.
        frozen_stages: the first so many of the four features, or quarters of a transformer's
            blocks, and all before them are not trained; 0 or less trains everything.
        norm_eval: keep the statistics of batch norm as they were loaded.
        drop_path_rate: share of residual branches that a training step leaves out.
        in_channels: C of the images; weights for three are spread over them
            (:func:`spread_weights`).

    Attributes:
        out_channels: of the four features; ``neck.in_channels`` has to be the same.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm has no such model (the nearest names are given), one without features at
            these strides, or one for images of a certain size.
        BackboneWeightsError: the checkpoint is another model's, or timm can not load its weights.
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
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.model_name = model_name
        self.pretrained = pretrained
        self.checkpoint = checkpoint
        self.norm_eval = norm_eval
        self._arguments = dict(drop_path_rate=drop_path_rate or None)
        strides = self._strides()
        is_plain = len(set(strides)) == 1
        if is_plain:
            self._arguments.update(patch_size=STRIDES[2], dynamic_img_size=True)
            indices = [len(strides) * i // len(STRIDES) - 1 for i in range(1, len(STRIDES) + 1)]
        else:  # the last feature of a stride, where there are several
            indices = [len(strides) - 1 - strides[::-1].index(stride) for stride in STRIDES]
        self._features = dict(features_only=True, out_indices=indices)
        self.net = self._create(in_chans=in_channels, **self._features)
        spread_weights(self.net)
        feats = self._try_out(in_channels)
        self._freeze(feats[: max(frozen_stages, 0)])
        self.out_channels = [f.shape[1] for f in feats]
        self.pyramid = SimplePyramid(self.out_channels[-1]) if is_plain else None
        if is_plain:
            self.out_channels = self.pyramid.out_channels

    def _create(self, **arguments: object) -> nn.Module:
        timm = import_timm()
        try:
            return timm.create_model(self.model_name, **self._arguments, **arguments)
        except TypeError as error:
            raise ValueError(
                f'{self.model_name} of timm can not be made with {self._arguments}: {error}'
            ) from error

    def _strides(self) -> list[int]:
        """Of every feature that the model can give."""
        timm = import_timm()
        tagged = '.' in self.model_name
        known = timm.list_pretrained() if tagged else timm.list_models()
        if self.model_name not in known and (tagged or not timm.is_model(self.model_name)):
            near = get_close_matches(self.model_name, known, 3)
            raise ValueError(
                f'timm {timm.__version__} has no model {self.model_name!r}: '
                + (f'did you mean {" or ".join(near)}?' if near else 'see timm.list_models()')
            )
        with torch.device('meta'):  # without weights
            info = getattr(self._create(), 'feature_info', [])
        strides = [feature['reduction'] for feature in info]
        if not set(STRIDES) <= set(strides) and len(set(strides)) != 1:
            raise ValueError(
                f'{self.model_name} gives features at strides {strides}, but {STRIDES} are needed, '
                'or one stride: choose a ResNet, EfficientNet, ConvNeXt, plain ViT or the like'
            )
        return strides

    def _try_out(self, in_channels: int) -> list[Tensor]:
        """Features of an image of a size that no model is made for."""
        self.net.eval()
        try:
            with torch.enable_grad():
                feats = self._net_features(torch.zeros(1, in_channels, 64, 96))
        except (AssertionError, RuntimeError) as error:
            raise ValueError(
                f'{self.model_name} does not take images of any size: {error}'
            ) from error
        self.net.train()
        return feats

    def _freeze(self, feats: list[Tensor]) -> None:
        """Train nothing of what these features come from."""
        if not feats:
            return
        parameters = list(self.net.parameters())
        gradients = torch.autograd.grad(sum(f.sum() for f in feats), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad = gradient is None

    def init_weights(self) -> None:
        """Load ``checkpoint``, or timm's weights with ``pretrained``."""
        if self.checkpoint is not None:
            loaded = self._load_checkpoint()
        elif self.pretrained:
            loaded = self._load_pretrained()
        else:
            return
        self.net.load_state_dict(loaded.state_dict())

    def _load_pretrained(self) -> nn.Module:
        try:
            return self._create(pretrained=True, **self._features)
        except (OSError, RuntimeError) as error:
            raise BackboneWeightsError(
                f'timm can not load the weights of {self.model_name}: set backbone.pretrained to '
                'False and backbone.checkpoint to a file of them that was downloaded elsewhere '
                f'({in_a_line(error)})'
            ) from error

    def _load_checkpoint(self) -> nn.Module:
        """The network with the weights of a file, which has to name all of them."""
        if not Path(self.checkpoint).is_file():
            raise FileNotFoundError(
                f'backbone.checkpoint {self.checkpoint} is not there (looked for in {Path.cwd()})'
            )
        timm = import_timm()
        try:
            weights = timm.models.load_state_dict(self.checkpoint)
            classifier = timm.get_pretrained_cfg(self.model_name).classifier
            if isinstance(classifier, tuple):  # as many classes in each
                classifier = classifier[0]
            classes = len(weights.get(f'{classifier}.weight', ()))
            overlay = dict(
                file=self.checkpoint, num_classes=classes, label_offset=0, custom_load=False
            )
            source = dict(pretrained=True, pretrained_cfg_overlay=overlay)
            self._create(**source)  # a whole model is strict about names, one of features is not
            return self._create(**source, **self._features)
        except Exception as error:  # timm and torch have many for what a file can be
            raise BackboneWeightsError(
                f'backbone.checkpoint {self.checkpoint} is not of {self.model_name}, whose weights '
                f'are named as in timm.create_model({self.model_name!r}).state_dict(): '
                f'{in_a_line(error)}'
            ) from error

    def train(self, mode: bool = True) -> 'TimmBackbone':
        """Training mode, with batch norm in evaluation mode where ``norm_eval`` or frozen."""
        nn.Module.train(self, mode)
        for module in self.net.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)):
                frozen = module.affine and not module.weight.requires_grad
                module.train(mode and not (self.norm_eval or frozen))
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) to features (N, c, h, w) at strides 4, 8, 16 and 32.

        H and W are multiples of 32, as ``data_preprocessor.pad_size_divisor`` makes them.
        """
        feats = self._net_features(x)
        return tuple(feats) if self.pyramid is None else self.pyramid(feats[-1])

    def _net_features(self, x: Tensor) -> list[Tensor]:
        # depthwise convolutions, and all that follows, then take two thirds of the time on a CPU
        feats = self.net(x.contiguous(memory_format=torch.channels_last))
        if getattr(self.net, 'output_fmt', 'NCHW') == 'NHWC':
            feats = [f.permute(0, 3, 1, 2) for f in feats]
        return feats


def in_a_line(error: Exception) -> str:
    """What an error says, of which timm and torch make pages."""
    return f'{type(error).__name__}: {" ".join(str(error).split())[:500]}'


def import_timm():
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f'TimmBackbone needs timm ({error}): pip install mmpfcn[timm], with a torchvision that '
            'fits the torch that is installed'
        ) from error
    return timm
