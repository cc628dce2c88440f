"""Typed verbs at a venue that is everything Alpaca isn't: each runs, shows its time, and says which venue it is."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from papervenue import process
from papervenue.commands.command import Command
from papervenue.commands.control import TICK
from papervenue.exchange import open_exchange
from papervenue.market.spec import NEXT_BAR
from papervenue.times import to_datetime
from tests.kit.bot.folder import InterpreterBot
from tests.kit.bot.state import make_state
from tests.kit.elsewhere import place
from tradebot.model.venue import Settlement

CONFIGURATION = f"""venue: {place.NAME}
universe: [TIDE, REEF]
sectors: {{TIDE: waters, REEF: waters}}
limits: {{cooldown_s: 1}}
exits: {{stop_loss_fraction: 0.02, profit_target_fraction: 0.02, trailing_arm_fraction: 0.01,
        trailing_stop_fraction: 0.01, time_exit_s: 3600}}
"""
CANDIDATES = '{"symbol": "TIDE", "side": "buy", "score": 0.9}\n{"symbol": "REEF", "side": "sell", "score": -0.9}\n'
READ = (
    *("status", "positions", "orders", "fills", "trades", "pnl", "report", "summary", "audit", "health", "doctor"),
    "learn",
    *("why-no-orders TIDE", "trades --tax 2026", "pnl --by strategy", "events", "schedule", "signals", "reconcile"),
)


def at_elsewhere(folder: Path) -> InterpreterBot:
    return InterpreterBot(folder, PYTHONPATH=os.pathsep.join((str(place.ROOT), str(place.SITE))))


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InterpreterBot]:
    """Yield a bot that has opened and closed two positions, and opened two more."""
    root = tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place.SITE)
        market, folder = root / "market", root / "state"
        spec = place.market(date(2026, 11, 16), sessions=8, fill=NEXT_BAR._replace(volume_share=None))
        process.create(market, spec)
        exchange = open_exchange(market)
        for step in ({"to": "close"}, {"to": "next_open"}, {"seconds": 1800}):
            exchange.run(Command("POST", TICK, body=json.dumps(step)))
        exchange.commit()
        number, now = exchange.engine.main.number, to_datetime(exchange.engine.now_us)
        make_state(folder, number, now, CONFIGURATION, venue=place.NAME, settlement=Settlement.MARGINED)
        with suppress(FileNotFoundError):
            (folder / "exchange").rmdir()
        market.rename(folder / "exchange")
        (root / "candidates.jsonl").write_text(CANDIDATES)
        made = at_elsewhere(folder)
        enters = f"trade-once --candidates {root / 'candidates.jsonl'}"
        for words in ("reconcile", enters, "exchange tick 61s", "evaluate-exits", "exchange tick 1h", "evaluate-exits"):
            made.type(words)
        for words in ("exchange tick 61s", "reconcile", enters, "exchange tick 2m", "evaluate-exits", "reconcile"):
            made.type(words, (0, 10))
        yield made
        process.stop(folder / "exchange")


@pytest.mark.campaign
@pytest.mark.parametrize("words", READ)
def test_each_verb_reads_a_bot_at_another_venue_and_names_it(bot: InterpreterBot, words: str) -> None:
    text = bot.type(words, (0, 1, 3, 5, 10))
    assert text
    assert " ET" not in text, "times are the venue's, which are in UTC"
    assert "Traceback" not in text
    assert json.loads(bot.type(f"{words} --json", (0, 1, 3, 5, 10)))["venue"] == place.NAME


@pytest.mark.campaign
def test_a_backtest_plays_its_market_through_the_adapter(bot: InterpreterBot) -> None:
    assert "the ledger and the exchange's account agree to the cent" in bot.type("backtest --sessions 1")


@pytest.mark.campaign
def test_init_makes_a_sandbox_of_a_venue_whose_door_has_a_market(bot: InterpreterBot, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(CONFIGURATION)
    other = at_elsewhere(tmp_path / "other")
    assert "elsewhere account" in other.type(f"init --config {tmp_path / 'other.yaml'}")
    try:
        assert " UTC" in other.type("reconcile")
        status = json.loads(other.type("doctor --json", (0, 10)))
        assert {row["subject"] for row in status["data"]["judgments"]} >= {"broker", "account"}
    finally:
        process.stop(other.folder / "exchange")


@pytest.mark.campaign
def test_a_halt_tells_its_time_in_utc(bot: InterpreterBot) -> None:
    assert " UTC: look" in bot.type("halt --reason look", (0, 3))
    bot.type("unhalt --confirm " + json.loads(bot.type("status --json"))["account"], (0, 3))


@pytest.mark.campaign
def test_profit_of_the_books_is_the_change_of_the_account_to_the_cent(bot: InterpreterBot) -> None:
    shown = bot.type("pnl")
    assert "agree to the cent" in shown
    assert all(word in shown for word in ("realized", "fees", "funding"))
    assert json.loads(bot.type("reconcile --json"))["data"]["findings"] == []
    fills = bot.type("fills")
    assert "worth USD" in fills, "a fill moves no cash of a margined account"
    assert "contracts" in fills
    for row in json.loads(bot.type("fills --json"))["data"]["fills"]:
        assert f" {Decimal(row['price']):.4f} " in fills, "prices have the decimals of their tick"
