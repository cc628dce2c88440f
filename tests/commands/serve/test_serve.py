"""`tradebot serve`: two days by its own clock with one-shots between, signals, and the second one that is refused."""

import errno
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from commands.serve import run
from commands.serve.log import Log, log_to
from commands.shared.light_helpers import Identity
from jobs.runner import LogKind, LogLine
from tests.commands.serve.test_watchdog_thread import SETTINGS
from tests.kit.bot.folder import Bot, blank, log, made
from tradebot.adapters.state import json_lines
from tradebot.adapters.state.state_folder import cannot_write
from tradebot.adapters.text import redaction
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.event import EventKind
from tradebot.model.record import Job
from tradebot.model.trading import Mode

HOURLY = """
timetable:
  outcomes: null
  parity: null
  report: null
  summary: null
  fetch-flow: every 1h from open+2m until close
  score: at open+2m
  evaluate-exits: every 15m from open+2m until close
  trade-once: every 1h from open+2m until close-15m
  reconcile: every 1h from open+1m until close, at close-1m
"""
ONCE = """
timetable: {fetch-flow: at open+2m, score: at open+2m, evaluate-exits: every 15m from open+2m, trade-once: at open+2m,
            reconcile: at open+1m}
"""
OPEN = timedelta(hours=14, minutes=30)
NINE_THIRTY, MINUTE = datetime(2026, 11, 16, 9, 30, tzinfo=ZoneInfo("America/New_York")), timedelta(minutes=1)
CLOSES = {"2026-11-25": timedelta(hours=21), "2026-11-27": timedelta(hours=18)}
"""The sessions around Thanksgiving and their closes in UTC: the Thursday is a holiday, the Friday half a day."""
QUIT = """
import os, signal, sys, time
from commands.serve.watchdog_thread import StopRequest
stop = StopRequest()
with stop.listening():
    os.kill(os.getpid(), signal.SIGTERM)
    print("asked", stop.asked, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""


@pytest.fixture
def holiday(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bot]:
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_FLOW_AGE_S", "7200")
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_RECONCILE_AGE_S", "7200")
    flags = ("--symbols", "AAPL,MSFT", "--start", "2026-11-25", "--sessions", "2")
    yield from bot_with(HOURLY, flags, tmp_path, capsys)


@pytest.fixture
def day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    yield from bot_with(ONCE, ("--symbols", "AAPL", "--sessions", "1"), tmp_path, capsys)


def bot_with(
    timetable: str, flags: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Bot]:
    with made(tmp_path / "state", *flags, settings=timetable) as path:
        yield Bot(path, capsys)


def until(process: "subprocess.Popen[str]", job: str) -> list[dict[str, Any]]:
    """Read the lines of a running serve up to the first that tells of this job."""
    found: list[dict[str, Any]] = []
    assert process.stdout is not None
    for text in process.stdout:
        found.append(json.loads(text))
        if found[-1]["data"]["job"] == job:
            return found
    raise AssertionError(f"it ended without {job}: {process.communicate()}")


@pytest.mark.campaign
def test_days_around_a_holiday_with_one_shots_between_run_each_slot_once_and_no_entry_outside_its_hours(
    holiday: Bot,
) -> None:
    process = holiday.process("serve", "--speed", "1000000", "--json")
    told = until(process, "trade-once")
    shots = [holiday.says(verb) for verb in ("evaluate-exits", "trade-once", "reconcile")]
    rest, errors = process.communicate(timeout=120)
    told += [json.loads(line) for line in rest.splitlines()]
    assert (process.returncode, [shot.code for shot in shots]) == (0, [0, 0, 0]), errors
    assert "the market has ended" in told[-1]["data"]["said"]
    assert {(line["schema"], line["mode"], line["account"]) for line in told} == {
        ("tradebot.serve/1", "sandbox", holiday.tail())
    }
    assert {line["data"]["kind"] for line in told} == {"note", "ran"}
    passes = Counter((line["data"]["at"][:10], line["data"]["job"], line["data"]["slot"]) for line in told)
    assert [key for key, count in passes.items() if key[2] and count > 1] == []
    assert passes[("2026-11-27", "reconcile", "close-1m")] == 1
    chores = [(line["data"]["job"], line["data"]["slot"], line["data"]["exit_code"]) for line in told if chore(line)]
    assert [(job, slot) for job, slot, _ in chores] == [("backup", "close+5m"), ("audit", "close+10m")]
    assert chores[0][2] == 0
    judge(log(holiday.url))


def chore(line: dict[str, Any]) -> bool:
    return line["data"]["job"] in ("backup", "audit")


def judge(events: list[dict[str, Any]]) -> None:
    """Ask the exchange: each order came once, and the entries of a day inside its hours."""
    posts = [e for e in events if e["event"] == "request" and (e["method"], e["path"]) == ("POST", "/v2/orders")]
    ids = [json.loads(post["body"])["client_order_id"] for post in posts]
    entries = [datetime.fromisoformat(p["at"]) for p, name in zip(posts, ids, strict=True) if ".OPEN." in name]
    assert len(ids) == len(set(ids))
    assert {f"{at:%Y-%m-%d}" for at in entries} == CLOSES.keys()
    for at in entries:
        midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0)
        close = midnight + CLOSES[f"{at:%Y-%m-%d}"]
        assert midnight + OPEN + timedelta(minutes=2) <= at < close - timedelta(minutes=15)


def test_serve_prints_a_row_for_each_pass_with_its_end(day: Bot) -> None:
    said = day.says("serve", "--speed", "1000000")
    shown = re.sub(r"  \[\d+\.\d\d s\]", "", blank(said.out, day.folder))
    shown = re.sub(r"serve \w+/\d+", "serve WHO", shown)
    shown = re.sub(r"(fetch-flow|trade-once|score) {5,}.*", r"\1 …", shown)
    assert (said.code, said.err) == (0, "")
    assert shown.splitlines() == [
        "11-16 09:00:00 ET  started by serve WHO; Ctrl-C stops it after the current pass",
        "11-16 09:00:00 ET  -         reconcile       no difference; 0 positions",
        "11-16 09:00:00 ET  the session is closed; the next one opens 2026-11-16 09:30 ET",
        "11-16 09:31:00 ET  open+1m   reconcile       no difference; 0 positions",
        "11-16 09:32:00 ET  open+2m   fetch-flow …",
        "11-16 09:32:00 ET  open+2m   score …",
        "11-16 09:32:00 ET  open+2m   evaluate-exits  0 candidates = 0 sent",
        "11-16 09:32:00 ET  open+2m   trade-once …",
        *(
            f"11-16 {NINE_THIRTY + minutes * MINUTE:%H:%M:%S} ET  {f'open+{minutes}m':<9} evaluate-exits"
            "  0 candidates = 0 sent"
            for minutes in range(17, 390, 15)
        ),
        "11-16 16:00:00 ET  the market has ended: its last session is over. Next: tradebot init --state-dir NEW",
    ]


def test_serve_started_in_a_session_reports_and_records_missed_slots(day: Bot) -> None:
    day.does("exchange tick open", "exchange tick 1h")
    said = [json.loads(line)["data"] for line in day.says("serve", "--speed", "1000000", "--json").out.splitlines()]
    assert [(line["kind"], line["job"], line["slot"]) for line in said if line["job"]] == [
        ("ran", "reconcile", None),
        ("missed", "evaluate-exits", "open+2m"),
        ("missed", "trade-once", "open+2m"),
        ("ran", "fetch-flow", "open+2m"),
        ("ran", "score", "open+2m"),
        *(("ran", "evaluate-exits", f"open+{minutes}m") for minutes in range(47, 390, 15)),
    ]
    assert "SLOT_MISSED" in day.says("why-no-orders").out


def test_second_serve_is_refused_naming_the_first(holiday: Bot) -> None:
    process = holiday.process("serve", "--speed", "60", "--json")
    until(process, "reconcile")
    second = holiday.says("serve")
    assert (second.code, "it runs everything that is due: tradebot status" in second.err) == (6, True)
    assert f"serve, process {process.pid}, since 20" in second.err
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "stopped by a signal" in json.loads(rest.splitlines()[-1])["data"]["said"]


def test_second_signal_ends_serve_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", QUIT], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "asked True\n")


def test_speed_is_refused_with_a_real_venue() -> None:
    app = cast(App, SimpleNamespace(mode=Mode.PAPER))
    with pytest.raises(OperatorError, match="trades in real time"):
        run(app, by="test", speed=5.0, tell=lambda line: None)


def test_serve_on_a_full_disk_exits_with_the_code_to_try_again(trader: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **more: object) -> None:
        raise cannot_write(trader.folder, OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr("commands.serve.run", full)
    said = trader.says("serve")
    assert (said.code, "free up disk space" in said.err) == (5, True)
    unit = (Path(__file__).parents[3] / "deploy/systemd/tradebot@.service").read_text()
    given_up = next(line for line in unit.splitlines() if line.startswith("RestartPreventExitStatus="))
    assert str(said.code) not in given_up.partition("=")[2].split()


NOW = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
RAN = LogLine(NOW, LogKind.RAN, Job.SCORE, "open+2m", "3 scored", ExitCode.DONE, 0.25)
PAPER = Identity("paper", "alpaca", "6789")


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def own_log(lines: list[str]) -> Log:
    return Log(lines.append, PAPER)


def test_log_lines_of_jobs_and_events_have_the_same_fields(own_log: Log, lines: list[str]) -> None:
    own_log.line(RAN)
    own_log.event(EventKind.STALE_BARS.at(NOW, {"age_s": "90"}, "AAPL"))
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
    assert line["took_s"] == 0.25
    assert line["details"] == {"message": "3 scored"}
    assert line["trading_time"] == "2026-11-16T15:00:00.000000Z"
    assert event["severity"] == "WARN"
    assert event["event_type"] == "stale_bars_detected"
    assert event["symbol"] == "AAPL"
    assert event["job"] is None


def test_event_that_serve_prints_as_a_line_is_logged_once(own_log: Log, lines: list[str]) -> None:
    for kind in (
        EventKind.SERVE_NOTE,
        EventKind.JOB_FAILED,
        EventKind.JOB_FAULT,
        EventKind.EXCEPTION,
        EventKind.SLOT_MISSED,
    ):
        own_log.event(kind.at(NOW, {"message": "said"}))
    assert lines == []


def test_log_holds_no_secret(own_log: Log, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "n0t-for-anybody" * 2
    monkeypatch.setattr(redaction, "_forms", {form: form.encode() for form in redaction.forms(secret)})
    own_log.line(LogLine(NOW, LogKind.FAILED, None, None, f"refused {secret}", ExitCode.ERROR))
    own_log.event(EventKind.FETCH_FAILED.at(NOW, {"found": secret}))
    assert secret not in "".join(lines)
    assert len(lines) == 2


def test_log_file_rotates_within_its_bound_and_survives_a_full_disk(tmp_path: Path) -> None:
    own_log = log_to(str(tmp_path / "serve.log"), SETTINGS, PAPER)
    said = LogLine(NOW, LogKind.NOTE, None, None, "x" * 100_000, ExitCode.DONE)
    for _ in range(25):
        own_log.line(said)
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
    own_log = log_to(str(folder / "serve.log"), SETTINGS, PAPER)
    own_log.line(RAN)
    assert own_log.lost() is None
    folder.rename(tmp_path / "elsewhere")
    own_log.line(RAN)
    assert "serve.log can't be written: No such file" in str(own_log.lost())
    folder.mkdir()
    own_log.line(RAN)
    assert own_log.lost() is None


def test_full_disk_at_the_start_does_not_refuse_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(json_lines, "open_plain", full)
        own_log = log_to(str(tmp_path / "serve.log"), SETTINGS, PAPER)
        own_log.line(RAN)
        assert "No space left" in str(own_log.lost())
    own_log.line(RAN)
    assert (own_log.lost(), (tmp_path / "serve.log").read_text().count("\n")) == (None, 1)


def test_log_to_a_closed_stderr_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    log_to("-", SETTINGS, PAPER).line(RAN)
