from mmpfcn.commands.convert.objects_panoptic import main

if __name__ == '__main__':
    main()
