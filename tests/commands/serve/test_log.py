"""The log for programs: the same fields always, nothing twice, no secret, and files within their bound."""

import errno
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands.serve.log import Log, log_to
from commands.shared.light_helpers import Identity
from jobs.runner import LogKind, LogLine
from tests.commands.serve.test_watchdog_thread import SETTINGS
from tradebot.adapters.state import json_lines
from tradebot.adapters.text import redaction
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.event import EventKind
from tradebot.model.record import Job

NOW = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
RAN = LogLine(NOW, LogKind.RAN, Job.SCORE, "open+2m", "3 scored", ExitCode.DONE, 0.25)
PAPER = Identity("paper", "alpaca", "6789")


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def log(lines: list[str]) -> Log:
    return Log(lines.append, PAPER)


def test_log_lines_of_jobs_and_events_have_the_same_fields(log: Log, lines: list[str]) -> None:
    log.line(RAN)
    log.event(EventKind.STALE_BARS.at(NOW, {"age_s": "90"}, "AAPL"))
    line, event = map(json.loads, lines)
    assert list(line) == list(event)
    assert {name: line[name] for name in ("severity", "subsystem", "event_type", "job", "slot", "exit_code")} == {
        "severity": "INFO",
        "subsystem": "serve",
        "event_type": "ran",
        "job": "score",
        "slot": "open+2m",
        "exit_code": 0,
    }
    assert (line["took_s"], line["details"], line["trading_time"]) == (
        0.25,
        {"message": "3 scored"},
        "2026-11-16T15:00:00.000000Z",
    )
    assert (event["severity"], event["event_type"], event["symbol"], event["job"]) == (
        "WARN",
        "stale_bars_detected",
        "AAPL",
        None,
    )


@pytest.mark.parametrize(
    ("kind", "severity"),
    [(LogKind.NOTE, "INFO"), (LogKind.MISSED, "WARN"), (LogKind.FAILED, "WARN"), (LogKind.FAULT, "ERROR")],
)
def test_each_kind_of_log_line_has_its_severity(log: Log, lines: list[str], kind: LogKind, severity: str) -> None:
    log.line(LogLine(NOW, kind, None, None, "said", ExitCode.DONE))
    assert json.loads(lines[0])["severity"] == severity


def test_event_that_serve_prints_as_a_line_is_logged_once(log: Log, lines: list[str]) -> None:
    for kind in (
        EventKind.SERVE_NOTE,
        EventKind.JOB_FAILED,
        EventKind.JOB_FAULT,
        EventKind.EXCEPTION,
        EventKind.SLOT_MISSED,
    ):
        log.event(kind.at(NOW, {"message": "said"}))
    assert lines == []


def test_log_holds_no_secret(log: Log, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "n0t-for-anybody" * 2
    monkeypatch.setattr(redaction, "_forms", {form: form.encode() for form in redaction.forms(secret)})
    log.line(LogLine(NOW, LogKind.FAILED, None, None, f"refused {secret}", ExitCode.ERROR))
    log.event(EventKind.FETCH_FAILED.at(NOW, {"found": secret}))
    assert secret not in "".join(lines)
    assert len(lines) == 2


def test_log_file_rotates_within_its_bound_and_survives_a_full_disk(tmp_path: Path) -> None:
    log = log_to(str(tmp_path / "serve.log"), SETTINGS, PAPER)
    said = LogLine(NOW, LogKind.NOTE, None, None, "x" * 100_000, ExitCode.DONE)
    for _ in range(25):
        log.line(said)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["serve.log", "serve.log.1"]
    assert all(file.stat().st_size <= 1_000_000 for file in files)


@pytest.mark.parametrize(
    ("place", "why"), [("none/serve.log", "No such file or directory"), ("folder", "it is a folder")]
)
def test_unwritable_log_file_is_refused_at_the_start(tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OperatorError, match=f"{place} can't be written: .*{why}") as refused:
        log_to(str(tmp_path / place), SETTINGS, PAPER)
    assert "tradebot serve --log -" in refused.value.hint


def test_log_file_that_becomes_unwritable_is_reported_until_it_recovers(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = log_to(str(folder / "serve.log"), SETTINGS, PAPER)
    log.line(RAN)
    assert log.lost() is None
    folder.rename(tmp_path / "elsewhere")
    log.line(RAN)
    assert "serve.log can't be written: No such file" in str(log.lost())
    folder.mkdir()
    log.line(RAN)
    assert log.lost() is None


def test_full_disk_at_the_start_does_not_refuse_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(json_lines, "open_plain", full)
        log = log_to(str(tmp_path / "serve.log"), SETTINGS, PAPER)
        log.line(RAN)
        assert "No space left" in str(log.lost())
    log.line(RAN)
    assert (log.lost(), (tmp_path / "serve.log").read_text().count("\n")) == (None, 1)


def test_log_to_a_closed_stderr_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    log_to("-", SETTINGS, PAPER).line(RAN)
