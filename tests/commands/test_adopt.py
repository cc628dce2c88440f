"""`tradebot adopt`: a position from before the books, noted and then taken over; no order port is made."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from commands.adopt import run as adopt
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, made_beside, order_by_hand
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.model.account import BrokerPosition
from tradebot.model.instrument import AssetClass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a bot whose account held three shares of MSFT and two of AAPL before its books began."""
    with made_beside(tmp_path_factory.mktemp("cli") / "state", MSFT="3", AAPL="2") as path:
        yield path


def test_adopt_refuses_what_the_broker_does_not_hold(bot: Bot) -> None:
    said = bot.says("adopt", "NVDA")
    assert said.code == 2
    assert said.err == "error: the broker has no position in NVDA\n  next: it has AAPL, MSFT; see tradebot positions\n"


def test_adopt_acknowledges_a_position_and_leaves_it_alone(bot: Bot) -> None:
    said = bot.says("adopt", "msft", "--json")
    assert (said.code, said.data["managed"], said.data["quantity"], said.data["findings"]) == (0, False, "3", 1)
    (row,) = bot.json("positions")["positions"]
    assert (row["symbol"], row["strategy"], row["quantity"]) == ("MSFT", "foreign", "3")
    assert bot.says("adopt", "MSFT").code == 0


def test_adopt_manage_needs_the_symbol_typed(bot: Bot) -> None:
    refuses(bot.says("adopt", "MSFT", "--manage"), 2, "tradebot adopt MSFT --manage --confirm MSFT")
    assert bot.says("adopt", "MSFT", "--manage", "--confirm", "AAPL").code == 3
    assert bot.json("positions")["positions"][0]["strategy"] == "foreign"


@pytest.mark.parametrize(("price", "rule"), [("98", "STOP_LOSS"), ("100.5", None)])
def test_rule_that_would_close_a_contract_is_met_by_price_not_by_worth(bot: Bot, price: str, rule: str | None) -> None:
    worth = Decimal(price) * 3 * 50
    held = BrokerPosition("TIDE", AssetClass.PERPETUAL, Decimal(3), Decimal(100), worth, multiplier=Decimal(50))
    with open_app(Options(str(bot.folder)), {}) as app:
        assert adopt._met_already(app, held) == rule


def test_adopt_manage_takes_the_position_over(bot: Bot) -> None:
    bot.does("adopt MSFT --manage --confirm MSFT", "adopt AAPL --manage --confirm AAPL")
    assert bot.json("reconcile")["findings"] == []
    expected = {("AAPL", "adopted"), ("MSFT", "adopted")}
    assert {(row["symbol"], row["strategy"]) for row in bot.json("positions")["positions"]} == expected
    assert {row["source"] for row in bot.json("fills")["fills"]} == {"adoption"}
    refuses(bot.says("adopt", "MSFT", "--manage", "--confirm", "MSFT"), 2, "already belongs to the bot")


def test_exits_close_an_adopted_position_and_books_agree(bot: Bot) -> None:
    assert {row["symbol"] for row in bot.json("evaluate-exits")["rows"]} == {"AAPL", "MSFT"}
    assert bot.says("flatten", "MSFT", "--confirm", "MSFT").code == 0
    bot.says("exchange", "tick", "1m")
    assert bot.json("reconcile")["findings"] == []
    assert [row["symbol"] for row in bot.json("positions")["positions"]] == ["AAPL"]


def test_adopt_never_makes_an_order_port(bot: Bot) -> None:
    order_by_hand(bot.url, "NVDA", "1", "by-hand-3")
    bot.says("exchange", "tick", "1m")
    with open_app(Options(str(bot.folder)), {}) as app:
        adopt.run(app, "NVDA", take_over=True, by="test", confirmed="NVDA")
        assert "reader" in vars(app)
        assert "orders" not in vars(app)
