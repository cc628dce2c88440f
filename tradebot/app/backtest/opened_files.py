"""Notice which files strategies in this process open while they are asked: their content can't be cut off."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from tradebot.adapters.plugins.plugin import PluginStrategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from tradebot.model.decision import Decision
    from tradebot.model.view import StrategyView
    from tradebot.model.wants import Want
    from tradebot.ports.strategy import Strategy

_CODE = (".py", ".pyc", ".so", ".pth")
_PACKAGES = (".dist-info", ".egg-info")
"""The endings of folders in which installed packages say what they are; loading a strategy reads them."""
_OF_PROGRAMS = (sys.prefix, sys.base_prefix, "/usr/", "/proc/", "/etc/")
_watching: list[OpenedFiles] = []


class OpenedFiles:
    """The files that watched strategies open within the block, each with the strategy's name.

    It knows of those that Python opens. A plug-in runs in a separate process, where files are out of its reach.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], None] = {}
        self._asked = ""

    @property
    def found(self) -> tuple[tuple[str, str], ...]:
        """Return who opened which file, in the order in which they were first opened."""
        return tuple(self._found)

    def __enter__(self) -> OpenedFiles:
        _listen()
        _watching.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _watching.remove(self)

    def watched(self, strategies: Sequence[Strategy], until: datetime) -> Sequence[Strategy]:
        """Return the strategies such that files are noticed while they are asked; plug-ins stay as they are.

        Later than `until`, in trading time, they aren't asked anymore.
        """
        return [
            one if isinstance(one, PluginStrategy) else cast("Strategy", _Watched(one, self, until))
            for one in strategies
        ]

    @contextmanager
    def noticed(self, who: str) -> Iterator[None]:
        """Notice the files that are opened within the block, in the name of a strategy."""
        self._asked = who
        try:
            yield
        finally:
            self._asked = ""

    def heard(self, path: object) -> None:
        """Note a file that is being opened, if a strategy is asked now and the file isn't part of a program."""
        if self._asked and isinstance(path, str | bytes):
            name = os.fsdecode(path)
            of_package = os.path.dirname(name).endswith(_PACKAGES)
            if not (of_package or name.endswith(_CODE) or name.startswith(_OF_PROGRAMS)):
                self._found[self._asked, name] = None


class _Watched:
    """A strategy whose files are noticed; everything else about it stays as it is."""

    def __init__(self, strategy: Strategy, files: OpenedFiles, until: datetime) -> None:
        self._strategy = strategy
        self._files = files
        self._until = until

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strategy, name)

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        if view.now > self._until:
            return ()
        with self._files.noticed(self._strategy.name):
            return self._strategy.propose(view)


@cache
def _listen() -> None:
    """Listen to what Python opens, from now on: such a hook can't be removed."""
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watching:
        for files in _watching:
            files.heard(arguments[0])
