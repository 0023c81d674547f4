"""Make a panoptic data set of images and PNGs of class ids, without instances."""

from mmpfcn.commands.convert.semantic_panoptic import main

if __name__ == '__main__':
    main()
