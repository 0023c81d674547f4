"""Make a panoptic data set of images and polygons that were drawn with LabelMe or VIA 2."""

from mmpfcn.commands.convert.polygons_panoptic import main

if __name__ == '__main__':
    main()
