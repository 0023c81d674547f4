from mmpfcn.commands.convert.cityscapes_panoptic import main

if __name__ == '__main__':
    main()
