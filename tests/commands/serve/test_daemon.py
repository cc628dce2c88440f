"""The life of a real `serve`: signals, other settings, its manager, its log, a venue that hangs, and a crash loop.

A running `serve` tells people what happens, through a process of its own.
"""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from commands.serve.daemon import Reloading
from commands.serve.watchdog_thread import StopRequest
from tests.commands.serve.test_watchdog_thread import WatchScene
from tests.kit.bot.folder import Bot, log
from tests.kit.bot.state import configure
from tests.kit.fakes.receivers import TOKEN, chatting, hang, receiving
from tests.kit.values import there
from tests.kit.waiting import until
from tradebot.adapters.state.serve_status import MOST_STARTS, is_running, read_serving, record_start
from tradebot.adapters.state.state_folder import STALL_TRACE, STARTS
from tradebot.app.settings import Loaded, load
from tradebot.errors import ConfigurationError
from tradebot.model.struct_tools import replace

PLAIN = "shadow: false"


def loaded(folder: Path, text: str) -> Loaded:
    (folder / "mine.yaml").write_text(text)
    return load(folder / "mine.yaml", {})


class ReloadScene:
    """A running `serve` as far as a reload is concerned, whose file is rewritten by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.scene, self.asked = folder, WatchScene(folder), list[str]()
        self.stop = self.scene.stop
        self.stop.ask = lambda: self.asked.append("asked")
        now = loaded(folder, PLAIN)
        self.reloading = Reloading(
            lambda: load(folder / "mine.yaml", {}), now, self.stop, self.scene.watch, self.scene.events
        )

    def rewrite(self, text: str) -> None:
        (self.folder / "mine.yaml").write_text(text)
        self.stop.reload_asked = True
        self.reloading.look()

    def trouble(self) -> str | None:
        self.scene.pass_s(1)
        noted = read_serving(self.folder)
        return noted.troubles.get("config") if noted else None


@pytest.fixture
def desk(tmp_path: Path) -> ReloadScene:
    return ReloadScene(tmp_path)


def test_valid_reload_ends_the_passes_once_and_is_taken_once(desk: ReloadScene) -> None:
    desk.rewrite("limits: {max_open_positions: 7}")
    desk.reloading.look()
    assert (desk.asked, desk.scene.types(), desk.stop.reloading) == (["asked"], ["config_reloaded"], True)
    assert there(desk.reloading.take()).settings.limits.max_open_positions == 7
    assert (desk.stop.reloading, desk.reloading.take()) == (False, None)


def test_what_learning_wrote_reloads_the_settings_without_a_signal(desk: ReloadScene) -> None:
    desk.reloading.learning = lambda: 5
    desk.reloading.look()
    desk.reloading.look()
    assert desk.scene.types() == ["config_reloaded"]


@pytest.mark.parametrize(
    "text", ["limits: {max_open_positions: many}", "limits: [", "nonsense: 1", "strategies: {nobodys: {speed: 1}}"]
)
def test_invalid_reload_keeps_the_settings_until_a_valid_one(desk: ReloadScene, text: str) -> None:
    desk.rewrite(text)
    assert (desk.asked, desk.scene.types()) == ([], ["config_not_reloaded"])
    assert "wasn't reloaded" in str(desk.trouble())
    assert desk.reloading.take() is None
    desk.rewrite(PLAIN)
    assert desk.trouble() is None
    assert desk.scene.events.emitted[-1].details["message"].endswith("nothing in it changed")
    assert desk.asked == []


def test_reload_lowers_a_limit_although_the_package_of_a_running_strategy_is_gone(desk: ReloadScene) -> None:
    # It was installed when the bot began, and each pass tells that it isn't any more.
    gone = "strategies: {gone: {speed: 1}}"
    desk.reloading.now = loaded(desk.folder, gone)
    desk.rewrite(f"{gone}\nlimits: {{max_open_positions: 7}}")
    assert desk.scene.types() == ["config_reloaded"]
    assert there(desk.reloading.take()).settings.limits.max_open_positions == 7


def test_reload_of_a_file_that_could_not_be_read_counts_even_if_it_says_what_was_accepted(desk: ReloadScene) -> None:
    desk.reloading.now = replace(desk.reloading.now, unread=ConfigurationError("nonsense"))
    desk.rewrite(PLAIN)
    taken = desk.reloading.take()
    assert desk.asked == ["asked"]
    assert taken is not None
    assert taken.unread is None, "entries may be opened again"


def test_service_manager_hears_the_beginning_and_end_of_a_reload(desk: ReloadScene) -> None:
    heard = desk.scene.manager.heard
    desk.rewrite(PLAIN)
    assert heard == [], "it isn't ready yet"
    desk.scene.watch.ready()
    for text in (PLAIN, "nonsense: 1"):
        heard.clear()
        desk.rewrite(text)
        assert [("RELOADING" in state, "READY" in state) for state in heard] == [(True, False), (False, True)]
        assert int(heard[0]["MONOTONIC_USEC"]) > 0
    heard.clear()
    desk.rewrite("limits: {max_open_positions: 7}")
    assert ["RELOADING" in state for state in heard] == [True], "it is over once the lanes have begun again"


def test_end_asked_for_during_a_reload_counts(desk: ReloadScene) -> None:
    desk.rewrite("limits: {max_open_positions: 7}")
    desk.stop.end()
    assert desk.reloading.take() is None


def test_second_reload_during_a_reload_runs_after_it(desk: ReloadScene) -> None:
    desk.rewrite("limits: {max_open_positions: 7}")
    desk.rewrite("limits: {max_open_positions: 6}")
    assert desk.scene.types() == ["config_reloaded"]
    assert desk.reloading.take() is not None
    desk.reloading.look()
    assert there(desk.reloading.take()).settings.limits.max_open_positions == 6


def test_fetch_is_cut_short_only_by_a_signal_or_a_reload() -> None:
    stop = StopRequest()
    stop.between_calls(1, 2)
    for ask in (stop.reload, stop.end):
        ask()
        with pytest.raises(Exception, match="after 1 of 2 calls"):
            stop.between_calls(1, 2)


LONGEST_S = 60.0
HANGING_ORDER = "- {name: hanging-order, when: {request: submit, at_most: 1}, what: {hang: 30s}}"
SLOW_ORDER = "- {name: slow-order, when: {request: submit, at_most: 1}, what: {hang: 4s, then: answer}}"
HANGING_PRICES = "- {name: hanging-prices, when: {request: positions}, what: {hang: 30s}}"


@contextmanager
def serving(bot: Bot, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `serve` a minute a second in its own process, once it is ready."""
    process = bot.process("serve", "--speed", "60", *options)
    try:
        until(lambda: process.poll() is not None or (is_running(bot.folder) and ready(bot, process.pid)))
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def ending_well(bot: Bot) -> Iterator["subprocess.Popen[str]"]:
    """Run `serve` in its own process, end it, and require that it ended well."""
    serve = bot.process("serve", "--speed", "20")
    try:
        yield serve
    finally:
        serve.send_signal(signal.SIGTERM)
        serve.communicate(timeout=60)
    assert serve.returncode == 0


def ready(bot: Bot, pid: int) -> bool:
    """Return True once this process says so; a killed one leaves its note behind."""
    noted = read_serving(bot.folder)
    return noted is not None and noted.pid == pid and noted.ready_at is not None


def arm(bot: Bot, script: str) -> None:
    assert requests.post(f"{bot.url}/exchange/v1/faults", data=script, timeout=30).status_code == 200


def fired(bot: Bot) -> bool:
    return any(event["event"] == "fault_fired" for event in log(bot.url))


def events(bot: Bot, kind: str) -> list[dict[str, Any]]:
    lines = (bot.folder / "system_events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event_type"] == kind]


def trouble(bot: Bot, subsystem: str) -> str | None:
    noted = read_serving(bot.folder)
    return noted.troubles.get(subsystem) if noted else None


@pytest.mark.campaign
def test_signal_ends_serve_after_its_budget_with_an_unanswered_order(
    trader: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEBOT_SERVE__STOP_S", "1")
    arm(trader, HANGING_ORDER)
    with serving(trader) as process:
        until(lambda: fired(trader))
        asked_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_S) == 0
        assert time.monotonic() - asked_s < 10, "it waited for the venue"
    assert json.loads((trader.folder / STARTS).read_text()) == []
    promised = [event for event in log(trader.url) if event["event"] == "request" and event["method"] == "POST"]
    assert trader.says("reconcile").code == 0
    assert trader.json("status")["unresolved"] == []
    accepted = [event["client_order_id"] for event in log(trader.url) if event["event"] == "order_accepted"]
    assert len(accepted) == len(set(accepted)) == 1
    assert [event for event in log(trader.url) if event["event"] == "request" and event["method"] == "POST"] == promised


def test_signal_lets_the_order_in_flight_end(trader: Bot) -> None:
    arm(trader, SLOW_ORDER)
    with serving(trader) as process:
        until(lambda: fired(trader))
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_S) == 0
    assert len([event for event in log(trader.url) if event["event"] == "order_accepted"]) == 1
    assert trader.json("status")["unresolved"] == []


def test_hanging_lane_ends_the_process_with_a_trace(trader: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEBOT_SERVE__STALL_S", "2")
    monkeypatch.setenv("TRADEBOT_SERVE__STALL_END_S", "4")
    with serving(trader) as process:
        arm(trader, HANGING_PRICES)
        assert process.wait(LONGEST_S) == 1
    assert trouble(trader, "lane lock-step")
    assert {event["details"]["lane"] for event in events(trader, "lane_stalled")} == {"lock-step"}
    assert "http" in (trader.folder / STALL_TRACE).read_text()
    assert len(json.loads((trader.folder / STARTS).read_text())) == 1


def test_crash_loop_closes_entries_and_exits_continue(trader: Bot) -> None:
    for _ in range(MOST_STARTS):
        record_start(trader.folder, datetime.now(UTC))
    with serving(trader) as process:
        until(lambda: len(log(trader.url)) and exits(trader) > 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_S) == 0
    status = trader.json("status")
    why = f"CRASH_LOOP: {MOST_STARTS + 1} against {MOST_STARTS}"
    assert (status["trading_state"], status["trading_why"]) == ("REDUCE_ONLY", why)
    assert not [event for event in log(trader.url) if event["event"] == "order_accepted"]
    assert trader.says("unhalt", "--reason", "seen", "--confirm", trader.tail()).code == 0
    assert json.loads((trader.folder / STARTS).read_text()) == [], "the next start would halt it again"


def exits(bot: Bot) -> int:
    slots = {row["job"]: row["slot"] for row in bot.json("status")["passes"]}
    return int((slots.get("evaluate-exits") or "open+0m")[5:-1]) - 30


def test_killed_start_counts_and_an_ended_one_does_not(trader: Bot) -> None:
    with serving(trader) as process:
        process.kill()
        process.wait()
    assert not is_running(trader.folder)
    with serving(trader) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(LONGEST_S) == 0
    assert len(json.loads((trader.folder / STARTS).read_text())) == 1


def test_serve_takes_a_valid_reload_and_refuses_an_invalid_one(trader: Bot) -> None:
    file = trader.folder / "tradebot.yaml"
    valid = file.read_text()
    with serving(trader) as process:
        file.write_text(f"{valid}\nserve: {{stall_s: many}}\n")
        process.send_signal(signal.SIGHUP)
        until(lambda: trouble(trader, "config"))
        assert "serve.stall_s" in str(trouble(trader, "config"))
        file.write_text(f"{valid}\nserve: {{stall_s: 200, log_mb: 3}}\n")
        process.send_signal(signal.SIGHUP)
        until(lambda: events(trader, "config_reloaded"))
        before = trader.json("status")["as_of"]
        until(lambda: trader.json("status")["as_of"] > before)
        until(lambda: trouble(trader, "config") is None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_S) == 0
    (invalid,) = events(trader, "config_not_reloaded")
    assert "must be a whole number" in invalid["details"]["message"]
    (reloaded,) = events(trader, "config_reloaded")
    assert reloaded["details"]["message"] == (
        "the configuration was reloaded: serve.stall_s from 300 to 200, serve.log_mb from 10 to 3; "
        "restart serve for serve.log_mb"
    )


def test_systemd_hears_ready_watchdog_stopping(trader: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LONGEST_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with serving(trader) as process:
            heard = [manager.recv(4096).decode() for _ in range(4)]
            assert heard[0].startswith("READY=1\nSTATUS=")
            assert "WATCHDOG=1" in heard
            with (trader.folder / "tradebot.yaml").open("a") as file:
                file.write("serve: {stall_s: 200}\n")
            process.send_signal(signal.SIGHUP)
            while not heard[-1].startswith("RELOADING=1\nMONOTONIC_USEC="):
                heard.append(manager.recv(4096).decode())
            while not heard[-1].startswith("READY=1"):
                heard.append(manager.recv(4096).decode())
            process.send_signal(signal.SIGTERM)
            assert process.wait(LONGEST_S) == 0
        manager.setblocking(False)
        while "STOPPING=1" not in heard[-1]:
            heard.append(manager.recv(4096).decode())


def test_lost_log_shows_in_health_until_it_is_written_again(trader: Bot) -> None:
    folder = trader.folder.parent / "logs"
    folder.mkdir()
    with serving(trader, "--log", str(folder / "serve.log")):
        folder.rename(trader.folder.parent / "elsewhere")
        until(lambda: trouble(trader, "log"))
        served = next(part for part in trader.json("health")["judgments"] if part["subject"] == "serve")
        assert (served["state"], "serve.log can't be written" in served["found"]) == ("DEGRADED", True)
        folder.mkdir()
        until(lambda: not trouble(trader, "log"))


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
        with ending_well(trader):
            trader.says("halt", "--reason", "a drill")
            until(lambda: "a drill" in receiver.bodies())


@pytest.mark.campaign
def test_receiver_that_hangs_does_not_hold_up_the_end_of_serve(trader: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(trader)
    with receiving(hang) as receiver:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{receiver.address}/hook")
        assert trader.says("notify", "send").code == 0
        trader.says("halt")
        serve = trader.process("serve", "--speed", "20")
        until(lambda: receiver.got)
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
        with ending_well(trader):
            for text in (code, "halt"):
                fake.updates.append(fake.typed(text))
                until(lambda: not fake.updates)
            until(lambda: "Halt?" in fake.texts()[-1])
            fake.updates.append(fake.button("Yes, halt"))
            until(lambda: fake.texts()[-1].startswith("Halted: REDUCE_ONLY."))
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
        with ending_well(trader) as serve:
            until(lambda: trader.json("chat", "status")["listening"])
            for text, listening in ((off, False), (on, True)):
                settings.write_text(text)
                serve.send_signal(signal.SIGHUP)
                until(lambda: trader.json("chat", "status")["listening"] is listening)  # noqa: B023 -- it runs now
