"""Hooks."""

from .class_count_hook import ClassCountHook
from .compile_network_hook import CompileNetworkHook, compile_network

__all__ = ['ClassCountHook', 'CompileNetworkHook', 'compile_network']
