"""What watches `serve`: lanes that stand still, ceilings, the note for others, and what the service manager hears.

What each signal means, at a terminal and without one.
"""

import os
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from commands.serve.watchdog_thread import LOCK_STEP, MB, StopRequest, Watch, WatchedLane
from tests.kit.values import NOW, SHIPPED, there
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state import resources
from tradebot.adapters.state.serve_status import read_serving
from tradebot.adapters.state.state_folder import STALL_TRACE
from tradebot.app.settings_schema import ServeSettings
from tradebot.errors import ExitCode

TIGHT = {"stall_s": 30, "stall_end_s": 60, "max_memory_mb": 100_000, "max_descriptors": 1_000}
SETTINGS = SHIPPED.serve.model_copy(update={**TIGHT, "log_mb": 1, "log_files": 1})


class Manager:
    """A service manager that keeps what it was told."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []

    def tell(self, **state: str) -> None:
        self.heard.append(state)

    def count(self, name: str) -> int:
        return sum(name in state for state in self.heard)


class Ended(Exception):  # noqa: N818 - it stands for the end of the process
    """Raised where the process would end."""


class WatchScene:
    """A watch, looked through by hand while a clock of ours is moved."""

    def __init__(self, folder: Path, settings: ServeSettings = SETTINGS) -> None:
        self.now_s, self.at = 1000.0, NOW
        self.folder, self.stop, self.manager, self.events = folder, StopRequest(), Manager(), MemoryEvents()
        outside: Any = (self.stop, self.manager, self.events, self.end, lambda: self.now_s, lambda: self.at)
        self.watch = Watch(folder, settings, *outside)

    def end(self, code: int) -> None:
        raise Ended(code)

    def pass_s(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_s += 1
            self.watch.look()

    def troubles(self) -> set[str]:
        note = read_serving(self.folder)
        return set(note.troubles) if note else set()

    def types(self) -> list[str]:
        return [event.event_type for event in self.events.emitted]


@pytest.fixture
def scene(tmp_path: Path) -> WatchScene:
    return WatchScene(tmp_path)


class Idle:
    """A lane with nothing to do."""

    def tick(self) -> None:
        """Find nothing."""

    def close(self) -> None:
        """Close nothing."""


def test_stalled_lane_is_reported_once_with_a_trace_and_again_on_recovery(scene: WatchScene) -> None:
    with scene.watch.lanes("exits", "entries"):
        exits, entries = (WatchedLane(scene.watch, name, Idle()) for name in ("exits", "entries"))
        for _ in range(40):
            exits.tick()
            scene.pass_s(1)
        assert scene.types() == ["lane_stalled"]
        assert scene.events.emitted[0].details["lane"] == "entries"
        assert "test_watchdog_thread.py" in (scene.folder / STALL_TRACE).read_text()
        serving = there(read_serving(scene.folder))
        assert serving.troubles.keys() == {"lane entries"}
        assert serving.lanes["exits"] > serving.lanes["entries"]
        entries.tick()
        scene.pass_s(5)
        assert scene.types() == ["lane_stalled", "lane_recovered"]
        serving = there(read_serving(scene.folder))
        assert serving.troubles == {}


def test_watchdog_is_not_fed_while_a_lane_stands_still(scene: WatchScene) -> None:
    with scene.watch.lanes("exits"):
        scene.pass_s(10)
        assert scene.manager.count("WATCHDOG") == 0, "it isn't ready"
        scene.watch.ready()
        WatchedLane(scene.watch, "exits", Idle()).tick()
        scene.pass_s(30)
        assert scene.manager.count("WATCHDOG") == 30
        scene.pass_s(20)
        assert scene.manager.count("WATCHDOG") == 30


def test_lane_stalled_for_too_long_ends_the_process(scene: WatchScene) -> None:
    with scene.watch.lanes("exits"):
        scene.pass_s(60)
        with pytest.raises(Ended) as ended:
            scene.pass_s(1)
    assert ended.value.args == (ExitCode.ERROR,)


def test_each_call_of_a_fetch_and_each_line_counts_as_progress(scene: WatchScene) -> None:
    with scene.watch.lanes("fetching"):
        for _ in range(10):
            with scene.watch.progress_of("fetching"):
                scene.pass_s(25)
                scene.watch.note_progress()
                scene.pass_s(25)
    assert scene.types() == []


def test_sandbox_is_not_ready_while_a_pass_holds_trading_time(scene: WatchScene) -> None:
    with scene.watch.lanes(LOCK_STEP):
        with scene.watch.progress_of(LOCK_STEP):
            scene.pass_s(1)
            assert scene.troubles() == set()
            for _ in range(5):
                scene.watch.note_progress(within_pass=True)
                scene.pass_s(1)
            assert scene.troubles() == {"trading time"}
            scene.watch.note_progress()
        scene.pass_s(1)
        assert scene.troubles() == set()
    with scene.watch.lanes("fetching"), scene.watch.progress_of("fetching"):
        scene.pass_s(20)
        assert scene.troubles() == set(), "in real time, a long fetch keeps no other lane waiting"


def test_progress_counts_only_for_the_lane_of_its_thread(scene: WatchScene) -> None:
    with scene.watch.lanes("exits", "entries"):
        scene.pass_s(31)
        other = threading.Thread(target=WatchedLane(scene.watch, "entries", Idle()).tick)
        other.start()
        other.join()
        scene.pass_s(1)
    assert scene.types() == ["lane_stalled", "lane_stalled", "lane_recovered"]
    assert scene.events.emitted[-1].details["lane"] == "entries"


def test_sleep_of_the_machine_stalls_no_lane(scene: WatchScene) -> None:
    with scene.watch.lanes("exits"):
        scene.now_s += 8 * 3600
        scene.pass_s(20)
    assert scene.types() == []


@pytest.mark.parametrize("code", [ExitCode.DONE, ExitCode.ERROR])
def test_passes_over_their_stop_budget_end_the_process(scene: WatchScene, code: ExitCode) -> None:
    scene.stop.end(code)
    scene.pass_s(10)
    with pytest.raises(Ended) as ended:
        scene.pass_s(1)
    assert ended.value.args == (code,)


@pytest.mark.parametrize("ceiling", [{"max_memory_mb": 1}, {"max_descriptors": 1}])
def test_process_over_a_ceiling_ends_after_its_passes(tmp_path: Path, ceiling: dict[str, int]) -> None:
    scene = WatchScene(tmp_path, SETTINGS.model_copy(update=ceiling))
    asked = list[str]()
    scene.stop.ask = lambda: asked.append("asked")
    scene.pass_s(10)
    assert (scene.types()[-1:], asked, scene.stop.code) == (["ceiling_reached"], ["asked"], ExitCode.ERROR)
    assert there(read_serving(tmp_path)).troubles.keys() - {"memory"} == {"ceilings"}


def test_short_memory_is_told_once_and_over_with_much_less(scene: WatchScene, monkeypatch: pytest.MonkeyPatch) -> None:
    share = {"of": 0.0}
    monkeypatch.setattr(resources, "memory_bytes", lambda: int(share["of"] * SETTINGS.max_memory_mb * MB))
    for of, is_short in ((0.79, False), (0.8, True), (0.95, True), (0.71, True), (0.69, False), (0.79, False)):
        share["of"] = of
        scene.pass_s(10)
        assert (scene.watch.is_short, scene.troubles()) == (is_short, {"memory"} if is_short else set()), of
    assert (scene.types(), scene.stop.asked) == (["memory_short"], False)
    share["of"] = 1.01
    scene.pass_s(10)
    assert (scene.types()[-2:], scene.stop.code) == (["memory_short", "ceiling_reached"], ExitCode.ERROR)


def test_note_keeps_the_most_memory_of_the_first_week(scene: WatchScene, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"mb": 100}
    monkeypatch.setattr(resources, "memory_bytes", lambda: taken["mb"] * MB)
    noted = list[int | None]()
    for taken["mb"], days in ((100, 0), (150, 3), (120, 3), (130, 1), (170, 9)):
        scene.at += timedelta(days=days)
        scene.pass_s(5)
        noted.append(there(read_serving(scene.folder)).settled_bytes)
    assert noted == [None, None, None, 150 * MB, 150 * MB]


def test_serve_is_ready_once_after_the_books_are_compared(scene: WatchScene) -> None:
    compared = list[bool]()
    scene.watch.is_ready = lambda: bool(compared)
    scene.pass_s(5)
    first = read_serving(scene.folder)
    compared.append(True)
    scene.pass_s(10)
    second = read_serving(scene.folder)
    assert first is not None
    assert second is not None
    assert (first.ready_at, scene.manager.count("READY")) == (None, 1)
    assert second.ready_at is not None
    assert second.at > second.ready_at
    assert second.pid == first.pid


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Watch, Manager]]:
    manager, stop = Manager(), StopRequest()
    watch = Watch(tmp_path, SETTINGS, stop, manager, MemoryEvents())  # type: ignore[arg-type]
    with watch.running():
        yield watch, manager


def test_watch_looks_until_the_end_and_leaves_a_last_note(tmp_path: Path, running: tuple[Watch, Manager]) -> None:
    watch, manager = running
    looked = threading.Event()
    watch.on_look = looked.set
    assert looked.wait(20)
    assert read_serving(tmp_path) is not None
    assert manager.count("STOPPING") == 0


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_asks_once_for_the_end_and_handlers_are_restored(number: int) -> None:
    stop, asked, before = StopRequest(), list[str](), signal.getsignal(number)
    stop.ask = lambda: asked.append("asked")
    with stop.listening():
        send(number)
    assert (asked, stop.asked, stop.ending, stop.code) == (["asked"], True, True, ExitCode.DONE)
    assert signal.getsignal(number) == before


def test_hangup_reloads_and_ends_nothing() -> None:
    stop = StopRequest()
    with stop.listening():
        send(signal.SIGHUP)
    assert (stop.reload_asked, stop.asked, stop.ending) == (True, False, False)


@pytest.mark.parametrize("still_there", [True, False])
def test_closed_terminal_ends_a_serve_started_there(monkeypatch: pytest.MonkeyPatch, still_there: bool) -> None:
    answers = [True, still_there]
    monkeypatch.setattr(os, "isatty", lambda descriptor: answers.pop(0))
    stop = StopRequest()
    with stop.listening():
        send(signal.SIGHUP)
    assert stop.asked is not still_there
