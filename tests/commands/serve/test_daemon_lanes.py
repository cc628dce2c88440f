"""`serve` in real time, with a thread for each lane: it goes on with other settings, and ends when it is told to."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands.serve.daemon import Daemon
from jobs.runner import LogKind, LogLine
from tests.commands.serve.test_lanes import TIMETABLE, in_real_time
from tests.kit.bot.folder import Bot, made
from tests.kit.values import there
from tests.kit.waiting import until
from tradebot.adapters.state.serve_status import read_serving
from tradebot.adapters.time.clock import RealTime
from tradebot.app.loading import Options, load_for
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, TemporaryError
from tradebot.model.record import Job


class InRealTime(Daemon):
    """A `serve` whose exchange moves by itself, and doesn't answer at first as often as is wanted."""

    away = 0

    def _clock(self, app: App) -> RealTime:
        if self.away:
            self.away -= 1
            raise TemporaryError("the broker doesn't answer")
        return RealTime(app.now)

    def _runs_in_real_time(self, app: App) -> bool:
        return True


@pytest.fixture
def bot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    hasty = TIMETABLE + "serve: {retry_s: 1}\n"
    with made(tmp_path / "state", "--symbols", "AAPL", "--sessions", "1", settings=hasty) as path:
        yield Bot(path, capsys)


def run(bot: Bot, meanwhile: Callable[[list[LogLine]], None], away: int = 0) -> tuple[ExitCode, list[LogLine]]:
    lines, failed = list[LogLine](), list[BaseException]()

    def beside() -> None:
        try:
            meanwhile(lines)
        except BaseException as error:  # noqa: BLE001 -- it is raised below
            failed.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    with in_real_time(bot) as app:
        daemon = InRealTime(
            app, "test/1", None, lines.append, None, lambda: load_for(app.folder, Options(str(bot.folder)), {})
        )
        daemon.away = away
        other = threading.Thread(target=beside)
        other.start()
        code = daemon.run()
        other.join()
    assert not failed, failed
    return code, lines


@pytest.mark.campaign
def test_lanes_continue_with_reloaded_settings_and_end_when_told(bot: Bot) -> None:
    file = bot.folder / "tradebot.yaml"

    def meanwhile(lines: list[LogLine]) -> None:
        until(lambda: any(line.job == Job.EVALUATE_EXITS for line in lines))
        before = len(lines)
        file.write_text(file.read_text().replace("retry_s: 1", "retry_s: 2, stall_s: 200"))
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: "config_reloaded" in (bot.folder / "system_events.jsonl").read_text())
        until(lambda: any(line.job == Job.EVALUATE_EXITS for line in lines[before:]))

    threads = threading.active_count()
    code, lines = run(bot, meanwhile)
    assert code is ExitCode.DONE
    assert [line.said for line in lines if line.kind is LogKind.NOTE][-1].startswith("stopped by a signal")
    assert not [line for line in lines if line.kind is LogKind.FAULT]
    assert threading.active_count() == threads
    noted = there(read_serving(bot.folder))
    assert (noted.ready_at is not None, noted.troubles) == (True, {})


@pytest.mark.campaign
def test_serve_waits_for_the_broker_and_then_begins(bot: Bot) -> None:
    code, lines = run(bot, lambda lines: until(lambda: any(line.job == Job.EVALUATE_EXITS for line in lines)), away=2)
    assert code is ExitCode.DONE
    expected = ["the broker doesn't answer; trying again in 1 s", "the broker doesn't answer; trying again in 2 s"]
    assert [line.said for line in lines if line.kind is LogKind.FAILED][:2] == expected
    assert there(read_serving(bot.folder)).troubles == {}


def test_signal_while_serve_waits_for_the_broker_ends_it_well(bot: Bot) -> None:
    code, lines = run(bot, lambda lines: until(lambda: lines), away=1_000)
    assert (code, {line.kind for line in lines}) == (ExitCode.DONE, {LogKind.FAILED})
