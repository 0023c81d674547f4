"""Metrics."""

from .panoptic_quality_metric import PanopticQualityMetric
from .region_sem_seg_metric import RegionSemSegMetric

__all__ = ['PanopticQualityMetric', 'RegionSemSegMetric']
