"""Hooks."""

from .class_count_hook import ClassCountHook

__all__ = ['ClassCountHook']
