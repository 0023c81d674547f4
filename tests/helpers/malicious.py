"""What an untrusted file may hold."""

from collections.abc import Callable


class Call:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call
