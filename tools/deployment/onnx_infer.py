"""Panoptic segmentation with an exported model; needs numpy, OpenCV and ONNX Runtime, no torch."""

from mmpfcn.commands.onnx_infer import main

if __name__ == '__main__':
    raise SystemExit(main())
