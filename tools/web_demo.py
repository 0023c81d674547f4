from mmpfcn.commands.web.command import main

if __name__ == '__main__':
    main()
