"""What the network is taught, and what its kernels look like, in the log of a run."""

import torch
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner
from torch import Tensor, nn

from ..models.panoptic_fcn_head import PanopticFCNHead
from ..models.sampling import TrainingKernels
from ..structures import ImageTargets


@HOOKS.register_module()
class TrainingStatisticsHook(Hook):
    """Log :func:`training_statistics` of the steps that ``LoggerHook`` logs, and of no other.

    They are of the images of the first process in this one step, go where the losses go (log,
    ``scalars.json``, TensorBoard), and change nothing in the training. The model may be any with a
    :class:`PanopticFCNHead` somewhere; others are left alone.
    """

    def __init__(self) -> None:
        self.watch: Watch | None = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        logged = any(
            isinstance(hook, LoggerHook) and self.every_n_inner_iters(batch_idx, hook.interval)
            for hook in runner.hooks
        )
        if not (logged and is_main_process()):
            return
        heads = (part for part in runner.model.modules() if isinstance(part, PanopticFCNHead))
        if (head := next(heads, None)) is not None:
            self.watch = Watch(head)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        if self.watch is None:
            return
        for name, value in self.watch.finish().items():
            runner.message_hub.update_scalar(f'train/{name}', value)
        self.watch = None


class Watch:
    """Collects what a head trains on, from now to :meth:`finish`."""

    def __init__(self, head: PanopticFCNHead) -> None:
        self.head = head
        self.targets: list[ImageTargets] = []
        self.kernels: list[TrainingKernels] = []
        head.observer = self._add

    def _add(self, targets: list[ImageTargets], kernels: list[TrainingKernels]) -> None:
        self.targets += targets  # a model of one's own may have several batches in a step
        self.kernels += [TrainingKernels(*(x.detach() for x in image)) for image in kernels]

    def finish(self) -> dict[str, float]:
        """:func:`training_statistics`; nothing of a head that trained in another way."""
        self.head.observer = None
        if not self.targets:
            return {}
        return training_statistics(self.targets, self.kernels, self.head.num_stuff_classes)


@torch.no_grad()
def training_statistics(
    targets: list[ImageTargets], kernels: list[TrainingKernels], num_stuff_classes: int
) -> dict[str, float]:
    """Numbers that tell early when a training goes wrong, of one batch, with S stuff classes.

    Returns:
        By name:

        - ``things_p3``, ...: (object, level) pairs; ``stuff_p3``, ...: (stuff class, level) pairs,
          of all images
        - ``positives_per_object``: guided cells of all levels, mean over objects
        - ``unguided_objects``: share of objects without any, be it that no level takes their size
        - ``positive_score``: mean centre probability of the guided cells
        - ``thing_kernel_norm``, ``stuff_kernel_norm``: mean length of the embedded kernels
        - ``thing_cosine_same``, ``thing_cosine_other``: mean cosine of two kernels of one object,
          and of two objects of an image; ``stuff_cosine_other`` of two region classes

        NaN is the mean of nothing.
    """
    things, scores, stuff = zip(*kernels, strict=True)
    num_objects = sum(image.num_objects for image in targets)
    values = {}
    for i, level in enumerate(zip(*(image.levels for image in targets), strict=True), start=3):
        values[f'things_p{i}'] = sum(len(target.objects) for target in level)
        values[f'stuff_p{i}'] = sum(
            (image.region_channels[target.region_rows] < num_stuff_classes).sum()
            for image, target in zip(targets, level, strict=True)
        )
    objects = [image.object_rows for image in targets]
    regions = [image.region_rows for image in targets]
    guided = [x > 0 for x in scores]
    with_cells = sum(len(o[g.any(1)].unique()) for o, g in zip(objects, guided, strict=True))
    num_guided = torch.cat(guided).sum()
    values['positives_per_object'] = num_guided / num_objects if num_objects else torch.nan
    values['unguided_objects'] = 1 - with_cells / num_objects if num_objects else torch.nan
    values['positive_score'] = torch.cat(scores).sum() / num_guided
    things = [x[g].float() for x, g in zip(things, guided, strict=True)]
    stuff = [x.float() for x in stuff]
    objects = [o.repeat_interleave(g.sum(1)) for o, g in zip(objects, guided, strict=True)]
    values['thing_kernel_norm'] = torch.cat(things).norm(dim=1).mean()
    values['stuff_kernel_norm'] = torch.cat(stuff).norm(dim=1).mean()
    values['thing_cosine_same'], values['thing_cosine_other'] = mean_cosines(things, objects)
    values['stuff_cosine_other'] = mean_cosines(stuff, regions)[1]
    # one wait for the device
    numbers = torch.stack([torch.as_tensor(x, device=scores[0].device) for x in values.values()])
    return dict(zip(values, numbers.tolist(), strict=True))


def mean_cosines(kernels: list[Tensor], groups: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean cosine of two kernels of the same group, and of two groups of an image.

    Per image there are (n, E) kernels and the group (n,) of each.
    """
    sums = kernels[0].new_zeros(2, 2)  # same, other x cosines, pairs
    for vectors, group in zip(kernels, groups, strict=True):
        if not len(group):
            continue
        vectors = nn.functional.normalize(vectors)
        same = group[:, None] == group
        itself = torch.eye(len(group), dtype=torch.bool, device=group.device)
        cosines = vectors @ vectors.T
        for row, pairs in zip(sums, (same & ~itself, ~same), strict=True):
            row += torch.stack([cosines[pairs].sum(), pairs.sum()])
    same, other = sums[:, 0] / sums[:, 1]
    return same, other
