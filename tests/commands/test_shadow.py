"""`tradebot shadow`: a strategy trades beside the others, and the exchange hears nothing of it."""

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import requests

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import KEYS, Bot, made
from tests.kit.bot.state import accept
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.shadow_strategies import ShadowApp
from tradebot.errors import ExitCode
from tradebot.model.reasons import Reason

FOLLOWED = "timetable: {shadow: {verb: shadow, when: every 5m from open+3m until close, late: skip, limit: 4m}}\n"


def put_in_shadow(folder: Path, more: str = "") -> None:
    file = folder / "tradebot.yaml"
    file.write_text(file.read_text().replace("{flow: {", "{flow: {shadow: true, ") + more)


def prepare_bot(folder: Path) -> None:
    put_in_shadow(folder, FOLLOWED)
    accept(folder)


def orders_at_the_exchange(bot: Bot) -> Sequence[Any]:
    found: Sequence[Any] = requests.get(f"{bot.url}/v2/orders?status=all", headers=KEYS, timeout=5).json()
    return found


def ticked(bot: Bot, by: str) -> None:
    for line in (("exchange", "tick", by), ("fetch-flow",), ("score",)):
        assert bot.says(*line).code == 0


def followed_until_it_enters(bot: Bot) -> tuple[int, Any]:
    """Follow it every ten minutes until it opens something, for two hours at most."""
    for _ in range(12):
        ticked(bot, "10m")
        said = bot.says("shadow", "--json")
        if said.data["strategies"][0]["entries"] or orders_at_the_exchange(bot):
            break
    return said.code, said.data["strategies"][0]


def test_strategy_in_shadow_trades_with_books_of_its_own_and_sends_nothing(bot: Bot) -> None:
    bot.does("reconcile", "exchange tick 30m")
    code, row = followed_until_it_enters(bot)
    assert (code, row["strategy"], row["why"], row["problem"]) == (ExitCode.DONE, "flow", "shadow: true", "")
    assert row["entries"] > 0
    assert row["exits"] > 0, "what it opened has its stop at once"
    assert row["positions"] > 0
    assert set(bot.says("trade-once", "--force-slot", "--json").data["refused"]) == {Reason.IN_SHADOW}
    assert orders_at_the_exchange(bot) == []
    assert bot.json("positions")["positions"] == []
    shadow = str(bot.folder / "shadow" / "flow")
    assert len(bot.says("positions", "--state-dir", shadow, "--json").data["positions"]) == row["positions"]
    assert "Books compared" in bot.says("status", "--state-dir", shadow).out
    assert "IN_SHADOW" in bot.says("why-no-orders").out


def test_time_goes_on_for_it_and_its_books_agree_with_its_account(bot: Bot) -> None:
    ticked(bot, "30m")
    said = bot.shown("shadow")
    assert "shadow: true" in said
    assert "Next: tradebot report/shadow/flow" in said
    with closing(SqliteLedger.view(bot.folder / "shadow" / "flow", "SHADOW-flow")) as books:
        mark = books.last_reconcile()
        assert mark is not None
        assert mark.blocking == 0
        assert books.fills()
    assert orders_at_the_exchange(bot) == []


@pytest.mark.parametrize("line", ["trade-once", "evaluate-exits", "reconcile"])
def test_nothing_but_its_bot_trades_in_its_folder(bot: Bot, line: str) -> None:
    refuses(
        bot.says(line, "--state-dir", str(bot.folder / "shadow" / "flow")),
        ExitCode.USAGE,
        "only tradebot shadow trades in it",
        "to trade now: tradebot shadow\n",
    )


def test_halt_of_its_own_is_told_and_a_person_ends_it(bot: Bot) -> None:
    shadow = str(bot.folder / "shadow" / "flow")
    assert bot.says("halt", "--reason", "looks odd", "--state-dir", shadow).code == ExitCode.DONE
    said = " ".join(bot.says("shadow").out.split())
    assert "flow sends no entries: REDUCE_ONLY" in said
    assert 'to end that halt: tradebot unhalt --reason "…"/shadow/flow' in said
    assert bot.says("unhalt", "--confirm", "flow", "--state-dir", shadow).code == ExitCode.USAGE
    ended = bot.says("unhalt", "--reason", "was nothing", "--confirm", "flow", "--state-dir", shadow)
    assert ended.code == ExitCode.DONE
    assert bot.json("shadow")["strategies"][0]["halted"] == ""


def test_what_it_shows_counts_for_its_promotion_once_its_values_are_those_of_the_bot(bot: Bot) -> None:
    sources = bot.json("promote", "flow")["sources"]
    assert ([row["traded"] for row in sources], sources[1]["why_not"]) == (["sandbox", "shadow"], "")
    file = bot.folder / "shadow" / "flow" / "tradebot.yaml"
    kept = file.read_text()
    file.write_text(kept.replace("min_cluster: 1", "min_cluster: 2"))
    try:
        assert "other settings" in bot.json("promote", "flow")["sources"][1]["why_not"]
    finally:
        file.write_text(kept)


@pytest.mark.parametrize(("name", "why"), [("venue.json", "venue.json can't be read"), ("ledger.db", "is missing")])
def test_one_that_cannot_be_followed_says_why_and_that_it_may_begin_anew(bot: Bot, name: str, why: str) -> None:
    file = bot.folder / "shadow" / "flow" / name
    kept = file.rename(file.with_suffix(".kept"))
    said = bot.says("shadow", "--json")
    assert said.code == ExitCode.FINDINGS
    assert why in said.data["strategies"][0]["problem"]
    assert f"shadow books hold no real money: remove {file.parent}" in said.data["strategies"][0]["problem"]
    assert [bool(row["why_not"]) for row in bot.json("promote", "flow")["sources"]] == [False, name == "ledger.db"]
    kept.rename(file)
    assert bot.says("shadow").code == ExitCode.DONE


def test_lost_marker_loses_no_books(bot: Bot) -> None:
    before = bot.json("shadow")["strategies"][0]
    (bot.folder / "shadow" / "flow" / "state.id").unlink()
    after = bot.json("shadow")["strategies"][0]
    assert (after["since"], after["result"]) == (before["since"], before["result"])


def test_strategy_with_positions_at_the_broker_waits_until_they_are_closed(bot: Bot) -> None:
    with patch("commands.shadow.count_open_positions", lambda app, name: 2):
        said = bot.says("shadow")
    assert "in shadow once its 2 positions at the broker are closed" in " ".join(said.out.split())


def test_no_shadow_is_said_and_an_unfollowed_one_does_not_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with made(tmp_path / "state") as path:
        other = Bot(path, capsys)
        assert "No strategy is in shadow" in other.says("shadow").out
        put_in_shadow(path)
        refused = other.says("config", "check")
    assert refused.code == ExitCode.USAGE
    assert "no line of the timetable runs `shadow`" in refused.err


def test_bot_that_sends_nothing_at_all_has_simulated_fills_in_shadow_too(bot: Bot) -> None:
    file = bot.folder / "tradebot.yaml"
    kept = file.read_text()
    shutil.rmtree(bot.folder / "shadow")
    file.write_text(f"shadow: true\n{kept}")
    try:
        _, row = followed_until_it_enters(bot)
    finally:
        file.write_text(kept)
    assert row["entries"] > 0
    assert orders_at_the_exchange(bot) == []


def test_order_that_went_to_the_broker_would_be_seen(bot: Bot) -> None:
    """A broken bot: one whose orders go where the real ones do."""
    shutil.rmtree(bot.folder / "shadow")
    with patch.object(ShadowApp, "orders", property(lambda self: self._of.orders)):
        followed_until_it_enters(bot)
    assert orders_at_the_exchange(bot) != []
