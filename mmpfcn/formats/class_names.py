"""Whether two data sets, or a data set and a checkpoint, mean the same classes by their labels."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from terminaltables import AsciiTable

MAX_ROWS = 20


def class_names(meta: Mapping) -> list[str] | None:
    """Names by label of a data set's metainfo or a checkpoint's ``dataset_meta``; None for none."""
    meta = {key.lower(): value for key, value in meta.items()}  # capitals in old checkpoints
    names = meta.get('classes')
    if not names and meta.get('thing_classes'):
        names = [*meta['thing_classes'], *(meta.get('stuff_classes') or ())]
    return [*map(str, names)] if names else None


def other_names_allowed(hooks: Iterable[Mapping] | None) -> bool:
    """Whether ``custom_hooks`` of a config has ``ClassCountHook(allow_other_names=True)``."""
    return any(
        hook.get('type') == 'ClassCountHook' and hook.get('allow_other_names', False)
        for hook in hooks or ()
    )


def compare_class_names(
    first: str, names: Sequence[str] | None, second: str, other: Sequence[str] | None
) -> None:
    """Names by label must be the same ones in the same order; where one is None nothing is said.

    ``first`` has ``names`` and ``second`` has ``other``: 'training data' and the like. Raises
    ValueError where they differ, with a table of the labels that do.
    """
    if names is None or other is None or [*names] == [*other]:
        return
    pairs = enumerate(zip_longest(names, other, fillvalue='(none)'))
    rows = [[label, *pair] for label, pair in pairs if pair[0] != pair[1]]
    table = AsciiTable([['label', first, second], *rows[:MAX_ROWS]]).table
    more = f'\nand {len(rows) - MAX_ROWS} more labels' if len(rows) > MAX_ROWS else ''
    raise ValueError(
        f'the classes of {first} and of {second} are not the same ones in the same order, so that '
        f'one class would be taken for another:\n{table}{more}\nGive both the same metainfo '
        '(thing_classes and stuff_classes, in one order). If only the names differ and the labels '
        'mean the same, set ClassCountHook(allow_other_names=True), in our configs by '
        '--cfg-options custom_hooks.0.allow_other_names=True'
    )
