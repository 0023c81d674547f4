"""Hooks."""

from .accelerate_inference_hook import AccelerateInferenceHook, accelerate_inference
from .class_count_hook import ClassCountHook
from .compile_network_hook import CompileNetworkHook, compile_network

__all__ = [
    'AccelerateInferenceHook',
    'ClassCountHook',
    'CompileNetworkHook',
    'accelerate_inference',
    'compile_network',
]
