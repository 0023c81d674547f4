"""Make a panoptic data set of images, PNGs of class ids and PNGs of instance ids."""

from mmpfcn.commands.convert.id_maps_panoptic import main

if __name__ == '__main__':
    main()
