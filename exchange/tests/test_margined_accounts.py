"""Margined accounts: a fill moves cash by profit and fee alone, and equity follows the mark."""

import pytest

from exchange.tests.kit.ring import AT_ONCE, FUTURE, PERPETUAL, D, Ring, instrument
from papervenue.market.spec import NEXT_BAR
from papervenue.market.venue import Rules
from papervenue.times import SECOND


def test_fill_moves_cash_by_its_fee_alone_and_equity_follows_the_mark() -> None:
    ring = Ring({0: "5000.25", 60: "5001.25"}, (FUTURE,), Rules(contract_fee=D("2.25")), cash="100000", to=1)
    ring.order("buy", 2)
    assert (ring.account.cash, ring.now.equity) == (D("99995.50"), D("99995.50"))
    ring.to(61)
    assert (ring.account.cash, ring.now.unrealized, ring.now.equity) == (D("99995.50"), D(100), D("100095.50"))


def test_closing_a_part_realizes_its_profit_at_the_average_price() -> None:
    ring = Ring({0: "100", 10: "110", 20: "120"}, cash="1000", to=1)
    ring.order("buy", 2)
    ring.to(11)
    ring.order("buy", 1)
    ring.to(21)
    ring.order("sell", 1)
    # Two at 100 and one at 110 cost 310; a third of that is sold for 120.
    assert ring.fills[-1].settled is not None
    assert ring.fills[-1].settled.realized == D(120) - D("103.333333333333")
    assert ring.qty() == 2
    assert ring.cost() == D("206.666666666667")
    assert ring.now.equity == 1000 + 2 * 20 + 10
    ring.order("sell", 2)
    assert ring.account.cash == 1050
    assert not ring.account.positions


def test_order_that_crosses_zero_closes_the_position_and_opens_the_other_side() -> None:
    ring = Ring({0: "100", 10: "90"}, cash="1000", to=1)
    ring.order("buy", 2)
    ring.to(11)
    ring.order("sell", 5)
    assert (ring.qty(), ring.cost(), ring.account.cash) == (D(-3), D(-270), D(980))
    assert ring.account.positions[PERPETUAL.symbol].average == 90


def test_price_of_a_coin_and_of_a_currency_has_five_places() -> None:
    coin = instrument("PF_PEPEUSD", "0.00001", lot=D(1000))
    euro = instrument("6EZ6", "0.00005", "0.03", "0.02", multiplier=D(125_000))
    ring = Ring(
        {"PF_PEPEUSD": {0: "0.00001", 10: "0.00003"}, "6EZ6": {0: "1.08005", 10: "1.08045"}}, (coin, euro), to=1
    )
    ring.order("buy", 1_000_000, coin.symbol)
    ring.order("buy", 1, euro.symbol)
    ring.to(11)
    # The coin gained two ticks on a million, and the euro eight ticks of 6.25.
    assert ring.now.unrealized == 20 + 50


MAKER_TAKER = Rules(maker_fee=D("0.0002"), taker_fee=D("0.0005"))


def test_market_order_pays_the_taker_fee_and_a_resting_limit_order_the_maker_fee() -> None:
    ring = Ring({0: "100", 10: "99"}, rules=MAKER_TAKER, cash="1000", to=1)
    ring.order("buy", 1)
    ring.order("buy", 1, limit="99")
    ring.to(12)
    assert [one.settled and (one.settled.role, one.settled.fee) for one in ring.fills] == [
        ("taker", D("0.05")),
        ("maker", D("0.0198")),
    ]
    assert ring.account.cash == D("999.9302")


def test_limit_order_that_is_marketable_at_once_takes() -> None:
    ring = Ring({0: "100"}, rules=MAKER_TAKER, cash="1000", to=1)
    ring.order("buy", 1, limit="100")
    assert ring.fills[0].settled is not None
    assert ring.fills[0].settled.role == "taker"


def test_fee_that_is_told_later_is_booked_then_with_its_fill() -> None:
    ring = Ring({0: "100"}, rules=Rules(taker_fee=D("0.0005"), fees_after_us=90 * SECOND), cash="1000", to=1)
    ring.order("buy", 2)
    assert ring.fills[0].settled is not None
    assert ring.fills[0].settled.fee is None
    ring.to(2.49)
    assert ring.account.cash == 1000
    assert not ring.booked("FEE")
    ring.to(2.5)
    assert (ring.account.cash, ring.booked("FEE")) == (D("999.9"), [D("-0.1")])
    activity = next(one for one in ring.events if one.name == "activity")
    assert (activity.fields["fill"], activity.fields["symbol"]) == (ring.fills[0].id, "PF_XBTUSD")
    filled = next(one for one in ring.events if one.name == "fill")
    assert (filled.fields["fee"], filled.fields["realized"], filled.fields["role"]) == (None, "0", "taker")


def test_what_open_orders_would_need_at_their_worst_is_not_available() -> None:
    ring = Ring({0: "100"}, cash="1000", to=1)
    ring.order("buy", 10)
    assert (ring.now.ordered, ring.now.available) == (D(20), D(980))
    ring.order("buy", 5, limit="90")
    ring.order("sell", 30, limit="110")
    # Bought it would be 15, sold -20.
    assert (ring.now.initial, ring.now.ordered, ring.now.available) == (D(20), D(40), D(960))


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_execution_lies_on_a_tick_with_spread_and_slippage_too(side: str) -> None:
    spec = AT_ONCE._replace(quotes="spread", spread_bps=7, slippage_bps=D("1.3"))
    ring = Ring({0: "30000.5"}, spec=spec, cash="1000", to=1)
    ring.order(side, "0.5")
    price = ring.grids["PF_XBTUSD"].usd(ring.fills[0].price)
    assert not price % D("0.5")
    # Half of seven basis points is 10.5, and the slippage at most another 4.
    away = (price - D("30000.5")) * (1 if side == "buy" else -1)
    assert D("13.5") <= away <= D("15")


def test_fills_of_bars_come_in_lots() -> None:
    spec = NEXT_BAR._replace(volume_share=D("0.00000123456"), quotes="last")
    ring = Ring({"PF_XBTUSD": {0: "100"}, "ESZ6": {0: "100"}}, (PERPETUAL, FUTURE), spec=spec, cash="100000", to=1)
    ring.order("buy", "1.5")
    ring.order("buy", 2, "ESZ6")
    ring.to(10)
    # A minute has a million contracts.
    fills = [(one.order.symbol, one.qty) for one in ring.fills]
    assert fills == [("ESZ6", 1), ("PF_XBTUSD", D("1.2345")), ("ESZ6", 1), ("PF_XBTUSD", D("0.2655"))]


def test_account_of_the_exchange_is_worth_cash_equity_and_available_margin() -> None:
    ring = Ring({0: "100", 10: "101"}, cash="1000", to=1)
    ring.order("buy", 10)
    ring.to(11)
    assert tuple(ring.engine.worth(ring.account)) == (D(1000), D(1010), D("989.8"))
