"""Metrics."""

from .stuff_sem_seg_metric import StuffSemSegMetric

__all__ = ['StuffSemSegMetric']
