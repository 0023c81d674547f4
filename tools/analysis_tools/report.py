"""Report of a test run: where the model is good, what goes wrong, and how the training went."""

from mmpfcn.commands.report.command import main

if __name__ == '__main__':
    main()
