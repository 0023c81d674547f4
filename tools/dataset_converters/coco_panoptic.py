from mmpfcn.commands.convert.coco_panoptic import main

if __name__ == '__main__':
    main()
