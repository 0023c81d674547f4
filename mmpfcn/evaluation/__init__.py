"""Metrics."""

from .object_score_metric import ObjectScoreMetric
from .panoptic_quality_metric import PanopticQualityMetric
from .region_sem_seg_metric import RegionSemSegMetric
