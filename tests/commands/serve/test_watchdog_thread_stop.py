"""What each signal means, at a terminal and without one."""

import os
import signal

import pytest

from commands.serve.watchdog_thread import StopRequest
from tradebot.errors import ExitCode


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


def test_first_request_decides_the_exit_code() -> None:
    stop = StopRequest()
    stop.end(ExitCode.ERROR)
    stop.end()
    assert stop.code is ExitCode.ERROR


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
