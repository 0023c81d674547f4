"""Compare the model with the data set before anything is computed."""

from typing import Any

from mmdet.datasets import CocoPanopticDataset
from mmdet.evaluation import CocoMetric, CocoPanopticMetric
from mmdet.registry import HOOKS
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..datasets.inner_datasets import inner_datasets, metainfo_of, wrapped
from ..datasets.load_image import pixel_rule
from ..datasets.panoptic_dataset import check_transforms
from ..formats.class_names import class_names, compare_class_names
from ..models.input_channels import require_input


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Stop at the start when model, data set and metrics disagree about the classes.

    A wrong count or order trains with a fine loss and a PQ near 0. Compared are the counts of the
    model (``num_things_classes``, ``num_stuff_classes``) and of the data set's metainfo; the names
    of the classes, in their order, of training and validation data, and of the data and the
    checkpoint that is tested, validated or resumed (a training that starts from weights,
    ``load_from``, may have classes of its own); that a ``CocoPanopticDataset`` gives the first
    labels to things (in its first 100 images); and that ``CocoMetric``, which takes the order of
    classes from its own JSON, has the data set's, and an id for each image of joined data sets.
    What lacks these is not checked. The images' channels are compared with the model's, and how
    training and validation images are read.

    Args:
        allow_other_names: do not compare names. For labels that mean the same under other names.
    """

    def __init__(self, allow_other_names: bool = False) -> None:
        self.allow_other_names = allow_other_names
        self._known: tuple[str, list[str] | None] = ('', None)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
        self._known = 'checkpoint', class_names(meta)

    def before_train(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        check_transforms(dataset)
        check_classes(runner, dataset)
        if runner._resume:
            self._compare('training data', dataset)
        self._known = 'training data', class_names(metainfo_of(dataset))
        if runner.val_loop is not None:
            self._compare('validation data', runner.val_dataloader.dataset)
            compare_rules(dataset, runner.val_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        self._check('validation data', runner, runner.val_dataloader, runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        self._check('test data', runner, runner.test_dataloader, runner.test_evaluator)

    def _check(self, name: str, runner: Runner, loader: DataLoader, evaluator: Evaluator) -> None:
        check_classes(runner, loader.dataset)
        self._compare(name, loader.dataset)
        check_metrics(evaluator, loader.dataset)

    def _compare(self, name: str, dataset: BaseDataset) -> None:
        if not self.allow_other_names:
            compare_class_names(*self._known, name, class_names(metainfo_of(dataset)))


def check_classes(runner: Runner, dataset: BaseDataset) -> None:
    """Raise ValueError unless the model has the classes and channels of the data set."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    metainfo = metainfo_of(dataset)
    for inner in inner_datasets(dataset):
        require_input(model, pixel_rule(inner))
    counts = dict(thing_classes='num_things_classes', stuff_classes='num_stuff_classes')
    for key, count in counts.items():
        names, has = metainfo.get(key), getattr(model, count, None)
        if names is None or has is None or has == len(names):
            continue
        raise ValueError(
            f'the model has {count}={has}, but the data set has {len(names)} {key}: set '
            f'model.panoptic_head.{count}={len(names)} and '
            f'model.panoptic_fusion_head.{count}={len(names)}, or give the data set the right '
            f'metainfo (classes, thing_classes, stuff_classes)'
        )
    for inner in inner_datasets(dataset):
        if isinstance(inner, CocoPanopticDataset):
            _check_things_first(inner)


def compare_rules(train: BaseDataset, val: BaseDataset) -> None:
    """Raise ValueError where the images of training and validation are read differently."""
    known = [pixel_rule(inner) for inner in inner_datasets(train)]
    other = [rule for rule in map(pixel_rule, inner_datasets(val)) if rule not in known]
    if other:
        raise ValueError(
            f'images are read differently, {known[0]} in training and {other[0]} in validation: '
            'give LoadImage the same settings in both pipelines'
        )


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
    """Raise ValueError if a ``CocoMetric`` would take one class, or one image, for another."""
    things = metainfo_of(dataset).get('thing_classes')
    for metric in evaluator.metrics:
        coco = getattr(metric, '_coco_api', None)
        if isinstance(metric, CocoMetric | CocoPanopticMetric) and wrapped(dataset):
            _check_image_ids(metric, coco, dataset)
        if things is None or coco is None or not isinstance(metric, CocoMetric):
            continue
        names = [coco.cats[id_]['name'] for id_ in coco.get_cat_ids(cat_names=[*things])]
        if names != [*things]:
            raise ValueError(
                f'the JSON of CocoMetric has the thing classes {names}, in this order, but the '
                f'data set has {[*things]}: list the same categories in the same order in it, or '
                'leave CocoMetric out of the evaluator'
            )


def _check_image_ids(metric: BaseMetric, coco: Any, dataset: BaseDataset) -> None:
    """For a metric that knows images by their ids alone, which several files may have."""
    name, paths = type(metric).__name__, {}
    known = None if coco is None else set(coco.get_img_ids())
    for i in range(len(dataset)):
        record = dataset.get_data_info(i)
        id_, path = record['img_id'], record['img_path']
        if id_ in paths:
            wrong = f'{paths[id_]} and {path} have the same id {id_!r}'
        elif known is not None and id_ not in known:
            wrong = f'its JSON lacks the id {id_!r} of {path}'
        else:
            paths[id_] = path
            continue
        raise ValueError(
            f'{name} knows images by their ids, but {wrong}: join data sets whose images have ids '
            f'of their own and give {name} a JSON of all, or leave it out of the evaluator'
        )
