"""The model: every class registers itself in mmdet's registries when it is imported."""

from ..ops.deform_conv import ModulatedDeformConv
from .assigner import PanopticFCNAssigner
from .class_path import ClassPath
from .feature_encoder import FeatureEncoder
from .fusion_head import PanopticFCNFusionHead
from .input_channels import ChannelDataPreprocessor
from .kernel_fusion import KernelFusion
from .kernel_generator import KernelGenerator
from .kernel_update import KernelUpdate
from .losses import WeightedDiceLoss
from .panoptic_fcn import PanopticFCN
from .panoptic_fcn_head import PanopticFCNHead
from .relative_position import RelativeFeatureEncoder, RelativeKernelGenerator
from .settings import InferenceSettings, TrainingSettings
from .timm_backbone import TimmBackbone

__all__ = [
    'ChannelDataPreprocessor',
    'ClassPath',
    'FeatureEncoder',
    'KernelFusion',
    'KernelGenerator',
    'KernelUpdate',
    'ModulatedDeformConv',
    'PanopticFCN',
    'PanopticFCNAssigner',
    'PanopticFCNFusionHead',
    'PanopticFCNHead',
    'InferenceSettings',
    'RelativeFeatureEncoder',
    'RelativeKernelGenerator',
    'TimmBackbone',
    'TrainingSettings',
    'WeightedDiceLoss',
]
