"""Look at a data set as the training sees it: its ground truth and what the network is taught."""

from mmpfcn.commands.browse.command import main

if __name__ == '__main__':
    main()
