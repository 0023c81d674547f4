"""Panoptic FCN outside PyTorch: export to ONNX, and inference with ONNX Runtime and numpy.

``onnx_inferencer.py`` and the files it imports need numpy, OpenCV and ONNX Runtime only, and import
nothing outside this folder: with ``mmpfcn/`` or a copy of this folder's parent on the path,
``from deployment.onnx_inferencer import OnnxInferencer`` works without torch. ``export.py`` and
``network.py`` need all of mmpfcn.
"""
