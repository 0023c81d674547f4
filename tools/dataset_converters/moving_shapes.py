from mmpfcn.commands.convert.moving_shapes import main

if __name__ == '__main__':
    main()
