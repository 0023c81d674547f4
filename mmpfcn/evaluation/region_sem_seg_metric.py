"""mIoU as COCO panoptic papers report it."""

from collections.abc import Sequence

from mmdet.evaluation.metrics import SemSegMetric
from mmdet.registry import METRICS
from torch import Tensor


@METRICS.register_module()
class RegionSemSegMetric(SemSegMetric):
    """mmdet's :class:`SemSegMetric` over the classes that a region head tells apart.

    The semantic map of Panoptic FCN and Panoptic FPN knows the stuff classes and "any thing", so
    their mIoU, the paper's too, is over S + 1 classes: all things are one class, the last one.
    Predictions are labels of the data set; T + S means "any thing" or nothing. The ground truth's
    void, 255, is left out.

    Args:
        separate_things: tell thing classes apart, which makes T + S classes: for a head with
            ``separate_thing_regions``.
        backend_args, collect_device, prefix: as of mmdet's metrics.
    """

    def __init__(
        self,
        separate_things: bool = False,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(backend_args=backend_args, collect_device=collect_device, prefix=prefix)
        self.separate_things = separate_things

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of ``pred_sem_seg`` against ``gt_sem_seg``, each (1, H, W)."""
        meta = self.dataset_meta
        num_things, num_stuff = len(meta['thing_classes']), len(meta['stuff_classes'])
        num_classes = num_things + num_stuff if self.separate_things else num_stuff + 1
        for sample in data_samples:
            pred = sample['pred_sem_seg']['sem_seg'].squeeze(0).long()
            gt = sample['gt_sem_seg']['sem_seg'].squeeze(0).to(pred)
            if not self.separate_things:
                pred = merge_things(pred, num_things, num_stuff)
                gt = merge_things(gt, num_things, num_stuff).where(gt != 255, 255)
            self.results.append(self._compute_pred_stats(pred, gt, num_classes, 255))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """mIoU, mAcc and aAcc in percent, with a table per class."""
        meta = self.dataset_meta
        names = meta['classes'] if self.separate_things else (*meta['stuff_classes'], 'things')
        try:
            self.dataset_meta = dict(meta, classes=names)  # the names in the base's table
            metrics = super().compute_metrics(results)
            # the base averages over classes, which is mAcc; aAcc is over pixels
            right, labelled = (
                sum(r[key].sum().item() for r in results)
                for key in ('area_intersect', 'area_label')
            )
            metrics['aAcc'] = 100 * right / max(labelled, 1)
            return metrics
        finally:
            self.dataset_meta = meta


def merge_things(labels: Tensor, num_things: int, num_stuff: int) -> Tensor:
    """Labels of the data set to 0..S-1 for stuff and S for everything else."""
    return (labels - num_things).where(labels >= num_things, num_stuff).clamp(max=num_stuff)
