"""How many cases the properties of test_fuzz/ are tried with, and strategies that they share."""

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get('FUZZ_EXAMPLES', 0))
"""Set by fuzz.py; 0 is the sample of ``make test``, the same in every run."""

cases = settings(
    max_examples=EXAMPLES or 30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # making a failure smaller takes minutes
    suppress_health_check=list(HealthCheck),
)

seeds = st.integers(0, 2**32 - 1)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([0, 1, 7, 10**9, 2**24, 'id', 'car']),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(['id', 'name', 'file_name', 'x']), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip

actions = st.sampled_from(['change', 'remove', 'insert', 'cut'])
accidents = st.tuples(actions, st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8))
edits = st.lists(accidents, max_size=6)
"""For :func:`mutated`: what is done, where in the file (a share of its length), and new bytes."""


def mutated(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    """A file after some accidents."""
    for action, place, new in edits:
        at = int(place * len(content))
        if action == 'change':
            content = content[:at] + new + content[at + len(new) :]
        elif action == 'remove':
            content = content[:at] + content[at + len(new) :]
        elif action == 'insert':
            content = content[:at] + new + content[at:]
        else:
            content = content[: at + 1]
    return content


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Paths to everything inside a JSON document."""
    if not isinstance(value, dict | list):
        return [path]
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    inner = [place for key, part in parts for place in places(part, (*path, key))]
    return [path, *inner] if path else inner


def change(document: dict, path: tuple, action: str, value: object) -> None:
    *above, last = path
    try:
        for key in above:
            document = document[key]
        if action == 'replace':
            document[last] = value
        elif action == 'remove':
            del document[last]
        elif action == 'repeat':
            document.append(document[last])
    except (KeyError, IndexError, TypeError, AttributeError):
        pass  # an earlier change removed the place
