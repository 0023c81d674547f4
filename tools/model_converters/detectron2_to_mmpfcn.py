"""Convert a checkpoint of the published Panoptic FCN (a detectron2 project) to mmpfcn.

    python tools/model_converters/detectron2_to_mmpfcn.py SRC DST [--star]

SRC is a ``.pth`` or ``.pkl`` file, its weights flat or under ``model``. Every entry must find its
place with its shape, and every weight of ours must be found, else nothing is written.
"""

import argparse
import os
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'panoptic_fcn'

GENERATOR = 'panoptic_head.kernel_generator'
ENCODER = 'panoptic_head.feature_encoder'
HEAD = r'(?:position|kernel|encode)_head_head'
# (pattern of the published name, ours); a number in <> is computed by `rename`
RULES = (
    (r'backbone\.bottom_up\.stem\.conv1\.norm\.(\w+)', r'backbone.bn1.\1'),
    (r'backbone\.bottom_up\.stem\.conv1\.(\w+)', r'backbone.conv1.\1'),
    (r'backbone\.bottom_up\.res(\d)\.(\d+)\.conv(\d)\.norm\.(\w+)', r'backbone.layer<\1-1>.\2.bn\3.\4'),
    (r'backbone\.bottom_up\.res(\d)\.(\d+)\.conv(\d)\.(\w+)', r'backbone.layer<\1-1>.\2.conv\3.\4'),
    (r'backbone\.bottom_up\.res(\d)\.(\d+)\.shortcut\.norm\.(\w+)', r'backbone.layer<\1-1>.\2.downsample.1.\3'),
    (r'backbone\.bottom_up\.res(\d)\.(\d+)\.shortcut\.(\w+)', r'backbone.layer<\1-1>.\2.downsample.0.\3'),
    (r'backbone\.fpn_lateral(\d)\.(\w+)', r'neck.lateral_convs.<\1-2>.conv.\2'),
    (r'backbone\.(?:fpn_output|top_block\.p)(\d)\.(\w+)', r'neck.fpn_convs.<\1-2>.conv.\2'),
    (r'semantic_fpn\.p(\d)\.(\d)\.norm\.(\w+)', rf'{ENCODER}.semantic_fpn.<\1-2>.conv.<\2/2>.gn.\3'),
    (r'semantic_fpn\.p(\d)\.(\d)\.(\w+)', rf'{ENCODER}.semantic_fpn.<\1-2>.conv.<\2/2>.conv.\3'),
    (r'position_head\.out_inst\.(\w+)', rf'{GENERATOR}.center_out.\1'),
    (r'position_head\.out_sem\.(\w+)', rf'{GENERATOR}.region_out.\1'),
    (r'kernel_head\.out_conv\.(\w+)', rf'{GENERATOR}.kernel_out.\1'),
    (r'(thing|stuff)_generator\.embed_extractor\.(\w+)', rf'{GENERATOR}.\1_embed.\2'),
    (rf'(position|kernel)_head\.\1_head\.{HEAD}_(\d)\.(?:dcnv2\.)?norm\.(\w+)', rf'{GENERATOR}.\1_convs.<\2-1>.gn.\3'),
    (rf'(position|kernel)_head\.\1_head\.{HEAD}_(\d)\.offset_mask_conv\.(\w+)', rf'{GENERATOR}.\1_convs.<\2-1>.conv.conv_offset.\3'),
    (rf'(position|kernel)_head\.\1_head\.{HEAD}_(\d)\.(?:dcnv2\.)?(\w+)', rf'{GENERATOR}.\1_convs.<\2-1>.conv.\3'),
    (rf'feature_encoder\.encode_head\.{HEAD}_(\d)\.offset_mask_conv\.(\w+)', rf'{ENCODER}.convs.<\1-1>.conv.conv_offset.\2'),
    (rf'feature_encoder\.encode_head\.{HEAD}_(\d)\.(?:dcnv2\.)?(\w+)', rf'{ENCODER}.convs.<\1-1>.conv.\2'),
)  # fmt: skip
# what detectron2 checkpoints may hold besides weights
IGNORED = re.compile(r'pixel_(mean|std)')


class ConversionError(ValueError):
    """The checkpoint does not fit the model."""


class _WeightsUnpickler(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers and refuses everything else."""

    ALLOWED = {
        ('numpy', 'dtype'),
        ('numpy', 'ndarray'),
        ('collections', 'OrderedDict'),
        ('_codecs', 'encode'),
        *(
            (f'numpy.{core}.multiarray', name)
            for core in ('core', '_core')
            for name in ('_reconstruct', 'scalar')
        ),
    }

    def find_class(self, module: str, name: str):
        if (module, name) in self.ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'{module}.{name} is not part of a weight file')


def load_weights(path: Path, trust: bool) -> dict[str, Tensor]:
    """Weights of a published checkpoint by name.

    Args:
        path: ``.pth`` (torch.save) or ``.pkl`` (pickled numpy arrays).
        trust: run whatever code the file holds.

    Raises:
        ConversionError: when the file can not be read safely or holds no weights.
    """
    try:
        if path.suffix == '.pkl':
            with path.open('rb') as file:
                unpickler = pickle.Unpickler if trust else _WeightsUnpickler
                content = unpickler(file, encoding='latin1').load()
        else:
            content = torch.load(path, map_location='cpu', weights_only=not trust)
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        raise ConversionError(
            f'{path} could not be read as a weight file: {error}\n'
            'If it is a complete checkpoint whose maker you trust, --trust loads it with pickle, '
            'which runs code from the file.'
        ) from error
    if isinstance(content, dict) and isinstance(content.get('model'), dict):
        content = content['model']
    weights = {}
    if isinstance(content, dict):
        weights = {
            name: torch.as_tensor(value)
            for name, value in content.items()
            if isinstance(value, (Tensor, np.ndarray))
        }
    if not weights:
        raise ConversionError(f'{path} holds no weights, neither at its top level nor under "model"')
    return weights


def rename(name: str) -> str | None:
    """Our name of a published weight, or None."""
    for pattern, ours in RULES:
        match = re.fullmatch(pattern, name)
        if match:
            place = match.expand(ours)
            place = re.sub(r'<(\d+)-(\d)>', lambda m: str(int(m[1]) - int(m[2])), place)
            return re.sub(r'<(\d+)/2>', lambda m: str(int(m[1]) // 2), place)
    return None


def adapt(name: str, weight: Tensor) -> Tensor:
    """Layout differences: "any thing" goes last, embeddings are linear layers."""
    if '.region_out.' in name:
        return torch.cat([weight[1:], weight[:1]])
    if name.endswith('_embed.weight') and weight.dim() == 4:
        return weight.flatten(1)
    return weight


def convert(weights: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename and check all weights.

    Args:
        weights: published weights by name.
        expected: our model's state dict.

    Raises:
        ConversionError: lists every name without a place, of another shape, or missing.
    """
    converted, problems = {}, []
    for name, weight in weights.items():
        ours = rename(name)
        if ours is None or ours not in expected:
            if not IGNORED.fullmatch(name):
                problems.append(f'no place for {name} {tuple(weight.shape)}')
            continue
        weight = adapt(ours, weight)
        if weight.shape != expected[ours].shape:
            problems.append(
                f'{name} {tuple(weight.shape)} does not fit {ours} {tuple(expected[ours].shape)}'
            )
        converted[ours] = weight.clone()
    for ours, value in expected.items():
        if ours.endswith('num_batches_tracked'):
            converted.setdefault(ours, torch.zeros_like(value))
        elif ours not in converted:
            problems.append(f'nothing for {ours} {tuple(value.shape)}')
    if problems:
        raise ConversionError('\n'.join([f'{len(problems)} entries do not fit:', *problems]))
    return converted


def build_model(star: bool) -> torch.nn.Module:
    """The model whose weights are expected, without pretrained weights."""
    import mmpfcn  # noqa: F401 (registers)
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    config = Config.fromfile(CONFIGS / ('r50_star_coco_3x.py' if star else 'r50_coco.py'))
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    return MODELS.build(config.model)


def save_atomically(checkpoint: dict, path: Path) -> None:
    """Write next to ``path``, then rename, so that no half-written file is left under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
    try:
        torch.save(checkpoint, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('src', type=Path, help='published checkpoint, .pth or .pkl')
    parser.add_argument('dst', type=Path, help='file to write, .pth')
    parser.add_argument('--star', action='store_true', help='SRC is a star variant')
    parser.add_argument('--trust', action='store_true', help='load SRC with pickle: runs its code')
    args = parser.parse_args(argv)
    if not args.src.is_file():
        parser.error(f'SRC {args.src} is not a file')
    try:
        weights = load_weights(args.src, args.trust)
        converted = convert(weights, build_model(args.star).state_dict())
    except ConversionError as error:
        hint = 'without' if args.star else 'with'
        print(f'{error}\nNothing was written. (Another variant? Try {hint} --star.)', file=sys.stderr)
        return 1
    save_atomically(dict(state_dict=converted, meta=dict(source=args.src.name)), args.dst)
    print(f'{len(weights)} entries of {args.src} converted to {args.dst}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
