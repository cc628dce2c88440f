"""What a trade risked at first, and how far it went."""

from datetime import datetime
from decimal import Decimal

import pytest

from tests.kit.values import ago, fill, trade
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.trade import RestedStop, Trade
from tradebot.views.trades.trade_row import Excursion, RiskFrom
from tradebot.views.trades.trades import Risk, Stops, excursion, in_risks, initial_risk

D = Decimal
OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def stop(price: str, seconds_ago: float = 590, symbol: str = "AAPL", side: Side = Side.SELL) -> RestedStop:
    return RestedStop("flow", symbol, side, ago(seconds_ago), D(price))


BOUGHT = fill(1, at=ago(600)).fill


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "95"), (Side.SELL, "105")])
def test_risk_is_the_distance_to_the_first_stop_for_all_shares(side: Side, price: str) -> None:
    one = trade(side)
    first = Stops([stop(price, side=OPPOSITE[side]), stop("99", 500, side=OPPOSITE[side])]).first_of(one, ["AAPL"])
    assert initial_risk(one, [BOUGHT], first, D("0.5")) == Risk(D(50), RiskFrom.RESTING)


HALVED, BOTH = trade(quantity="20", entry="50"), trade(quantity="20", entry="105")
MORE = fill(2, price="110", at=ago(100)).fill


@pytest.mark.parametrize(
    ("one", "entered", "first", "asked", "split_at", "risk"),
    [
        pytest.param(
            trade(), [BOUGHT], None, "0.02", None, Risk(D(20), RiskFrom.ENTRY), id="only the entry has a stop"
        ),
        pytest.param(trade(), [BOUGHT], None, None, None, None, id="no stop is known"),
        pytest.param(trade(), [BOUGHT], stop("100"), "0.02", None, None, id="stop at the entry price"),
        pytest.param(trade(), [BOUGHT], stop("103"), "0.02", None, None, id="stop on the winning side"),
        pytest.param(BOTH, [BOUGHT, MORE], stop("95"), None, None, Risk(D(105), RiskFrom.RESTING), id="average price"),
        pytest.param(HALVED, [BOUGHT], stop("95"), None, ago(300), Risk(D(50), RiskFrom.RESTING), id="before a split"),
        pytest.param(
            HALVED, [BOUGHT], stop("45", 200), None, ago(300), Risk(D(100), RiskFrom.RESTING), id="after a split"
        ),
    ],
)
def test_risk_is_that_of_the_first_stop_or_unknown(
    one: Trade,
    entered: list[Fill],
    first: RestedStop | None,
    asked: str | None,
    split_at: datetime | None,
    risk: Risk | None,
) -> None:
    assert initial_risk(one, entered, first, D(asked) if asked else None, split_at) == risk


def test_stop_of_another_trade_is_ignored() -> None:
    theirs = RestedStop("other", "AAPL", Side.SELL, ago(500), D(95))
    others = [stop("95", 601), stop("95", -1), stop("95", symbol="MSFT"), stop("95", side=Side.BUY), theirs]
    assert [Stops([other]).first_of(trade(), ["AAPL"]) for other in others] == [None] * 5


def test_stop_is_found_under_a_former_symbol_of_an_open_trade() -> None:
    earlier, later = stop("95", 590, "PEAR"), stop("97", 580)
    assert Stops([earlier, later]).first_of(trade(), ["AAPL", "PEAR"]) == earlier
    assert Stops([stop("95", -60)]).first_of(trade(closed_at=None), ["AAPL"]) is not None


@pytest.mark.parametrize(("side", "fraction", "usd"), [(Side.BUY, "0.03", "30"), (Side.SELL, "-0.03", "-30")])
def test_excursion_has_fraction_usd_and_r(side: Side, fraction: str, usd: str) -> None:
    risk = Risk(D(20), RiskFrom.ENTRY)
    assert excursion(trade(side), D(103), risk) == Excursion(D(103), D(fraction), D(usd), D(usd) / 20)
    assert excursion(trade(side), D(103), None) == Excursion(D(103), D(fraction), D(usd), None)
    assert excursion(trade(side), None, risk) is None


def test_risk_of_an_average_price_has_limited_digits() -> None:
    risk = initial_risk(trade(quantity="3", entry=str(D(301) / 3)), [BOUGHT], None, D("0.01"))
    assert risk == Risk(D("3.01"), RiskFrom.ENTRY)
    assert str(risk.usd) == "3.01"
    assert in_risks(D(1), risk) == D("0.33")
