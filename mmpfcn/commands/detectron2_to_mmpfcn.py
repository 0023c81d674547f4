"""Convert a checkpoint of the published Panoptic FCN (a detectron2 project) to mmpfcn.

    mmpfcn convert detectron2 SRC DST [--star]

SRC is a ``.pth`` or ``.pkl`` file, its weights flat or under ``model``. Every entry must find its
place with its shape, and every weight of ours must be found, else nothing is written.
"""

import pickle
import re
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmpfcn.apis.checkpoint import write_checkpoint
from mmpfcn.apis.checkpoint_limits import require_no_bomb
from mmpfcn.apis.configs import read_config
from mmpfcn.formats.atomic_files import require_writable

from .options import new_parser

GENERATOR = 'panoptic_head.kernel_generator'
ENCODER = 'panoptic_head.feature_encoder'
# (pattern of the published name, ours), applied one after the other
RULES = (
    (r'^backbone\.bottom_up\.(stem\.)?', 'backbone.'),
    (r'^backbone\.res(\d)', lambda m: f'backbone.layer{int(m[1]) - 1}'),
    (r'^(backbone\..*)shortcut\.norm', r'\1downsample.1'),
    (r'^(backbone\..*)shortcut', r'\1downsample.0'),
    (r'^(backbone\..*)conv(\d)\.norm', r'\1bn\2'),
    (r'^backbone\.fpn_lateral(\d)', lambda m: f'neck.lateral_convs.{int(m[1]) - 2}.conv'),
    (r'^backbone\.(?:fpn_output|top_block\.p)', 'backbone.fpn_output'),
    (r'^backbone\.fpn_output(\d)', lambda m: f'neck.fpn_convs.{int(m[1]) - 2}.conv'),
    # a convolution and its upsampling are two steps there, one here
    (
        r'^semantic_fpn\.p(\d)\.(\d)',
        lambda m: f'{ENCODER}.semantic_fpn.{int(m[1]) - 2}.conv.{int(m[2]) // 2}.conv',
    ),
    (r'^position_head\.out_inst', f'{GENERATOR}.center_out'),
    (r'^position_head\.out_sem', f'{GENERATOR}.region_out'),
    (r'^kernel_head\.out_conv', f'{GENERATOR}.kernel_out'),
    (r'^(thing|stuff)_generator\.embed_extractor', rf'{GENERATOR}.\1_embed'),
    (
        r'^(position|kernel)_head\.\1_head\.\1_head_head_(\d)',
        lambda m: f'{GENERATOR}.{m[1]}_convs.{int(m[2]) - 1}.conv',
    ),
    (
        r'^feature_encoder\.encode_head\.encode_head_head_(\d)',
        lambda m: f'{ENCODER}.convs.{int(m[1]) - 1}.conv',
    ),
    (r'\.offset_mask_conv\.', '.conv_offset.'),
    (r'\.dcnv2\.', '.'),
    (r'\.conv\.norm\.', '.gn.'),
)
# what detectron2 checkpoints may hold besides weights
IGNORED = re.compile(r'pixel_(mean|std)')


class ConversionError(ValueError):
    """The checkpoint does not fit the model."""


class _WeightsUnpickler(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers and refuses everything else."""

    ALLOWED = re.compile(
        r'numpy\.(dtype|ndarray)|collections\.OrderedDict|_codecs\.encode'
        r'|numpy\._?core\.multiarray\.(_reconstruct|scalar)'
    )

    def find_class(self, module: str, name: str):
        if self.ALLOWED.fullmatch(f'{module}.{name}'):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'{module}.{name} is not part of a weight file')


def load_weights(path: Path, trust: bool) -> dict[str, Tensor]:
    """Weights by name of a ``.pth`` (torch.save) or ``.pkl`` (pickled numpy arrays).

    ``trust`` runs whatever code the file holds; else ConversionError where it can not be read
    safely, or holds no weights.
    """
    try:
        if path.suffix == '.pkl':
            with path.open('rb') as file:
                unpickler = pickle.Unpickler if trust else _WeightsUnpickler
                content = unpickler(file, encoding='latin1').load()
        else:
            if not trust:
                require_no_bomb(path)
            content = torch.load(path, map_location='cpu', weights_only=not trust)
    except Exception as error:  # bytes that are no pickle raise nearly anything
        raise ConversionError(
            f'{path} could not be read as a weight file: {error or type(error).__name__}\n'
            'If it is a complete checkpoint whose maker you trust, --trust loads it with pickle, '
            'which runs code from the file.'
        ) from error
    content = content if isinstance(content, dict) else {}
    content = content['model'] if isinstance(content.get('model'), dict) else content
    weights = {
        name: torch.as_tensor(value)
        for name, value in content.items()
        if isinstance(value, (Tensor, np.ndarray))
    }
    if not weights:
        raise ConversionError(
            f'{path} holds no weights, neither at its top level nor under "model"'
        )
    return weights


def rename(name: str) -> str:
    """Our name of a published weight; whether we have it is for the caller to see."""
    for pattern, ours in RULES:
        name = re.sub(pattern, ours, name)
    return name


def adapt(name: str, weight: Tensor) -> Tensor:
    """Layout differences: "any thing" goes last, embeddings are linear layers."""
    if '.region_out.' in name:
        return torch.cat([weight[1:], weight[:1]])
    if name.endswith('_embed.weight') and weight.dim() == 4:
        return weight.flatten(1)
    return weight


def convert(weights: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under the names of ours, of which ``expected`` is the state dict.

    ConversionError lists every name without a place, of another shape, or missing.
    """
    converted, problems = {}, []
    for name, weight in weights.items():
        ours = rename(name)
        if ours not in expected:
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
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    import mmpfcn  # noqa: F401 (registers)

    config = read_config('mmpfcn::r50_star_coco_3x' if star else 'mmpfcn::r50_coco')
    init_default_scope(config.default_scope)
    config.model.backbone.pop('init_cfg')
    return MODELS.build(config.model)


def main(argv: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    parser.add_argument('src', type=Path, help='published checkpoint, .pth or .pkl')
    parser.add_argument('dst', type=Path, help='file to write, .pth')
    parser.add_argument('--star', action='store_true', help='SRC is a star variant')
    parser.add_argument('--trust', action='store_true', help='load SRC with pickle: runs its code')
    args = parser.parse_args(argv)
    if not args.src.is_file():
        parser.error(f'SRC {args.src} is not a file')
    if args.dst.exists() and args.dst.samefile(args.src):
        parser.error(f'DST {args.dst} is SRC, which would be lost: choose another name')
    from mmdet.datasets import CocoPanopticDataset

    names = {key: list(value) for key, value in CocoPanopticDataset.METAINFO.items()}
    meta = dict(source=args.src.name, dataset_meta=names)
    try:
        require_writable(args.dst)
        weights = load_weights(args.src, args.trust)
        converted = convert(weights, build_model(args.star).state_dict())
        write_checkpoint(dict(state_dict=converted, meta=meta), args.dst)
    except ConversionError as error:
        hint = 'without' if args.star else 'with'
        print(
            f'{error}\nNothing was written. (Another variant? Try {hint} --star.)', file=sys.stderr
        )
        return 1
    except OSError as error:
        print(f'{args.dst} could not be written: {error}', file=sys.stderr)
        return 1
    print(f'{len(weights)} entries of {args.src} converted to {args.dst}')
    return 0
