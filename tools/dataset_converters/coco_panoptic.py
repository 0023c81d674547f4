"""Make a panoptic data set of COCO instances, with or without annotations of stuff."""

from mmpfcn.commands.convert.coco_panoptic import main

if __name__ == '__main__':
    main()
