"""A running `serve` tells people what happens, through a process of its own."""

import signal
import time

import pytest

from tests.bot import Bot
from tests.receiver import hang, receiving


def configured(bot: Bot) -> None:
    with (bot.folder / "tradebot.yaml").open("a") as file:
        file.write("\nnotify: {channels: {phone: {}}}\n")


def test_running_serve_tells_of_a_halt_within_seconds_and_takes_its_process_along(
    trader: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(trader)
    with receiving() as receiver:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{receiver.address}/hook")
        assert trader.says("notify", "send").code == 0
        serve = trader.process("serve", "--speed", "20")
        try:
            trader.says("halt", "--reason", "a drill")
            deadline = time.monotonic() + 60
            while "a drill" not in receiver.bodies() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert "a drill" in receiver.bodies()
        finally:
            serve.send_signal(signal.SIGTERM)
            serve.communicate(timeout=60)
        assert serve.returncode == 0


def test_receiver_that_hangs_does_not_hold_up_the_end_of_serve(trader: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(trader)
    with receiving(hang) as receiver:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{receiver.address}/hook")
        assert trader.says("notify", "send").code == 0
        trader.says("halt")
        serve = trader.process("serve", "--speed", "20")
        deadline = time.monotonic() + 60
        while not receiver.got and time.monotonic() < deadline:
            time.sleep(0.05)
        began = time.monotonic()
        serve.send_signal(signal.SIGTERM)
        serve.communicate(timeout=60)
        assert serve.returncode == 0
        assert receiver.got
        assert time.monotonic() - began < 15
