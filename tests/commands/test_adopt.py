"""`tradebot adopt`: a position from before the books, noted and then taken over; no order port is made."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from commands import adopt
from tests.bot import UNIVERSE, Bot, order_by_hand
from tradebot.__main__ import main
from tradebot.app import sandbox
from tradebot.app.loading import Options
from tradebot.app.settings import load
from tradebot.app.wiring import opened
from tradebot.exchange import process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a bot whose account held three shares of MSFT and two of AAPL before its books began."""
    path = tmp_path_factory.mktemp("cli") / "state"
    flags = {"mode": "sandbox", "universe": UNIVERSE.split(","), "sandbox": {"sessions": 2}}
    sandbox.create(path / "exchange", load(None, {}, flags).settings)
    try:
        url = sandbox.start(path / "exchange")
        order_by_hand(url, "MSFT", "3", "by-hand-1")
        order_by_hand(url, "AAPL", "2", "by-hand-2")
        for to in ({"to": "open"}, {"seconds": 120}):
            assert requests.post(f"{url}/exchange/v1/tick", json=to, timeout=60).status_code == 200
        assert main(["init", "--state-dir", str(path), "--symbols", UNIVERSE, "--sessions", "2"]) == 0
        yield path
    finally:
        process.stop(path / "exchange")


def test_what_the_broker_does_not_hold_cannot_be_adopted(bot: Bot) -> None:
    said = bot.says("adopt", "NVDA")
    assert (said.code, said.err) == (
        2,
        "error: the broker has no position in NVDA\n  next: it has AAPL, MSFT; see tradebot positions\n",
    )


def test_a_position_is_noted_as_known_and_left_alone(bot: Bot) -> None:
    said = bot.says("adopt", "msft", "--json")
    assert (said.code, said.data["managed"], said.data["quantity"], said.data["findings"]) == (0, False, "3", 1)
    (row,) = bot.json("positions")["positions"]
    assert (row["symbol"], row["strategy"], row["quantity"]) == ("MSFT", "foreign", "3")
    assert bot.says("adopt", "MSFT").code == 0


def test_managing_needs_the_symbol_typed(bot: Bot) -> None:
    said = bot.says("adopt", "MSFT", "--manage")
    assert (said.code, "tradebot adopt MSFT --manage --confirm MSFT" in said.err) == (2, True)
    assert bot.says("adopt", "MSFT", "--manage", "--confirm", "AAPL").code == 3
    assert bot.json("positions")["positions"][0]["strategy"] == "foreign"


def test_what_is_managed_is_the_bots_own_and_books_and_broker_agree(bot: Bot) -> None:
    for symbol in ("MSFT", "AAPL"):
        assert bot.says("adopt", symbol, "--manage", "--confirm", symbol).code == 0
    assert bot.json("reconcile")["findings"] == []
    assert {(row["symbol"], row["strategy"]) for row in bot.json("positions")["positions"]} == {
        ("AAPL", "adopted"),
        ("MSFT", "adopted"),
    }
    assert {row["source"] for row in bot.json("fills")["fills"]} == {"adoption"}
    said = bot.says("adopt", "MSFT", "--manage", "--confirm", "MSFT")
    assert (said.code, "already belongs to the bot" in said.err) == (2, True)


def test_exits_manage_what_was_adopted_and_its_closing_reconciles(bot: Bot) -> None:
    looked = bot.json("evaluate-exits")
    assert {row["symbol"] for row in looked["rows"]} == {"AAPL", "MSFT"}
    assert bot.says("flatten", "MSFT", "--confirm", "MSFT").code == 0
    bot.says("exchange", "tick", "1m")
    assert bot.json("reconcile")["findings"] == []
    assert [row["symbol"] for row in bot.json("positions")["positions"]] == ["AAPL"]


def test_adopting_never_makes_an_order_port(bot: Bot) -> None:
    order_by_hand(bot.url, "NVDA", "1", "by-hand-3")
    bot.says("exchange", "tick", "1m")
    with opened(Options(str(bot.folder)), {}) as app:
        adopt.run(app, "NVDA", take_over=True, by="test", confirmed="NVDA")
        assert "reader" in vars(app)
        assert "orders" not in vars(app)
