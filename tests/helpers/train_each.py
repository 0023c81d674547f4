"""tools/train.py for one config after the other, in the processes of one torchrun.

    torchrun --nproc_per_node=2 tests/helpers/train_each.py FIRST.py 29501 SECOND.py 29502

Each has the work dir of its name. It saves the time to start the processes again. They meet at the
port beside the config: at torchrun's own, the second group finds addresses of the first, and may
wait for them forever.
"""

import os
import sys
from pathlib import Path

from mmpfcn.commands import train

os.environ['TORCHELASTIC_USE_AGENT_STORE'] = 'False'
for config, port in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    os.environ['MASTER_PORT'] = port
    sys.argv = ['train.py', config, f'--work-dir={Path(config).stem}', '--launcher=pytorch']
    train.main()
