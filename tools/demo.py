"""Panoptic segmentation of images, folders, videos or a camera."""

import sys

from mmpfcn.commands.predict.command import main

if __name__ == '__main__':
    sys.exit(main())
