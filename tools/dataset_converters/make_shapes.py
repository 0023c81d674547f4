"""Draw the embedded panoptic data set in COCO panoptic and COCO instance format."""

from mmpfcn.commands.convert.make_shapes import main

if __name__ == '__main__':
    main()
