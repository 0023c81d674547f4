from mmpfcn.commands.explain.command import main

if __name__ == '__main__':
    main()
