"""A web page on which one drops an image, picks a model and moves the thresholds."""

from mmpfcn.commands.web.command import main

if __name__ == '__main__':
    main()
