"""Where the listed faults befall a bot: one exchange for a file of tests, and on it a trader for each test.

Verbs run in this process, behind the boundary of the command line, so that a test sees the exit code and the sentence
that a person sees. What was sent is asked of the exchange's own log.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bot.stage import NearStage, Stage, set_up
from tests.kit.bot.trader import Trader, in_a_session
from tradebot.adapters import failpoint
from tradebot.venues.alpaca.wire import AlpacaReads

SESSIONS = 12
"""The ninth of them is a half day."""

NUMBERS = count(1)
NOBODY = 65_534


@contextmanager
def as_another_user(trader: Trader) -> Iterator[None]:
    """Let a bot belong to a user for whom permissions hold; what `run` does with it is done by that user."""
    # That user may not be allowed to read what Python would import later.
    importlib.import_module("tradebot.adapters.facts.facts")
    root = not os.geteuid()
    if root:
        trader.bot.runs_as = NOBODY
        _give(trader.folder, NOBODY)
        trader.stage.folder.chmod(0o755)
    try:
        yield
    finally:
        if root:
            trader.bot.runs_as = None
            _give(trader.folder, 0)
        trader.stage.folder.chmod(0o700)


def _give(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


AtAPoint = Callable[[str, Callable[[], object]], None]


@pytest.fixture
def at_a_point() -> Iterator[AtAPoint]:
    """Yield what arms one failpoint of this process, to do something there the first time that it is reached."""

    def arm(point: str, step: Callable[[], object]) -> None:
        def reached(name: str) -> None:
            if name == point:
                failpoint.hook = None
                step()

        failpoint.hook = reached

    yield arm
    failpoint.hook = None


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Yield the exchange of a file of tests; its time only ever goes forward, and it has room for 100 accounts.

    It is in this process if the file says NEAR, because processes, sockets and clocks make no difference there.
    """
    with set_up(SESSIONS, kind=NearStage if getattr(request.module, "NEAR", False) else Stage) as made:
        yield made


@pytest.fixture
def trader(stage: Stage, request: pytest.FixtureRequest) -> Trader:
    """Return a new bot of this test alone, amid a session, with compared books."""
    in_a_session(stage)
    fault = request.node.name.removeprefix("test_fault_").partition("_")[0]
    made = Trader(stage, stage.bot(f"fault-{fault}-{next(NUMBERS)}"))
    assert made.reconciles().code == 0
    return made


class Lies:
    """What the venue's answers are changed to, path by path, before the bot reads them."""

    def __init__(self) -> None:
        self._changes: dict[str, tuple[Callable[[Any], Any], Iterator[int]]] = {}

    def tell(self, path: str, change: Callable[[Any], Any], times: int = 1000) -> None:
        """Lie on this path so many times."""
        self._changes[path] = (change, iter(range(times)))

    def end(self) -> None:
        """Lie no more."""
        self._changes.clear()

    def of(self, path: str, answer: Any) -> Any:
        """Return what the bot is told in place of a right answer."""
        change, left = self._changes.get(path, (None, iter(())))
        return answer if change is None or next(left, None) is None else change(answer)


@pytest.fixture
def lies(monkeypatch: pytest.MonkeyPatch) -> Lies:
    """Return a liar that stands between the venue and the bots of this process."""
    made, right = Lies(), AlpacaReads.json
    monkeypatch.setattr(AlpacaReads, "json", lambda reads, path, params=None: made.of(path, right(reads, path, params)))
    return made
