"""Events are written as long as there is room, and never stand in the way."""

import json
import subprocess
import sys
from pathlib import Path

from tests.adapters.samples import NOW
from tradebot.adapters.events import KEPT, JsonlEvents
from tradebot.model.event import Severity, SystemEvent


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


def test_full_files_are_rotated_and_the_newest_kept(tmp_path: Path) -> None:
    events = JsonlEvents(tmp_path / "events.jsonl", max_bytes=400)
    for number in range(40):
        events.emit(make_event(number))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["events.jsonl", *(f"events.jsonl.{n}" for n in range(1, KEPT + 1))]
    assert all(path.stat().st_size <= 400 for path in tmp_path.iterdir())
    lines = [
        json.loads(line)["details"]["number"]
        for name in reversed([names[0], *names[1:]])
        for line in (tmp_path / name).read_text().splitlines()
    ]
    assert lines == [str(number) for number in range(40 - len(lines), 40)]


def test_a_place_that_cannot_be_written_is_passed_over(tmp_path: Path) -> None:
    JsonlEvents(tmp_path / "none" / "events.jsonl").emit(make_event())
    (tmp_path / "events.jsonl").mkdir()
    JsonlEvents(tmp_path / "events.jsonl").emit(make_event())


def test_a_full_disk_is_passed_over(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from tests.adapters.test_events import JsonlEvents, make_event\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "JsonlEvents(Path(sys.argv[1])).emit(make_event())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "events.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "events.jsonl").read_bytes() == b""
