from mmpfcn.commands.convert.polygons_panoptic import main

if __name__ == '__main__':
    main()
