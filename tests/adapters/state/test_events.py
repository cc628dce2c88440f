"""Events are written as long as there is room, and never stand in the way."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.bot import forked
from tests.kit.rows import NOW, minutes
from tradebot.adapters.state.events import EventCursor, JsonlEvents, Tail, end_of, last_events, news, worth_seeing
from tradebot.model.event import EventKind, Severity, SystemEvent
from tradebot.model.struct_tools import replace


def make_event(number: int = 0) -> SystemEvent:
    return SystemEvent(NOW, "cycle", "PASS_DONE", Severity.INFO, "AAPL", {"number": str(number)})


def test_an_event_is_one_line_with_every_field(tmp_path: Path) -> None:
    path = tmp_path / "system_events.jsonl"
    events = JsonlEvents(path)
    events.emit(make_event(1))
    events.emit(make_event(2))
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first == {
        "timestamp": "2026-01-05T15:00:00.000000Z",
        "subsystem": "cycle",
        "event_type": "PASS_DONE",
        "severity": "INFO",
        "symbol": "AAPL",
        "details": {"number": "1"},
    }
    assert second["details"] == {"number": "2"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_emit_ignores_a_full_disk(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from tests.adapters.state.test_events import JsonlEvents, make_event\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "JsonlEvents(Path(sys.argv[1])).emit(make_event())\n"
    )
    done = forked.ran(code, tmp_path / "events.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "events.jsonl").read_bytes() == b""


def numbers(events: Sequence[SystemEvent]) -> list[int]:
    """Return the numbers of events made here; those that tell of a new file have none."""
    return [int(event.details["number"]) for event in events if "number" in event.details]


def test_the_last_events_are_found_across_rotated_files(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = JsonlEvents(path, max_bytes=600)
    for number in range(9):
        events.emit(make_event(number))
    every, unreadable = last_events(path, 99)
    assert (numbers(every), unreadable) == (list(range(9)), 0)
    assert [last_events(path, count)[0] for count in (1, 4)] == [every[-1:], every[-4:]]
    assert (tmp_path / "events.jsonl.2").exists()
    new_files = [event for event in every if event.event_type == EventKind.FILE_ROTATED.event_type]
    assert len(new_files) == len(list(tmp_path.iterdir())) - 1
    assert last_events(tmp_path / "absent", 3) == ((), 0)


def test_last_events_counts_unreadable_lines_and_leaves_them_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    JsonlEvents(path).emit(make_event(1))
    with path.open("ab") as file:
        file.write(b'{"half": \n\xff\n[]\n')
    found, unreadable = last_events(path, 10)
    assert (numbers(found), unreadable) == ([1], 3)


def test_tail_returns_each_event_once_from_before_the_file_exists_and_across_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = JsonlEvents(path, max_bytes=600)
    tail = Tail(path)
    assert tail.news() == []
    told: list[int] = []
    before = len(os.listdir("/dev/fd"))
    for number in range(1, 7):
        events.emit(make_event(number))
        told += numbers(tail.news()) if number % 2 else []
    assert (told + numbers(tail.news()), tail.news()) == ([1, 2, 3, 4, 5, 6], [])
    assert len(os.listdir("/dev/fd")) == before + 1, "only the newest file is open"
    tail.close()
    assert len(os.listdir("/dev/fd")) == before


def test_worth_seeing_counts_all_events_and_returns_those_that_need_attention(tmp_path: Path) -> None:
    path = tmp_path / "system_events.jsonl"
    events = JsonlEvents(path)
    for minute, severity in enumerate((Severity.WARN, Severity.INFO, Severity.ERROR, Severity.WARN)):
        events.emit(replace(make_event(minute), timestamp=minutes(minute), severity=severity))
    path.write_bytes(path.read_bytes() + b'{"timestamp":"2026-01-05T15:01:30.000000Z","torn')
    count, found = worth_seeing(path, [(minutes(1), minutes(2))])
    assert (count, [event.details["number"] for event in found]) == (3, ["2"])
    assert worth_seeing(path, [(minutes(0), minutes(0)), (minutes(3), minutes(9))])[0] == 2
    assert worth_seeing(tmp_path / "none", [(minutes(0), minutes(9))]) == (0, ())


@given(st.lists(st.integers(0, 4), max_size=12))
def test_each_event_is_news_once_and_in_order_across_rotations(chunks: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        events, place, found, written = JsonlEvents(path, max_bytes=400), EventCursor(0, 0), list[str](), 0
        for chunk in chunks:
            for _ in range(chunk):
                events.emit(make_event(written))
                written += 1
            some, place = news(path, place)
            found += [event.details["number"] for event in some if event.event_type == "PASS_DONE"]
        assert found == [str(number) for number in range(written)]


def test_line_without_its_end_is_news_once_it_has_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    JsonlEvents(path).emit(make_event(1))
    whole = path.read_bytes()
    path.write_bytes(whole[:30])
    found, place = news(path, EventCursor(0, 0))
    assert found == []
    with path.open("ab") as file:
        file.write(whole[30:])
    assert [event.details["number"] for event in news(path, place)[0]] == ["1"]


def test_after_the_end_only_later_events_are_news_and_after_a_lost_file_all(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert news(path, end_of(path)) == ([], EventCursor(0, 0))
    events = JsonlEvents(path)
    events.emit(make_event(1))
    place = end_of(path)
    events.emit(make_event(2))
    assert [event.details["number"] for event in news(path, place)[0]] == ["2"]
    path.rename(path.with_suffix(".aside"))
    events.emit(make_event(3))
    assert [event.details["number"] for event in news(path, place)[0]] == ["3"]
