"""The models: ours from configs, the same with plain convolutions, and mmdet's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from torch import nn

from mmpfcn import accelerate_inference
from mmpfcn.apis.configs import read_config

PEERS = {
    'panoptic-fpn': 'mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py',
    'maskformer': 'mmdet::maskformer/maskformer_r50_ms-16xb1-75e_coco.py',
    'mask2former': 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
}
COMPILED_PARTS = ('backbone', 'neck', 'rpn_head', 'semantic_head', 'panoptic_head')
# what CompileNetworkHook compiles
OUR_COMPILED_PARTS = (
    *COMPILED_PARTS[:2], 'panoptic_head.kernel_generator', 'panoptic_head.feature_encoder'
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A model to be measured."""

    name: str  # in the tables
    config: str  # file or name of ours, or ``mmdet::`` and one of mmdet's
    options: dict = field(default_factory=dict, hash=False)  # ``--cfg-options``, for ours
    plain: bool = False  # plain convolutions instead of deformable ones
    compiled: bool = False  # the forward of every network part is compiled
    channels_last: bool = False  # memory format of weights and features
    onnx: str | None = None  # file of an exported model that runs instead
    runtime: str = 'onnxruntime'  # of that file
    precision: str | None = None  # of that file; None for its own
    accelerated: bool = False  # by :func:`mmpfcn.accelerate_inference`

    @property
    def is_peer(self) -> bool:
        return self.config.startswith('mmdet::')

    def load(self) -> Config:
        """The whole config, without weights to download."""
        cfg = get_config(self.config) if self.is_peer else read_config(self.config)
        cfg.merge_from_dict(self.options)
        without_pretraining(cfg.model)
        cfg.model.data_preprocessor.batch_augments = None  # all see the same input
        if self.plain:
            cfg.model.panoptic_head.kernel_generator.position_conv_cfg = None
            cfg.model.panoptic_head.feature_encoder.conv_cfg = None
        return cfg

    def build(self, device: torch.device) -> nn.Module:
        """With random weights, the same at every call."""
        torch.manual_seed(0)
        model = MODELS.build(self.load().model)
        model.init_weights()
        model = model.to(device)
        if self.channels_last:
            channels_last(model)
        if self.accelerated:
            accelerate_inference(model)
        parts = COMPILED_PARTS if self.is_peer else OUR_COMPILED_PARTS
        for part in parts if self.compiled else ():
            # The forward methods, not the calls, so that the stages' clocks stay outside. Each of
            # ours is one graph; mmdet's heads have breaks, and not every model has all of them.
            if hasattr(model, part.split('.')[0]):
                module = model.get_submodule(part)
                module.forward = torch.compile(module.forward, fullgraph=not self.is_peer)
        return model


def candidates(
    configs: Sequence[str],
    options: dict,
    plain: bool,
    peers: Sequence[str],
    compiled: bool,
    channels_last: bool,
    accelerated: bool,
) -> list[Candidate]:
    """All to be measured, the first config's own first; the flags add variants."""
    listed = [Candidate(Path(config).stem, config, options) for config in configs]
    if plain:
        listed += [replace(c, name=f'{c.name}, plain convs', plain=True) for c in listed]
    listed += [Candidate(peer, PEERS[peer]) for peer in peers]
    asked = dict(accelerated=accelerated, channels_last=channels_last, compiled=compiled)
    variants = []
    for on in product(*([False, True] if flag else [False] for flag in asked.values())):
        flags = dict(zip(asked, on, strict=True))
        end = ''.join(f', {flag.replace("_", " ")}' for flag, is_on in flags.items() if is_on)
        variants += [replace(c, name=c.name + end, **flags) for c in listed]
    return variants


def without_pretraining(config: object) -> None:
    """Remove every ``init_cfg`` of a checkpoint, in place."""
    if isinstance(config, dict):
        if (config.get('init_cfg') or {}).get('type') == 'Pretrained':
            config['init_cfg'] = None
        config = config.values()
    elif not isinstance(config, (list, tuple)):
        return
    for value in config:
        without_pretraining(value)


def channels_last(model: nn.Module) -> None:
    """Weights and the network's input."""
    model.to(memory_format=torch.channels_last)
    model.backbone.register_forward_pre_hook(
        lambda module, inputs: (inputs[0].contiguous(memory_format=torch.channels_last),)
    )
