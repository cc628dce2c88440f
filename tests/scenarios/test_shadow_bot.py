"""A bot in shadow: it decides and records like any other, every document says so, and the exchange hears nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot import Bot, log, made, second_session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a bot in shadow."""
    with made(tmp_path_factory.mktemp("shadow") / "state", "--shadow") as path:
        yield path


def asked_to_change(bot: Bot) -> list[tuple[str, str]]:
    """Return the writes that the exchange was ever asked for."""
    asked = [event for event in log(bot.url) if event["event"] == "request"]
    return [(event["method"], event["path"]) for event in asked if event["path"].startswith("/v2/")]


def test_its_folder_remembers_that_it_is_in_shadow(bot: Bot) -> None:
    assert "shadow: true" in (bot.folder / "tradebot.yaml").read_text()


def test_entries_are_decided_and_recorded_and_none_is_sent(bot: Bot) -> None:
    second_session(bot)
    said = bot.says("trade-once", "--json")
    assert said.code == 0
    assert said.data["refused"]["SHADOW"] > 0
    assert (said.data["orders"], said.data["dry_run"]) == (0, False)
    assert '"mode": "sandbox shadow"' in said.out
    assert asked_to_change(bot) == []


def test_a_person_is_told_on_every_screen(bot: Bot) -> None:
    bot.says("exchange", "tick", "5m")
    bot.says("fetch-flow")
    bot.says("reconcile")
    assert " in shadow mode, not sent + " in bot.shown("trade-once")
    assert bot.shown("status").startswith("sandbox shadow, account …TAIL")
    assert "SHADOW" in bot.shown("why-no-orders")


def test_a_dry_run_is_still_a_dry_run(bot: Bot) -> None:
    refused = bot.json("trade-once", "--dry-run")["refused"]
    assert "SHADOW" not in refused
    assert refused["DRY_RUN"] > 0


def test_nothing_can_be_sent_by_any_other_way(bot: Bot) -> None:
    assert bot.says("evaluate-exits").code == 0
    assert bot.says("halt", "--flatten", "--confirm", "FLATTEN").code == 0
    assert asked_to_change(bot) == []


def test_the_same_bot_sends_once_its_own_file_takes_it_out_of_shadow(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEBOT_SHADOW", "false")
    assert bot.says("status").code == 3, "a variable left in some shell is no decision"
    own = bot.folder / "tradebot.yaml"
    own.write_text(own.read_text().replace("shadow: true", "shadow: false"))
    assert bot.says("unhalt", "--confirm", bot.tail()).code == 0
    bot.says("exchange", "tick", "5m")
    bot.says("fetch-flow")
    bot.says("reconcile")
    assert bot.json("trade-once", "--force-slot")["orders"] == 0, "it was accepted in shadow"
    assert bot.says("evaluate-exits", "--force-slot").code in (0, 3)
    assert asked_to_change(bot) == []
    assert bot.says("config", "accept", "--confirm", bot.tail()).code == 0
    sent = bot.json("trade-once", "--force-slot")["orders"]
    assert asked_to_change(bot) == [("POST", "/v2/orders")] * sent
    assert sent


def test_permission_has_no_say_in_shadow_because_no_order_reaches_it(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_ORDERS", "no")
    own = bot.folder / "tradebot.yaml"
    own.write_text(own.read_text().replace("shadow: false", "shadow: true"))
    try:
        assert "Permission open" in bot.says("status").out
        assert "SHADOW" not in bot.json("trade-once", "--dry-run", "--force-slot")["refused"]
    finally:
        own.write_text(own.read_text().replace("shadow: true", "shadow: false"))
    assert "Permission closed: ORDER_GATE_CLOSED (ALLOW_ORDERS says no): no orders are sent" in bot.says("status").out


def test_another_configuration_does_not_take_a_folder_out_of_shadow(bot: Bot, tmp_path: Path) -> None:
    own = bot.folder / "tradebot.yaml"
    before = own.read_text()
    own.write_text(before.replace("shadow: false", "shadow: true"))
    (tmp_path / "other.yaml").write_text("limits: {max_new_entries: 2}\n")
    try:
        said = bot.says("trade-once", "--config", str(tmp_path / "other.yaml"))
        assert (said.code, "is in shadow" in said.err) == (3, True)
    finally:
        own.write_text(before)
