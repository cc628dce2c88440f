"""The lane of `serve` that follows the flow source's stream.

What `serve` does when a venue tells by itself that something has happened.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from commands.serve.streaming import LATER_S, OrderUpdateListener, StreamLane
from jobs.runner import LogLine
from tests.adapters.flow.test_stream import none_left_open
from tests.commands.fetch_flow.test_streaming import end, joins, more, on_the_exchange, stored, tick
from tests.kit.bot.folder import Bot, made
from tradebot.adapters.state import state_locks
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.errors import ExitCode
from tradebot.model.struct_tools import replace

LONG_S = 60
STREAMED = """
unusual_whales: {stream: true}
timetable:
  fetch-flow: every 5m from open+2m until open+10m
  score: every 5m from open+2m until open+10m
  evaluate-exits: every 5m from open+1m until open+10m
  trade-once: every 5m from open+2m until open+10m
  reconcile: every 15m from open+1m until open+10m
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state, flags = tmp_path_factory.mktemp("lane") / "state", ("--symbols", "AAPL,MSFT", "--sessions", "3")
    with made(state, *flags, settings=STREAMED) as path:
        yield path


@pytest.fixture
def lines() -> list[LogLine]:
    return []


@pytest.fixture
def app(bot: Bot) -> Iterator[App]:
    with open_app(Options(str(bot.folder)), os.environ) as app:
        yield app


def ticked(lane: StreamLane, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not reached():
        lane.tick()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def streaming(bot: Bot) -> bool:
    return state_locks.holder(bot.folder, state_locks.STREAM_LOCK) is not None


def test_stream_is_followed_only_while_a_session_is_open(bot: Bot, app: App, lines: list[LogLine]) -> None:
    lane = StreamLane(app, lines.append)
    lane.tick()
    assert not streaming(bot)
    bot.says("reconcile")
    session = tick(bot, to="next_open")["session"]
    ticked(lane, lambda: joins(bot) == 1)
    assert streaming(bot)
    more(bot, session, 5)
    ticked(lane, lambda: stored(bot, session) == on_the_exchange(bot, session))
    more(bot, session, 5)
    end(bot)
    lane.tick()
    assert not streaming(bot)
    assert stored(bot, session) == on_the_exchange(bot, session)
    assert lines == []


def test_refused_stream_key_is_reported_once_and_not_retried(bot: Bot, app: App, lines: list[LogLine]) -> None:
    tick(bot, to="next_open")
    app.__dict__["secrets"] = replace(app.secrets, uw_key="somebody-elses-key")
    lane = StreamLane(app, lines.append)
    ticked(lane, lambda: bool(lines))
    assert not streaming(bot)
    lane.tick()
    (line,) = lines
    assert line.exit_code is ExitCode.AUTHENTICATION
    assert "set unusual_whales.stream to false" in line.said
    assert "somebody" not in line.said


def test_stream_waits_for_another_process_and_says_so_once(bot: Bot, app: App, lines: list[LogLine]) -> None:
    lane = StreamLane(app, lines.append)
    with state_locks.hold(bot.folder, "another stream", name=state_locks.STREAM_LOCK):
        lane.tick()
        lane.tick()
    (line,) = lines
    assert "another stream, process" in line.said
    ended = list[str]()
    app._closing.callback(ended.append, "bot")
    with none_left_open():
        ticked(lane, lambda: streaming(bot))
        lane.close()
    assert (streaming(bot), ended) == (False, ["bot"])


@pytest.mark.campaign
def test_serve_streams_if_configured(bot: Bot) -> None:
    before, session = joins(bot), "2026-11-18"
    assert bot.says("serve", "--speed", "8000", "--json").code == 0
    assert joins(bot) > before
    assert stored(bot, session) == on_the_exchange(bot, session)
    assert not streaming(bot)


@dataclass
class HandBell:
    rings: int = 0
    wrong: str = ""
    closed: bool = False

    def rang(self) -> bool:
        rang, self.rings = self.rings > 0, 0
        return rang

    def problem(self) -> str:
        return self.wrong

    def close(self) -> None:
        self.closed = True


@dataclass
class HearingScene:
    bell: HandBell = field(default_factory=HandBell)
    lines: list[LogLine] = field(default_factory=list)
    now_s: float = 0
    ran: list[float] = field(default_factory=list)
    waits: bool = False

    def __post_init__(self) -> None:
        self.hearing = OrderUpdateListener(self.bell, self._again, self.lines.append, lambda: self.now_s)

    def _again(self) -> bool:
        if not self.waits:
            self.ran.append(self.now_s)
        return not self.waits

    def tick(self, seconds: float = 1) -> None:
        self.now_s += seconds
        self.hearing.tick()


def test_exits_run_once_when_it_rings_and_once_more_when_ends_can_be_proven() -> None:
    scene = HearingScene()
    scene.tick()
    scene.bell.rings = 3
    for _ in range(40):
        scene.tick()
    assert scene.ran == [2, 2 + LATER_S]


def test_a_ring_is_kept_until_exits_may_run() -> None:
    scene = HearingScene(waits=True)
    scene.bell.rings = 1
    for _ in range(10):
        scene.tick()
    scene.waits = False
    scene.tick()
    scene.waits = True
    scene.tick(LATER_S)
    scene.waits = False
    scene.tick()
    assert scene.ran == [11, 11 + LATER_S + 1]


def test_another_ring_puts_the_second_look_off() -> None:
    scene = HearingScene()
    scene.bell.rings = 1
    scene.tick()
    scene.tick(LATER_S - 1)
    scene.bell.rings = 1
    scene.tick()
    scene.tick(LATER_S - 1)
    scene.tick()
    scene.tick(2 * LATER_S)
    assert scene.ran == [1, 1 + LATER_S, 1 + 2 * LATER_S]


def test_that_it_cannot_ring_is_said_once_and_so_is_that_it_can_again() -> None:
    scene = HearingScene()
    scene.tick()
    scene.bell.wrong = "Kraken Futures can't be reached"
    scene.tick()
    scene.tick()
    scene.bell.wrong = ""
    scene.tick()
    scene.hearing.close()
    assert [line.said for line in scene.lines] == [
        "Kraken Futures can't be reached; exits run on schedule only",
        "exits run again after each update from the venue",
    ]
    assert (scene.ran, scene.bell.closed) == ([], True)
