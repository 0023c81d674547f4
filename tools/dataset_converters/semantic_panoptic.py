from mmpfcn.commands.convert.semantic_panoptic import main

if __name__ == '__main__':
    main()
