"""Panoptic FCN as components for MMDetection. Importing it registers everything.

Without mmengine there is nothing to register into, and only :mod:`mmpfcn.formats`,
:mod:`mmpfcn.deployment` and some commands work, which need no torch. Those that
:func:`runs_without_torch` knows don't wait for it either, which is most of their time.
"""

import os
import sys
from pathlib import Path

from .compat import check_versions, declare_torchvision_operators, import_mmdet, is_importable
from .version import __version__

# Threads of torch's OpenMP that wait for each other spin, and where another program uses a core a
# step takes many times as long. After a while they shall sleep. It is read when torch is loaded.
if 'OMP_WAIT_POLICY' not in os.environ:
    os.environ.setdefault('GOMP_SPINCOUNT', '1000')


def runs_without_torch() -> bool:
    """Whether Python was started to list commands, convert data, or predict by an ONNX file."""
    program, *words = sys.orig_argv[-len(sys.argv) :] or ['']
    script = Path(program)
    if script.parent.name == 'dataset_converters':  # of tools/: each is named as what it calls
        return Path(__file__).with_name('commands').joinpath('convert', script.name).is_file()
    if script.name.removesuffix('.exe') != 'mmpfcn':
        return False
    if words[:1] == ['predict']:
        return any(word.endswith('.onnx') for word in words)
    of_checkpoints = (['efficientnet_lite'], ['detectron2'])
    return words[:1] in ([], ['-h'], ['--help'], ['convert']) and words[1:2] not in of_checkpoints


if is_importable('mmengine') and not runs_without_torch():
    check_versions()
    declare_torchvision_operators()
    import_mmdet()

    from .apis import PanopticInferencer, PanopticResult
    from .datasets import (
        LoadImage,
        LoadPanopticGroundTruth,
        PackPanopticInputs,
        PaintThings,
        PairedCrop,
        PairedSampler,
        PanopticDataset,
        RandomCropWithInstance,
        ShortSideResize,
    )
    from .engine import (
        AccelerateInferenceHook,
        ClassCountHook,
        CompileNetworkHook,
        PanopticVisualizationHook,
        TrainingStatisticsHook,
        accelerate_inference,
    )
    from .evaluation import ObjectScoreMetric, PanopticQualityMetric, RegionSemSegMetric
    from .models import (
        ChannelDataPreprocessor,
        ClassPath,
        FeatureEncoder,
        InferenceSettings,
        KernelFusion,
        KernelGenerator,
        KernelUpdate,
        PanopticFCN,
        PanopticFCNAssigner,
        PanopticFCNFusionHead,
        PanopticFCNHead,
        RelativeFeatureEncoder,
        RelativeKernelGenerator,
        TimmBackbone,
        TrainingSettings,
        WeightedDiceLoss,
    )
    from .ops import ModulatedDeformConv
    from .structures import ImageTargets, LevelMaps, LevelTargets, SegmentMasks
    from .visualization import PanopticVisualizer
else:

    def __getattr__(name: str) -> object:
        """Say what to install where something of the toolkit is asked for."""
        if not name.startswith('__') and not is_importable(f'{__name__}.{name}'):
            check_versions()
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


__all__ = [
    'AccelerateInferenceHook', 'ChannelDataPreprocessor', 'ClassCountHook', 'ClassPath',
    'CompileNetworkHook', 'FeatureEncoder',
    'ImageTargets', 'InferenceSettings', 'KernelFusion', 'KernelGenerator', 'KernelUpdate',
    'LevelMaps', 'LevelTargets', 'LoadImage', 'LoadPanopticGroundTruth', 'ModulatedDeformConv',
    'ObjectScoreMetric', 'PackPanopticInputs', 'PaintThings', 'PairedCrop', 'PairedSampler',
    'PanopticDataset', 'PanopticFCN',
    'PanopticFCNAssigner', 'PanopticFCNFusionHead', 'PanopticFCNHead', 'PanopticInferencer',
    'PanopticQualityMetric', 'PanopticResult', 'PanopticVisualizationHook',
    'PanopticVisualizer', 'RandomCropWithInstance',
    'RegionSemSegMetric', 'RelativeFeatureEncoder', 'RelativeKernelGenerator', 'SegmentMasks',
    'ShortSideResize',
    'TimmBackbone', 'TrainingSettings', 'TrainingStatisticsHook', 'WeightedDiceLoss', '__version__',
    'accelerate_inference',
]  # fmt: skip
