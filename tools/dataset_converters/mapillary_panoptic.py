from mmpfcn.commands.convert.mapillary_panoptic import main

if __name__ == '__main__':
    main()
