"""Makes the small oracle of tests/data/oracle from the large one.

    python tests/record_small_oracle.py /path/to/oracle

One case of inference, one of training, the targets, the units, and what they need. Maps are stored
subsampled, as in the large one but more so: every ``step``-th value. Losses, norms of gradients,
kernels, scores, masks and segments stay as they are.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent / 'data' / 'oracle'
WHOLE = 'shapes_r50 shapes_star_r50 weights_crc optimizer_params_r50 solver_r50_1x init_stats_r50'.split()
CASES = ('infer_star_img1', 'train_r50_vanish', 'units', 'gt_synth')
INPUTS = ('img1_', 'vanish_')
SUBSAMPLED = ('act.', 'pred_', 'encode_feat', 'sem_seg', 'thing.mask_logits', 'grad.')
"""Compared by ``oracle.assert_stored``, which takes any step."""
VALUES = 512
"""As many of a subsampled array are kept, or up to twice that."""
RECALCULATED = ('_f64', 'noise')
"""Endings of facts that no test reads."""


def subsampled(array: np.ndarray, stats: dict) -> np.ndarray:
    """Every n-th of the values that are there; ``stats`` then has the step between them."""
    values = array.reshape(-1)
    skip = max(len(values) // VALUES, 1)
    if skip == 1:
        return array
    stats['step'] *= skip
    return values[::skip]


def record_case(source: Path, name: str) -> None:
    facts = json.loads((source / f'{name}.json').read_text())
    with np.load(source / f'{name}.npz') as arrays:
        small = {
            key: subsampled(array, facts['stats'][key]) if key.startswith(SUBSAMPLED) else array
            for key, array in arrays.items()
        }
    np.savez_compressed(OUT / f'{name}.npz', **small)
    facts = {key: value for key, value in facts.items() if not key.endswith(RECALCULATED)}
    write_json(name, facts)


def write_json(name: str, content: dict) -> None:
    (OUT / f'{name}.json').write_text(json.dumps(content, separators=(',', ':')) + '\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='folder of the large oracle')
    source = parser.parse_args().source
    OUT.mkdir(parents=True, exist_ok=True)
    for name in CASES:
        record_case(source, name)
    with np.load(source / 'inputs.npz') as inputs:
        kept = {key: array for key, array in inputs.items() if key.startswith(INPUTS)}
    np.savez_compressed(OUT / 'inputs.npz', **kept)
    for name in WHOLE:
        write_json(name, json.loads((source / f'{name}.json').read_text()))
    shutil.copyfile(source / 'make_weights.py', OUT / 'make_weights.py')
    sizes = {path.name: path.stat().st_size for path in OUT.iterdir()}
    print(f'{sum(sizes.values())} bytes, the largest {max(sizes, key=sizes.get)}')


if __name__ == '__main__':
    main()
