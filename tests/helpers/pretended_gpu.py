"""Tensors on the CPU that say they are on a GPU: what would fail or wait there is found without one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

GPU, CPU = torch.device('cuda:0'), torch.device('cpu')
FACTORIES = {
    getattr(torch, name)
    for name in (
        'arange as_tensor empty eye full linspace ones rand randint randn randperm tensor zeros '
        'tril_indices triu_indices'
    ).split()
}
WAITS = {
    getattr(Tensor, name)
    for name in '__bool__ __float__ __index__ __int__ item tolist numpy cpu nonzero masked_select'.split()
} | {torch.nonzero, torch.masked_select, torch.unique, torch.bincount}


class PretendedGPU(TorchFunctionMode):
    """Follows the tensors that come of :attr:`put`, by what torch is called with.

    Attributes:
        wrong: calls that a GPU would refuse: tensors of both devices in one.
        waits: names of functions that wait for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wrong, self.waits = [], []
        self._there = WeakIdKeyDictionary()

    def put(self, x: Any) -> Any:
        """The tensors in ``x`` are on the GPU from now on."""
        for tensor in tree_leaves(x):
            if isinstance(tensor, Tensor):
                self._there[tensor] = True
        return x

    def is_there(self, x: Tensor) -> bool:
        base = x._base if x._is_view() else None
        return x in self._there or (base is not None and base in self._there)

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, '__name__', str(func))
        tensors = [x for x in tree_leaves([args, kwargs]) if isinstance(x, Tensor)]
        there = [self.is_there(x) for x in tensors]
        if name == '__get__':
            return self._get(func, args[0], there[0]) if there else func(*args)
        target, asked = self._target(func, name, args, kwargs)
        if func in WAITS and any(there):
            self.waits.append(name)
        if func in (Tensor.cpu, Tensor.numpy, Tensor.tolist):
            asked, target = True, CPU
        index = func is Tensor.__getitem__ or func is Tensor.__setitem__
        if index and any(there) and self._is_boolean(args[1]):
            self.waits.append('boolean index')
        mixed = any(there) and any(x.dim() and not on for x, on in zip(tensors, there, strict=True))
        if mixed and not asked and not index and name not in ('copy_', 'set_'):
            self.wrong.append(f'{name} of {[tuple(x.shape) for x in tensors]}: {there}')
        args, kwargs = ([self._real(x) for x in args], {k: self._real(v) for k, v in kwargs.items()})
        result = func(*args, **kwargs)
        on = target.type == 'cuda' if asked else any(there)
        if isinstance(result, Tensor) and on != self.is_there(result) and any(result is x for x in tensors):
            result = result.clone()  # moved, which copies
        if name.startswith('__') and func in WAITS:
            on = False
        if on:
            self.put(result)
        return result

    @staticmethod
    def _real(x: Any) -> Any:
        return CPU if isinstance(x, torch.device) and x.type == 'cuda' else x

    @staticmethod
    def _is_boolean(index: Any) -> bool:
        return any(isinstance(x, Tensor) and x.dtype == torch.bool for x in tree_leaves(index))

    def _get(self, func: Callable, x: Tensor, there: bool) -> Any:
        """An attribute: the device is the pretended one."""
        attribute = func.__self__.__name__
        if there and attribute in ('device', 'is_cuda', 'is_cpu'):
            return dict(device=GPU, is_cuda=True, is_cpu=False)[attribute]
        value = func(x)
        return self.put(value) if there and isinstance(value, Tensor) else value

    def _target(self, func: Callable, name: str, args: tuple, kwargs: dict) -> tuple[torch.device, bool]:
        """The device that a call asks for; False where it asks for none."""
        given = kwargs.get('device')
        if given is None and name == 'to':
            for x in args[1:]:
                if isinstance(x, Tensor):
                    given = GPU if self.is_there(x) else CPU
                elif isinstance(x, torch.device | str):
                    given = x
        if given is not None:
            return torch.device(given), True
        return CPU, func in FACTORIES
