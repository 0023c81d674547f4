"""Train a model: python tools/train.py configs/panoptic_fcn/r50_coco.py"""

from mmpfcn.commands.train import main

if __name__ == '__main__':
    main()
