"""Compare the model with the data set before anything is computed."""

from mmdet.datasets import CocoPanopticDataset
from mmdet.evaluation import CocoMetric
from mmdet.registry import HOOKS
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Stop at the start when model, data set and metrics disagree about the classes.

    A wrong count or order trains with a fine loss and a PQ near 0. Compared are the counts of the
    model (``num_things_classes``, ``num_stuff_classes``) and of the data set's metainfo; that a
    ``CocoPanopticDataset`` gives the first labels to things (in its first 100 images); and that
    ``CocoMetric``, which takes the order of classes from its own JSON, has the data set's. What
    lacks these is not checked.
    """

    def before_train(self, runner: Runner) -> None:
        check_classes(runner, runner.train_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        check_classes(runner, runner.val_dataloader.dataset)
        check_metrics(runner.val_evaluator, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        check_classes(runner, runner.test_dataloader.dataset)
        check_metrics(runner.test_evaluator, runner.test_dataloader.dataset)


def check_classes(runner: Runner, dataset: BaseDataset) -> None:
    """Raise ValueError unless the model has the classes of the data set."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    for key, count in (
        ('thing_classes', 'num_things_classes'),
        ('stuff_classes', 'num_stuff_classes'),
    ):
        names, has = dataset.metainfo.get(key), getattr(model, count, None)
        if names is None or has is None or has == len(names):
            continue
        raise ValueError(
            f'the model has {count}={has}, but the data set has {len(names)} {key}: set '
            f'model.panoptic_head.{count}={len(names)} and '
            f'model.panoptic_fusion_head.{count}={len(names)}, or give the data set the right '
            f'metainfo (classes, thing_classes, stuff_classes)'
        )
    if isinstance(dataset, CocoPanopticDataset):
        _check_things_first(dataset)


def _check_things_first(dataset: CocoPanopticDataset, num_images: int = 100) -> None:
    """Labels of the objects in the first images: the data set no longer knows its categories."""
    num_things = len(dataset.metainfo['thing_classes'])
    for i in range(min(num_images, len(dataset))):
        record = dataset.get_data_info(i)
        labels = [instance['bbox_label'] for instance in record['instances']]
        if labels and max(labels) >= num_things:
            raise ValueError(
                f'CocoPanopticDataset takes labels from the order of categories in '
                f'{dataset.ann_file}, so that an object of {record["img_path"]} has the label '
                f'{max(labels)}, but labels of things are below {num_things}: use '
                'type="PanopticDataset", which puts things first'
            )


def check_metrics(evaluator: Evaluator, dataset: BaseDataset) -> None:
    """Raise ValueError if a ``CocoMetric`` would take one class for another."""
    things = dataset.metainfo.get('thing_classes')
    for metric in evaluator.metrics:
        coco = getattr(metric, '_coco_api', None)
        if things is None or coco is None or not isinstance(metric, CocoMetric):
            continue
        names = [coco.cats[id_]['name'] for id_ in coco.get_cat_ids(cat_names=[*things])]
        if names != [*things]:
            raise ValueError(
                f'the JSON of CocoMetric has the thing classes {names}, in this order, but the '
                f'data set has {[*things]}: list the same categories in the same order in it, or '
                'leave CocoMetric out of the evaluator'
            )
