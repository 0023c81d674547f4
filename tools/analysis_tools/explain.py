"""Why was an image segmented as it was? One page with everything between network and result."""

from mmpfcn.commands.explain.command import main

if __name__ == '__main__':
    main()
