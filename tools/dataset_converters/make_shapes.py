from mmpfcn.commands.convert.make_shapes import main

if __name__ == '__main__':
    main()
