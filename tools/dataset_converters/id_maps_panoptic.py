from mmpfcn.commands.convert.id_maps_panoptic import main

if __name__ == '__main__':
    main()
