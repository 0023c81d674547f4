from mmpfcn.commands.export.command import main

if __name__ == '__main__':
    main()
