"""Try every property of test_fuzz/ with many random cases, and count what fails.

    python tests/fuzz.py --examples 10000

A failure is printed with the case that shows it: make that case a test.
"""

import argparse
import importlib
import os
import sys
import time
import traceback
from pathlib import Path

from helpers.oracle import import_file

TESTS = Path(__file__).resolve().parent


def properties(names: list[str]) -> dict:
    """Those of test_fuzz/ whose name holds one of the given words; all without words."""
    found = {}
    for file in sorted((TESTS / 'test_fuzz').glob('test_*.py')):
        module = import_file(file)
        found.update({k: v for k, v in vars(module).items() if hasattr(v, 'hypothesis')})
    return {k: v for k, v in found.items() if not names or any(name in k for name in names)}


def attempt(test) -> tuple[int, float, bool]:
    """Cases tried, seconds, and whether one failed."""
    count, inner, start = 0, test.hypothesis.inner_test, time.perf_counter()

    def counted(*arguments, **named):
        nonlocal count
        count += 1
        return inner(*arguments, **named)

    test.hypothesis.inner_test = counted
    try:
        test()
    except Exception:
        traceback.print_exc()
        return count, time.perf_counter() - start, True
    return count, time.perf_counter() - start, False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--examples', type=int, default=10000, help='cases of each property')
    parser.add_argument('names', nargs='*', help='parts of the names of properties; default: all')
    args = parser.parse_args()
    os.environ['FUZZ_EXAMPLES'] = str(args.examples)
    importlib.import_module('conftest')  # registers the models
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    failures = 0
    print('| property | cases | seconds | failed |\n|---|---|---|---|', flush=True)
    for name, test in properties(args.names).items():
        count, seconds, failed = attempt(test)
        failures += failed
        shown = name.removeprefix('test_').replace('_', ' ')
        print(f'| {shown} | {count} | {seconds:.0f} | {"yes" if failed else "no"} |', flush=True)
    return int(failures > 0)


if __name__ == '__main__':
    sys.exit(main())
