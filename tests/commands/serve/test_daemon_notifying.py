"""A running `serve` tells people what happens, through a process of its own."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.kit.bot.folder import Bot
from tests.kit.bot.state import configure
from tests.kit.fakes.receivers import TOKEN, chatting, hang, receiving


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


@pytest.mark.campaign
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


@pytest.mark.campaign
def test_running_serve_answers_its_chat_and_takes_the_listener_along(
    trader: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_TELEGRAM_TOKEN", TOKEN)
    with chatting() as fake:
        configure(trader.folder, f"\nchat: {{telegram: {{url: '{fake.address}'}}}}\n")
        code = trader.json("chat", "pair")["code"]
        serve = trader.process("serve", "--speed", "20")
        try:
            for text in (code, "halt"):
                fake.updates.append(fake.typed(text))
                wait_for(lambda: not fake.updates)
            wait_for(lambda: "Halt?" in fake.texts()[-1])
            fake.updates.append(fake.button("Yes, halt"))
            wait_for(lambda: fake.texts()[-1].startswith("Halted: REDUCE_ONLY."))
        finally:
            serve.send_signal(signal.SIGTERM)
            serve.communicate(timeout=60)
        assert serve.returncode == 0
        assert trader.json("status")["trading_why"] == "asked for in the paired chat by person 7001"
        asked = len(fake.asked)
        time.sleep(1)
        assert len(fake.asked) == asked
        assert trader.json("chat", "status")["listening"] is False


@pytest.mark.campaign
def test_a_reload_that_turns_the_chat_off_ends_the_listener_and_one_that_turns_it_on_begins_another(
    trader: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_TELEGRAM_TOKEN", TOKEN)
    with chatting() as fake:
        settings = trader.folder / "tradebot.yaml"
        off = settings.read_text()
        configure(trader.folder, f"\nchat: {{telegram: {{url: '{fake.address}'}}}}\n")
        on = settings.read_text()
        serve = trader.process("serve", "--speed", "20")
        try:
            wait_for(lambda: trader.json("chat", "status")["listening"])
            for text, listening in ((off, False), (on, True)):
                settings.write_text(text)
                serve.send_signal(signal.SIGHUP)
                wait_for(lambda: trader.json("chat", "status")["listening"] is listening)  # noqa: B023 -- it runs now
        finally:
            serve.send_signal(signal.SIGTERM)
            serve.communicate(timeout=60)
        assert serve.returncode == 0


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert done()
