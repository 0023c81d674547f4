"""Test a model: python tools/test.py configs/panoptic_fcn/r50_coco.py CHECKPOINT"""

from mmpfcn.commands.test import main

if __name__ == '__main__':
    main()
