"""Try a property of test_fuzz/ with inputs that reach new lines of the code, with atheris.

    pip install atheris
    python tests/fuzz_guided.py --seconds 600 test_checkpoint

Lines of mmpfcn count. A failure ends it, with the case that shows it.
"""

import argparse
import sys
import tempfile

import atheris


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=int, default=600)
    parser.add_argument('name', help='of the property, such as test_checkpoint')
    args = parser.parse_args()
    with atheris.instrument_imports(include=['mmpfcn']):
        from fuzz import properties

        test = properties([args.name])[args.name]
    options = [f'-max_total_time={args.seconds}', '-max_len=4096', '-print_final_stats=1']
    options.append(f'-artifact_prefix={tempfile.gettempdir()}/')
    atheris.Setup([sys.argv[0], *options], test.hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
