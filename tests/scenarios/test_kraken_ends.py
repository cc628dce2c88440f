"""A contract at Kraken Futures that ends while the bot holds it: settled, booked, told, and never sent for again."""

import json
import signal
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from papervenue.market import coins
from papervenue.market.venue import Venue
from tests.commands.serve.test_lanes import arm
from tests.kit.bot.folder import Bot, discard, log, typed
from tests.kit.waiting import until
from tradebot.model.struct_tools import replace

SYMBOL, ENDS = "PF_SOLUSD", "2026-11-16T00:30:00Z"


@pytest.fixture
def bot(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bot]:
    """Yield a bot with a position in a contract that ends half an hour into the day."""
    made = coins.kraken_venue

    def ending(seed: int, symbols: Sequence[str], *, recorded: bool = False) -> Venue:
        venue = made(seed, symbols, recorded=recorded)
        ends = (replace(one, last_trading=ENDS) if one.symbol == SYMBOL else one for one in venue.instruments)
        return replace(venue, instruments=tuple(ends))

    monkeypatch.setattr(coins, "kraken_venue", ending)
    state = tmp_path / "state"
    said = typed(capsys, "init", "--venue", "kraken_futures", "--symbols", "3", "--state-dir", str(state))
    assert said.code == 0, said.err
    bot = Bot(state, capsys)
    bot.does("exchange tick open", "exchange tick 6m", "reconcile", "trade-once --force-slot")
    bot.does("exchange tick 3m", "evaluate-exits")
    assert [row["symbol"] for row in bot.json("positions")["positions"]] == [SYMBOL]
    yield bot
    discard(state)


def test_a_contract_that_ends_while_held_is_settled_booked_told_once_and_not_sent_for_again(bot: Bot) -> None:
    assert bot.says("exchange", "tick", "21m").code == 0
    for minute in range(2):
        assert bot.says("evaluate-exits").code == 0, minute
        assert bot.json("positions")["positions"] == []
        assert bot.says("exchange", "tick", "1m").code == 0
    assert bot.json("reconcile")["findings"] == []
    (trade,) = bot.json("trades")["trades"]
    assert (trade["symbol"], trade["strategy"], trade["reasons"]) == (SYMBOL, "rotation", ["settlement"])
    pnl = bot.json("pnl")["pnl"]
    assert Decimal(pnl["compared"]["difference_usd"]) == 0
    assert Decimal(pnl["total"]["total_usd"]) == Decimal(pnl["after_usd"]) - Decimal(pnl["before_usd"])
    events = [one for one in bot.json("events")["events"] if one["severity"] != "INFO"]
    assert [(one["event_type"], one["symbol"]) for one in events] == [("settled", SYMBOL)]
    assert events[0]["details"]["strategies"] == "rotation"
    _sends_nothing_more(bot)


def _sends_nothing_more(bot: Bot) -> None:
    before = len([event for event in log(bot.url) if event["event"] == "order_accepted"])
    assert bot.says("trade-once", "--force-slot").code == 0
    assert "TRADING_SUSPENDED" in bot.says("why-no-orders", SYMBOL).out
    assert len([event for event in log(bot.url) if event["event"] == "order_accepted"]) == before
    audited = {row["subject"]: row["state"] for row in json.loads(bot.says("audit", "--json").out)["data"]["judgments"]}
    assert (audited["last scores"], audited["ledger against broker"]) == ("SKIPPED", "OK")


def test_a_serve_that_a_refused_key_has_ended_is_no_healthy_bot_until_it_runs_again(bot: Bot) -> None:
    when = "{request: GET /derivatives/api/v3/openpositions}"
    arm(bot, f"- {{name: key, when: {when}, what: {{error_inside: authenticationError}}}}")
    ended = bot.says("serve", "--speed", "1000000")
    assert ended.code == 4, ended.err
    serve = next(row for row in bot.json("health")["judgments"] if row["subject"] == "serve")
    assert (serve["state"], "refused the key" in serve["found"], serve["next"]) == (
        "FAILED", True, "tradebot doctor, then tradebot serve"
    )  # fmt: skip
    assert "serve FAILED: it ended at" in bot.says("status").out
    assert bot.says("exchange", "faults", "clear").code == 0
    running = bot.process("serve", "--speed", "60")
    try:
        until(lambda: "serve OK: process" in bot.says("status").out)
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 0
    assert "it ended at" not in bot.says("status").out
