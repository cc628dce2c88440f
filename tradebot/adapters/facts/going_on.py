"""Let a store that may be lost go on with an empty file when it finds the old one damaged."""

from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from typing import Any, TypeVar

from tradebot.errors import TemporaryError

T = TypeVar("T")


class BegunAnewError(TemporaryError):
    """Raised when the file turned out to be damaged and an empty one is in its place."""


def going_on(store: type[T]) -> type[T]:
    """Let each public method of a store run again, on the empty file, when it finds the old one damaged.

    A pass goes on like that: no exit waits for an explanation, and entries are refused without facts.
    """
    for name, method in list(vars(store).items()):
        if isfunction(method) and not name.startswith("_"):
            setattr(store, name, _tried_again(method))
    return store


def _tried_again(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def tried(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except BegunAnewError:
            return method(*arguments, **named)

    return tried
