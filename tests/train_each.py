"""tools/train.py for one config after the other, in the processes of one torchrun.

    torchrun --nproc_per_node=2 tests/train_each.py FIRST.py SECOND.py

Each has the work dir of its name. It saves the time to start the processes again.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'tools'))
import train  # noqa: E402

for config in sys.argv[1:]:
    sys.argv = ['train.py', config, f'--work-dir={Path(config).stem}', '--launcher=pytorch']
    train.main()
