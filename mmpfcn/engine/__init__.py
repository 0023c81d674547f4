"""Hooks, and a wrapper of optimizers."""

from .accelerate_inference_hook import AccelerateInferenceHook, accelerate_inference
from .bfloat16_optim_wrapper import Bfloat16OptimWrapper
from .class_count_hook import ClassCountHook
from .compile_network_hook import CompileNetworkHook, compile_network
from .exact_resume_hook import ExactResumeHook
from .finite_hook import FiniteHook
from .panoptic_visualization_hook import PanopticVisualizationHook
from .training_statistics_hook import TrainingStatisticsHook, training_statistics
from .whole_checkpoint_hook import WholeCheckpointHook, newest_whole_checkpoint
