"""`tradebot notify send` killed at any call on its files: each event is told, and twice only if that can't be known."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path

import pytest

from tests.kit.bot.folder import Bot
from tests.kit.bot.stage import DIED, alone
from tests.kit.fakes.calls import Call, Watcher, watch
from tests.kit.fakes.receivers import Receiver
from tests.suite.tiers import seed
from tradebot.__main__ import main as tradebot
from tradebot.adapters.notices.outbox import Outbox
from tradebot.adapters.notices.sender import Attempt
from tradebot.adapters.state.events import EventCursor
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.model.notice import BotStatus, Notice, NoticeEvent

pytestmark = pytest.mark.campaign

SETTINGS = "notify: {channels: {phone: {most_an_hour: 1000}}}"
EVERY = 6
"""One call of so many is where a process is killed; which ones, the week's seed says."""
MOST_CALLS = 600
BEFORE_THE_LOOK = 100
"""So many calls, of some 160, are made before what was looked at is remembered."""


class Killer(Watcher):
    """Kills the process at its n-th call."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def before(self, call: Call) -> int:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0


class Owner:
    """Somebody whose bot meets one event after the other, and whose notices are killed while they tell of it."""

    def __init__(self, bot: Bot) -> None:
        self.begun = set[int]()
        self.kills = 0
        self._bot = bot

    def meets(self, number: int) -> None:
        """Let something happen that a person is told of, and that no other event resembles."""
        details = {"books": "10", "broker": str(broker(number))}
        line = {"timestamp": "2026-11-16T15:00:00.000000Z", "subsystem": "venue", "event_type": "position_differs"}
        with (self._bot.folder / EVENTS).open("a") as file:
            file.write(json.dumps({**line, "severity": "ERROR", "symbol": "AAPL", "details": details}) + "\n")

    def is_told(self, number: int, nth: int = 0) -> bool:
        """Send what is to be told; return whether the process was killed at its n-th call."""
        place = self._bot.folder.with_name("begun")
        ended = alone(lambda child: _send(self._bot.folder, nth, place), lambda point: False)
        if place.exists():
            place.unlink()
            if ended.code == DIED:
                self.begun.add(number)
        assert ended.code in (0, DIED)
        self.kills += ended.code == DIED
        return ended.code == DIED


def _send(folder: Path, nth: int, begun: Path) -> int:
    """Type the verb, and leave a file once a message is on its way to its receiver."""
    honest = Attempt.__init__

    def noted(self: Attempt, address: str, notice: Notice, limit_s: float | None = None) -> None:
        begun.touch()
        honest(self, address, notice, limit_s)

    Attempt.__init__ = noted  # type: ignore[method-assign]
    if nth:
        watch(folder, Killer(nth))
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        return tradebot(["notify", "send", "--state-dir", str(folder)])


def broker(number: int) -> int:
    """Return how many shares the broker has in the event of this number."""
    return 1_000_001 + number


def untrue(receiver: Receiver, owner: Owner, count: int) -> Iterator[str]:
    """Yield each event that wasn't told, or was told twice although its process lived from its sending to its note."""
    got = Counter(number for _, body in receiver.got for number in range(count) if str(broker(number)) in body.decode())
    for number in range(count):
        if not 1 <= got[number] <= (2 if number in owner.begun else 1):
            yield f"event {number} was told {got[number]} times"


@pytest.fixture
def owner(copy: Bot, receiver: Receiver) -> Owner:
    with (copy.folder / "tradebot.yaml").open("a") as file:
        file.write(f"\n{SETTINGS}\n")
    assert copy.says("notify", "send").code == 0
    return Owner(copy)


def played(owner: Owner, every: int, first: int = 1) -> Iterator[int]:
    """Kill the sending of one event after the other, each `every` calls later, and yield how many there were so far."""
    number, nth, killed = 0, first + (seed() or 0) % every, True
    while killed:
        assert nth < MOST_CALLS, f"sending one notice takes {MOST_CALLS} calls or more"
        owner.meets(number)
        killed = owner.is_told(number, nth)
        owner.is_told(number)
        number, nth = number + 1, nth + every
        yield number


def test_each_event_is_told_whichever_call_its_process_is_killed_at(
    owner: Owner, receiver: Receiver, record_property: Callable[[str, object], None]
) -> None:
    *_, count = played(owner, EVERY)
    assert list(untrue(receiver, owner, count)) == []
    assert owner.kills > 10, "hardly a process was killed"
    assert owner.begun, "no process was killed while its message was on its way"
    record_property("processes that sent notices and were killed", owner.kills)


def test_look_remembered_before_what_it_found_is_kept_is_caught(
    owner: Owner, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Outbox.note

    def hasty(
        self: Outbox, place: EventCursor, seen: BotStatus, found: Iterable[tuple[str, datetime, NoticeEvent]]
    ) -> None:
        honest(self, place, seen, ())
        honest(self, place, seen, found)

    monkeypatch.setattr(Outbox, "note", hasty)
    every_third = played(owner, EVERY // 2, BEFORE_THE_LOOK)
    assert any(f"event {count - 1} was told 0 times" in untrue(receiver, owner, count) for count in every_third)
