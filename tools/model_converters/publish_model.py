"""Make a checkpoint fit for publishing: weights and what inference needs, nothing else."""

import sys

from mmpfcn.commands.publish_model import main

if __name__ == '__main__':
    sys.exit(main())
