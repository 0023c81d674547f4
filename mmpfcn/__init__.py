"""Panoptic FCN as components for MMDetection. Importing it registers everything."""

from .compat import check_versions

check_versions()

from .apis import PanopticInferencer, PanopticResult  # noqa: E402
from .datasets import (  # noqa: E402
    LoadImage,
    LoadPanopticGroundTruth,
    PackPanopticInputs,
    PanopticDataset,
    RandomCropWithInstance,
)
from .engine import (  # noqa: E402
    AccelerateInferenceHook,
    ClassCountHook,
    CompileNetworkHook,
    TrainingStatisticsHook,
    accelerate_inference,
)
from .evaluation import ObjectScoreMetric, PanopticQualityMetric, RegionSemSegMetric  # noqa: E402
from .models import (  # noqa: E402
    FeatureEncoder,
    InferenceSettings,
    KernelFusion,
    KernelGenerator,
    PanopticFCN,
    PanopticFCNAssigner,
    PanopticFCNFusionHead,
    PanopticFCNHead,
    PositionLoss,
    TrainingSettings,
    WeightedDiceLoss,
)
from .ops import ModulatedDeformConv  # noqa: E402
from .structures import ImageTargets, LevelMaps, LevelTargets, SegmentMasks  # noqa: E402
from .version import __version__  # noqa: E402
from .visualization import PanopticVisualizer  # noqa: E402

__all__ = [
    'AccelerateInferenceHook',
    'ClassCountHook',
    'CompileNetworkHook',
    'FeatureEncoder',
    'ImageTargets',
    'InferenceSettings',
    'KernelFusion',
    'KernelGenerator',
    'LevelMaps',
    'LevelTargets',
    'LoadImage',
    'LoadPanopticGroundTruth',
    'ModulatedDeformConv',
    'ObjectScoreMetric',
    'PackPanopticInputs',
    'PanopticDataset',
    'PanopticFCN',
    'PanopticFCNAssigner',
    'PanopticFCNFusionHead',
    'PanopticFCNHead',
    'PanopticInferencer',
    'PanopticQualityMetric',
    'PanopticResult',
    'PanopticVisualizer',
    'PositionLoss',
    'RandomCropWithInstance',
    'RegionSemSegMetric',
    'SegmentMasks',
    'TrainingSettings',
    'TrainingStatisticsHook',
    'WeightedDiceLoss',
    '__version__',
    'accelerate_inference',
]
