"""Compare the model with the data set before anything is computed."""

from mmdet.registry import HOOKS
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Stop at the start when the model's class counts are not the data set's.

    A wrong count trains with a fine loss and a PQ near 0. Data sets without ``thing_classes`` and
    ``stuff_classes`` in their metainfo and models without ``num_things_classes`` are not checked.
    """

    def before_train(self, runner: Runner) -> None:
        self._check(runner, runner.train_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        self._check(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        self._check(runner, runner.test_dataloader.dataset)

    @staticmethod
    def _check(runner: Runner, dataset: BaseDataset) -> None:
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
