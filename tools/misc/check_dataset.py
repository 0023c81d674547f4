"""Check a data set in COCO's panoptic format, and count what it holds."""

from mmpfcn.commands.check.command import main

if __name__ == '__main__':
    raise SystemExit(main())
