"""The names of a model's classes."""

import warnings
from collections.abc import Mapping

from mmdet.datasets import CocoPanopticDataset
from mmdet.registry import DATASETS
from mmengine.config import Config

from ..datasets.inner_datasets import inner_datasets
from ..formats.class_names import class_names, compare_class_names, other_names_allowed


def find_dataset_meta(
    checkpoint_meta: Mapping, config: Config, num_things: int, num_stuff: int
) -> dict:
    """Classes, and palette and category ids where known.

    They come from the checkpoint's ``meta``, or else from the config's test data set, where it has
    one, or else they are COCO's for a model with COCO's counts, or else just numbers; the latter
    two with a warning.

    Raises:
        ValueError: the checkpoint has the names of another number of classes, or not those that
            the ``metainfo`` of the config's test data set lists.
    """
    meta = {key.lower(): value for key, value in checkpoint_meta.get('dataset_meta', {}).items()}
    if not meta.get('classes'):
        meta = _from_data_set(config) or _made_up(num_things, num_stuff)
    classes = list(meta['classes'])
    if len(classes) != num_things + num_stuff:
        raise ValueError(
            f'the model has {num_things} thing and {num_stuff} stuff classes, but its data set has '
            f'{len(classes)} classes: take the config and the checkpoint of one training'
        )
    if not other_names_allowed(config.get('custom_hooks')):
        for dataset in _test_data(config):
            stated = dataset.get('metainfo')
            other = class_names(stated) if isinstance(stated, Mapping) else None
            compare_class_names('checkpoint', classes, "config's test data", other)
    meta.setdefault('thing_classes', classes[:num_things])
    meta.setdefault('stuff_classes', classes[num_things:])
    return meta


def _from_data_set(config: Config) -> dict | None:
    for dataset in _test_data(config):
        try:
            dataset = DATASETS.build({**dataset, 'pipeline': [], 'serialize_data': False})
        except (OSError, ValueError):
            continue  # the data set is not on this machine
        return dict(dataset.metainfo)
    return None


def _test_data(config: Config) -> list[Mapping]:
    """The data sets of the config's test; those that are joined have the same classes."""
    dataset = (config.get('test_dataloader') or {}).get('dataset')
    return [] if dataset is None else list(inner_datasets(dataset))


def _made_up(num_things: int, num_stuff: int) -> dict:
    coco = CocoPanopticDataset.METAINFO
    if (num_things, num_stuff) == (len(coco['thing_classes']), len(coco['stuff_classes'])):
        warnings.warn(
            "the checkpoint does not name its classes: taking COCO's, as their number is the same",
            stacklevel=2,
        )
        return {key: list(value) for key, value in coco.items()}
    warnings.warn('the checkpoint does not name its classes: numbering them', stacklevel=2)
    names = [f'thing {i}' for i in range(num_things)] + [f'stuff {i}' for i in range(num_stuff)]
    return dict(classes=names)
