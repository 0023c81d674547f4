"""Prepare Mapillary Vistas, as it is downloaded, for training: v1.2 and v2.0, what is there."""

from mmpfcn.commands.convert.mapillary_panoptic import main

if __name__ == '__main__':
    main()
