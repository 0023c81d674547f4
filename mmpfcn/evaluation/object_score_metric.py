"""How well objects are found and outlined at once: the score of the Data Science Bowl 2018."""

from collections.abc import Sequence

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from .panoptic_maps import match_sample
from .panoptic_quality import Matching

THRESHOLDS = np.arange(10, 20) / 20  # IoU that a match must exceed: 0.5, 0.55 .. 0.95


@METRICS.register_module()
class ObjectScoreMetric(BaseMetric):
    """TP / (TP + FP + FN) of objects, mean over IoU thresholds, images and thing classes.

    It is the score of Kaggle's Data Science Bowl 2018 (stage 1), and at one threshold what StarDist
    and Cellpose report as AP. Objects are matched as for PQ, by :func:`match_segments`: the mean is
    over the images in which a class occurs, in the ground truth or in the prediction. Crowds and
    void count for neither side. ``PQ`` is the mean of the images' own PQ of things, as papers on
    nuclei give it (HoVer-Net, arXiv 1812.06499), where that of COCO is one of all images. Data
    samples and arguments are those of :class:`PanopticQualityMetric`, which also raises for the
    same; ``prefix`` is that of ``score``, ``AP50``, ``AP75`` and ``PQ``, in [0, 1].
    """

    default_prefix = 'objects'

    def __init__(
        self,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.backend_args = backend_args

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep the scores (T, 11) of each image, a dict of each data sample."""
        things = set(self.dataset_meta['thing_classes'])
        is_thing = [name in things for name in self.dataset_meta['classes']]
        for sample in data_samples:
            matching, _ = match_sample(sample, is_thing, self.backend_args)
            self.results.append(object_scores(matching, np.flatnonzero(is_thing)))

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Means of the scores (T, 11) of all images; nan where no object occurs."""
        scores = np.stack(results)
        seen = ~np.isnan(scores[..., 0])
        means = [scores[seen[:, c], c].mean(0) for c in range(scores.shape[1]) if seen[:, c].any()]
        *mean, pq = np.mean(means, axis=0).tolist() if means else [np.nan] * (len(THRESHOLDS) + 1)
        return dict(score=float(np.mean(mean)), AP50=mean[0], AP75=mean[5], PQ=pq)


def object_scores(matching: Matching, labels: Sequence[int]) -> np.ndarray:
    """TP / (TP + FP + FN) and PQ of one image, whose segments match at an IoU above 0.5.

    (T, 11) by class, of the T labels, and threshold, with PQ behind; nan for a class that does not
    occur.
    """
    matched = matching.gt_labels[matching.rows]
    iou = matching.iou[matching.rows, matching.columns]
    scores = np.full((len(labels), len(THRESHOLDS) + 1), np.nan)
    for row, label in enumerate(labels):
        unmatched = (matching.pred_labels[matching.wrong] == label).sum()
        unmatched += (matching.gt_labels[matching.missed] == label).sum()
        ious = iou[matched == label]
        found = (ious[:, None] > THRESHOLDS).sum(0)
        if len(ious) or unmatched:
            # a match below the threshold is a false positive and a false negative
            scores[row, :-1] = found / (2 * len(ious) - found + unmatched)
            scores[row, -1] = ious.sum() / (len(ious) + unmatched / 2)
    return scores
