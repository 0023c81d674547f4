"""Panoptic FCN outside PyTorch: inference with ONNX Runtime and numpy.

Needs numpy, OpenCV and ONNX Runtime only, and imports nothing but :mod:`mmpfcn.formats`: without
mmengine, ``import mmpfcn`` registers nothing, and ``from mmpfcn.deployment.onnx_inferencer import
OnnxInferencer`` works.
"""
