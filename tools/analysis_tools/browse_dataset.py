from mmpfcn.commands.browse.command import main

if __name__ == '__main__':
    main()
