"""Data sets inside the wrappers of mmengine and mmdet, in a config or built."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any


def wrapped(dataset: Any) -> list:
    """What a wrapper holds: the data sets that it joins, repeats or mixes; [] for a data set.

    ``ConcatDataset`` has them as ``datasets``, ``RepeatDataset``, ``ClassBalancedDataset``,
    ``MultiImageMixDataset`` and PyTorch's ``Subset`` one as ``dataset``: keys in a config,
    attributes of what is built from it.
    """
    has = dataset if isinstance(dataset, Mapping) else getattr(dataset, '__dict__', {})
    joined, one = has.get('datasets'), has.get('dataset')
    return list(joined or ()) if one is None else [one]


def inner_datasets(dataset: Any) -> Iterator[Any]:
    """The data sets themselves, in their order: inside wrappers at any depth, or the given one."""
    inside = wrapped(dataset)
    if not inside:
        yield dataset
    for inner in inside:
        yield from inner_datasets(inner)


def dataset_of(dataset: Any, path: str) -> Any:
    """The one of the built inner data sets that an image belongs to: by its folder of images."""

    def shared(inner: Any) -> int:
        folder = str((getattr(inner, 'data_prefix', None) or {}).get('img') or '')
        return len(folder) if str(path).startswith(folder) else -1

    return max(inner_datasets(dataset), key=shared)


def metainfo_of(dataset: Any) -> dict:
    """``metainfo`` of a built data set, the same of all that are joined.

    Raises ValueError where they differ: mmdet's ``ConcatDataset`` makes a list of them then, of
    which no metric knows what to do.
    """
    metainfo = dataset.metainfo
    if isinstance(metainfo, dict):
        return metainfo
    (first, known), *others = ((inner, metainfo_of(inner)) for inner in wrapped(dataset))
    for inner, metainfo in others:
        differ = [key for key in {**known, **metainfo} if known.get(key) != metainfo.get(key)]
        if not differ:
            continue
        key = next((key for key in differ if key.endswith('classes')), differ[0])
        one, other = _different(known.get(key), metainfo.get(key))
        change = (
            'give each the same metainfo=dict(thing_classes=(...), stuff_classes=(...))'
            if key.endswith('classes')
            else f'set ignore_keys={differ} of ConcatDataset, and those of the first count'
        )
        raise ValueError(
            f'data sets that are joined differ in {key}: {one!r} in {_name(first)}, {other!r} in '
            f'{_name(inner)}: {change}'
        )
    return known


def _name(dataset: Any) -> str:
    return getattr(next(inner_datasets(dataset)), 'ann_file', type(dataset).__name__)


def _different(one: Any, two: Any) -> tuple[Any, Any]:
    """Where two lists differ, or the values themselves."""
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return next(pair for pair in zip_longest(one, two) if pair[0] != pair[1])
    return one, two
