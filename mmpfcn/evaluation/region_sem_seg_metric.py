"""mIoU as COCO panoptic papers report it."""

from collections.abc import Sequence

from mmdet.evaluation.metrics import SemSegMetric
from mmdet.registry import METRICS
from torch import Tensor


@METRICS.register_module()
class StuffSemSegMetric(SemSegMetric):
    """mmdet's :class:`SemSegMetric` with all thing classes as one class "things", the last one.

    The semantic map of Panoptic FCN and Panoptic FPN knows the stuff classes and "any thing", so
    their mIoU, the paper's too, is over S + 1 classes. Predictions are labels of the data set; T +
    S and every thing label mean "things". The ground truth's void, 255, is left out.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of ``pred_sem_seg`` against ``gt_sem_seg``, each (1, H, W)."""
        num_things = len(self.dataset_meta['thing_classes'])
        num_stuff = len(self.dataset_meta['stuff_classes'])
        for sample in data_samples:
            pred = merge_things(sample['pred_sem_seg']['sem_seg'].long(), num_things, num_stuff)
            gt = sample['gt_sem_seg']['sem_seg'].to(pred)
            gt = merge_things(gt, num_things, num_stuff).where(gt != 255, 255)
            self.results.append(
                self._compute_pred_stats(pred.squeeze(0), gt.squeeze(0), num_stuff + 1, 255)
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """mIoU, mAcc and aAcc in percent, with a table per class."""
        meta = self.dataset_meta
        names = (*meta['stuff_classes'], 'things')
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
