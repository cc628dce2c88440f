"""Margined accounts: a fill moves cash by profit and fee alone, and equity follows the mark.

Funding: it accrues at every moment, and is booked on the hour and with each fill.
Margins are watched by the minute: risky orders are canceled first, then positions are liquidated in parts.
Reduce-only orders fill no more than the position: they are made smaller or canceled as it shrinks.
What a plain venue refuses: each rule by the code that a face translates.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from exchange.tests.kit.ring import AT_ONCE, FUTURE, PERPETUAL, START, D, Ring, Written, instrument
from papervenue.engine.orders import OrderRequest, Policy, Replacement, StopLoss
from papervenue.market.spec import NEXT_BAR
from papervenue.market.venue import ClientIds, Grid, Rules, TickStep
from papervenue.refusal import Refusal
from papervenue.times import MINUTE, SECOND


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


def ring_of(rate: str = "0.9", multiplier: str = "1", to: float = 0) -> Ring:
    one = instrument("PF_XBTUSD", "0.5", lot=D("0.0001"), funding=D(rate), multiplier=D(multiplier))
    return Ring({0: "30000"}, (one,), cash="5000", to=to)


@pytest.mark.parametrize(("side", "sign"), [("buy", -1), ("sell", 1)])
def test_long_position_pays_a_positive_rate_on_the_hour_and_a_short_one_earns_it(side: str, sign: int) -> None:
    ring = ring_of(to=20)
    ring.order(side, "1.5")
    ring.to(59.9)
    assert not ring.booked("FUNDING")
    ring.to(180)
    # 40 minutes, and two hours.
    assert ring.booked("FUNDING") == [sign * D(one) for one in ("0.90", "1.35", "1.35")]
    assert ring.account.cash == 5000 + sign * D("3.60")
    assert ring.event_lines("activity") == ["60 activity", "120 activity", "180 activity"]


def test_rate_is_for_each_unit_times_the_multiplier() -> None:
    ring = ring_of("0.0001", multiplier="0.1", to=0)
    ring.order("sell", 3)
    ring.to(60)
    assert ring.booked("FUNDING") == [D("0.00003")]


def test_account_that_holds_nothing_pays_nothing() -> None:
    ring = ring_of(to=200)
    assert not ring.events
    assert ring.engine.agenda.next_us == START + 240 * MINUTE


RULES = Rules(liquidation_fee=D("0.005"), taker_fee=D("0.0005"))


@pytest.mark.parametrize(("side", "holds", "falls"), [("buy", "26936.5", "26936"), ("sell", "33003", "33003.5")])
def test_position_is_liquidated_at_the_first_tick_at_which_its_margin_is_gone(
    side: str, holds: str, falls: str
) -> None:
    # The exact prices are 26,936.03 and 33,003.30.
    ring = Ring({0: "30000", 10: holds, 20: falls}, cash="5000", to=1)
    ring.order(side, "1.5")
    ring.to(20)
    assert ring.now.equity > ring.now.maintenance
    assert not ring.event_lines("liquidation")
    ring.to(21)
    assert ring.event_lines("liquidation")[0] == "21 liquidation"


def basis(symbol: str, at_us: int) -> float:
    """Return how far the mark is above the trades: 1 % in the first twenty minutes, and later it is 2 % below them."""
    return 0.01 if at_us < START + 20 * MINUTE else -0.02


def test_equity_and_liquidation_follow_the_mark_and_fills_the_trades() -> None:
    ring = Ring({0: "30000"}, cash="5000", to=1, basis=basis)
    ring.order("buy", "8")
    assert (ring.now.unrealized, ring.now.maintenance) == (D(8 * 300), D(8 * 303))
    ring.to(19)
    assert not ring.event_lines("liquidation")
    ring.to(20)
    assert ring.event_lines("liquidation")[0] == "20 liquidation"
    assert {ring.grids["PF_XBTUSD"].usd(one.price) for one in ring.fills} == {30_000}


@pytest.mark.parametrize(("trigger", "fills"), [("mark", [30_000, 30_000]), ("last", [30_000])])
def test_stop_on_the_mark_is_triggered_by_it_and_fills_where_trades_are(trigger: str, fills: list[int]) -> None:
    ring = Ring({0: "30000"}, cash="50000", to=1, basis=basis)
    ring.order("buy", "1")
    ring.order("sell", "1", stop="29997.5", trigger=trigger, reduce_only=True)
    ring.to(30)
    assert [ring.grids["PF_XBTUSD"].usd(one.price) for one in ring.fills] == fills


def test_liquidation_closes_parts_at_the_last_price_for_a_fee_until_the_margin_holds() -> None:
    ring = Ring({0: "30000", 10: "26900"}, rules=RULES, cash="5000", to=1)
    ring.order("buy", "1.5")
    ring.to(11)
    liquidations = [one for one in ring.fills if one.settled is not None and one.settled.role == "liquidation"]
    assert [one.qty for one in liquidations] == [D("0.375"), D("0.375")]
    for one in liquidations:
        assert one.settled is not None
        assert ring.grids["PF_XBTUSD"].usd(one.price) == 26_900
        assert one.settled.fee == one.qty * 26_900 * D("0.005")
        assert (one.order.request.type, one.order.status) == ("liquidation", "filled")
        assert one.order.intent == "sell_to_close"
    assert ring.qty() == D("0.75")
    assert ring.now.equity > ring.now.maintenance
    logged = next(one for one in ring.events if one.name == "liquidation").fields
    assert (logged["role"], logged["realized"], logged["fee"]) == ("liquidation", "-1162.5", "50.4375")
    assert logged["position"] == "1.125"


@pytest.mark.parametrize(("edition", "steps"), [(2, 31), (3, 4)])
def test_lost_account_is_closed_in_quarters_of_its_position_since_the_third_edition(edition: int, steps: int) -> None:
    ring = Ring({0: "30000", 10: "20000"}, cash="5000", to=1, edition=edition)
    ring.order("buy", "1.5")
    ring.to(11)
    assert (len(ring.fills) - 1, ring.account.cash) == (steps, D(5_000 - 15_000))


@pytest.mark.parametrize(("side", "falls", "bankrupt"), [("buy", "20000", "26667"), ("sell", "40000", "33333")])
def test_position_that_would_leave_a_debt_is_assigned_at_its_bankruptcy_price(
    side: str, falls: str, bankrupt: str
) -> None:
    ring = Ring({0: "30000", 10: falls}, rules=Rules(liquidation_fee=D("0.005"), assigns=True), cash="5000", to=1)
    ring.order(side, "1.5")
    ring.to(11)
    # The exact prices are 26,666.67 and 33,333.33, and a tick is half a dollar.
    (_, assigned) = ring.fills
    assert ring.grids["PF_XBTUSD"].usd(assigned.price) == D(bankrupt)
    assert assigned.settled is not None
    assert (assigned.settled.role, assigned.settled.fee) == ("assignment", D(0))
    assert ring.event_lines("assignment") == ["11 assignment"]
    assert 0 <= ring.account.cash < D("0.75")


def test_part_is_at_least_a_lot_and_a_lost_account_ends_flat() -> None:
    ring = Ring({0: "5000", 10: "4000"}, (FUTURE,), cash="40000", to=1)
    ring.order("buy", 2)
    ring.to(11)
    assert [one.qty for one in ring.fills] == [2, 1, 1]
    assert not ring.account.positions
    assert ring.account.cash == 40_000 - 2 * 50 * 1000


def test_below_initial_margin_only_orders_that_add_risk_are_canceled() -> None:
    ring = Ring({0: "100", 10: "89.5"}, (instrument("PF_XBTUSD", "0.5", "0.5", "0.4"),), cash="1000", to=1)
    ring.order("buy", 19)
    adds, reverses = ring.order("buy", 1, limit="80"), ring.order("sell", 20, limit="110")
    reduces, stop = ring.order("sell", 19, limit="120"), ring.order("sell", 19, stop="85", reduce_only=True)
    ring.to(10)
    assert not ring.event_lines("margin_call")
    ring.to(11)
    # Equity is 800.5, and the position needs 850.25.
    assert [one.status for one in (adds, reverses, reduces, stop)] == ["canceled", "canceled", "new", "new"]
    assert ring.event_lines("margin_call") == ["11 margin_call"]
    assert not ring.event_lines("liquidation")
    ring.to(30)
    assert ring.event_lines("margin_call") == ["11 margin_call"]


def test_position_with_the_largest_requirement_goes_first() -> None:
    small, large = instrument("PF_A", "1", "0.1", "0.05"), instrument("PF_B", "1", "0.1", "0.05")
    ring = Ring({"PF_A": {0: "100", 10: "80"}, "PF_B": {0: "100", 10: "100"}}, (small, large), cash="400", to=1)
    ring.order("buy", 13, "PF_A")
    ring.order("buy", 20, "PF_B")
    ring.to(11)
    # Equity is 140, and 52 and 100 are needed.
    assert [(one.order.symbol, one.qty) for one in ring.fills[2:]] == [("PF_B", D(5))]


def test_trading_ends_with_orders_canceled_and_positions_settled_without_a_fee() -> None:
    ends = instrument("ESZ6", "0.25", "0.06", "0.05", multiplier=D(50), last_trading="2026-01-05T02:00:00Z")
    ring = Ring({0: "5000", 60: "5010", 120: "9999"}, (ends,), RULES, cash="100000", to=1)
    ring.order("sell", 3)
    rests = ring.order("buy", 1, limit="4000")
    fees = 3 * 5000 * 50 * D("0.0005")
    ring.to(300)
    assert (rests.status, ring.qty()) == ("canceled", D(0))
    assert ring.event_lines("settlement") == ["120 settlement"]
    assert ring.account.cash == 100_000 - 3 * 50 * 10 - fees
    assert ring.market.price("ESZ6", ring.engine.now_us) == 5010 * 10_000


def test_loss_beyond_the_cash_leaves_an_account_that_owes() -> None:
    ring = Ring({0: "30000", 10: "20000"}, rules=RULES, cash="1000", to=1)
    ring.order("buy", 1)
    ring.to(11)
    lost = Decimal(10_000) + 30_000 * D("0.0005") + 20_000 * D("0.005")
    assert (ring.account.cash, ring.now.available, len(ring.account.positions)) == (1000 - lost, D(0), 0)


def ring_with_position(qty: object = 10, **prices: str) -> Ring:
    """Return a ring that holds a position, bought or sold at 100; `m10` is the price from minute 10 on."""
    written: Written = {0: "100", **{int(name[1:]): price for name, price in prices.items()}}
    ring = Ring(written, cash="1000", to=1)
    ring.order("buy" if D(qty) > 0 else "sell", abs(D(qty)))
    return ring


@pytest.mark.parametrize(("qty", "side"), [(10, "buy"), (-10, "sell")])
def test_order_that_would_increase_is_refused(qty: int, side: str) -> None:
    with pytest.raises(Refusal) as refused:
        ring_with_position(qty).order(side, 1, reduce_only=True)
    assert refused.value.body["code"] == "would_not_reduce"


def test_order_for_more_than_the_position_is_made_smaller_as_it_comes() -> None:
    ring = ring_with_position(10)
    order = ring.order("sell", 25, limit="110", reduce_only=True)
    assert (order.qty, order.request.qty) == (D(10), D(25))
    assert ring.event_lines("order_restated") == ["1 order_restated"]


def test_exits_that_hear_late_of_each_other_can_close_more_than_is_held() -> None:
    ring = ring_with_position(10, m10="110", m12="90")
    late = Policy(tells_after_us=5 * MINUTE)
    target = ring.order("sell", 10, limit="110", reduce_only=True, policy=late)
    stop = ring.order("sell", 10, stop="95", reduce_only=True, policy=late)
    ring.to(12)
    assert (target.status, stop.status, ring.qty()) == ("filled", "new", D(0))
    ring.to(13)
    assert (stop.status, ring.qty()) == ("filled", D(-10))


def test_exit_that_hears_in_time_is_canceled() -> None:
    ring = ring_with_position(10, m10="110", m20="90")
    late = Policy(tells_after_us=5 * MINUTE)
    target = ring.order("sell", 10, limit="110", reduce_only=True, policy=late)
    stop = ring.order("sell", 10, stop="95", reduce_only=True, policy=late)
    ring.to(30)
    assert (target.status, stop.status, ring.qty()) == ("filled", "canceled", D(0))


def test_exit_of_an_account_that_its_margin_can_t_carry_is_admitted() -> None:
    ring = Ring({0: "100", 10: "60"}, (instrument("PF_XBTUSD", "0.5", "0.5", "0.05"),), cash="1000", to=1)
    ring.order("buy", 20)
    ring.to(11)
    assert ring.now.equity < ring.now.initial
    stop = ring.order("sell", 20, stop="50", reduce_only=True)
    assert (stop.status, ring.order("sell", 20, limit="90").status) == ("new", "new")
    with pytest.raises(Refusal) as refused:
        ring.order("sell", 41, limit="95")
    assert refused.value.body["code"] == "insufficient_margin"


def test_stop_that_hangs_on_an_entry_works_once_that_has_filled_and_only_reduces() -> None:
    ring = Ring({0: "100", 10: "101", 20: "94"}, cash="1000", rules=Rules(brackets=True), to=1)
    entry = ring.order("buy", 10, limit="99", order_class="oto", stop_loss=StopLoss(95 * Grid(PERPETUAL).units, None))
    (stop,) = entry.legs
    assert (stop.status, stop.request.reduce_only) == ("held", True)
    other = ring.order("buy", 5)
    assert stop.status == "held", "what others fill doesn't make it smaller"
    ring.engine.cancel(ring.account, entry.id)
    assert (entry.status, stop.status, other.status) == ("canceled", "canceled", "filled")


def test_stop_of_an_entry_closes_what_the_entry_bought_and_no_more() -> None:
    ring = Ring({0: "100", 10: "94"}, cash="1000", rules=Rules(brackets=True), to=1)
    entry = ring.order("buy", 10, order_class="oto", stop_loss=StopLoss(95 * Grid(PERPETUAL).units, None))
    (stop,) = entry.legs
    assert (entry.status, stop.status) == ("filled", "new")
    ring.order("sell", 4)
    assert stop.remaining == 6
    ring.to(12)
    assert (stop.status, ring.qty()) == ("filled", D(0))


def test_stop_of_an_entry_lies_on_a_tick() -> None:
    with pytest.raises(Refusal) as refused:
        Ring({0: "100"}, rules=Rules(brackets=True)).order("buy", 1, order_class="oto", stop_loss=StopLoss(1, None))
    assert refused.value.body["code"] == "tick_size"


STEPS = (TickStep(D(0), D("0.05")), TickStep(D(100), D("0.5")))
ONE = instrument("PF_XBTUSD", "0.5", "0.1", "0.05", ticks=STEPS, lot=D("0.01"), minimum=D("0.05"))
GONE = instrument("ESH6", "0.25", last_trading="2026-01-05T00:01:00Z")


def ring(rules: Rules = Rules(collar=D("0.1"))) -> Ring:  # noqa: B008 -- frozen
    return Ring({"PF_XBTUSD": {0: "99.95"}, "ESH6": {0: "100"}}, (ONE, GONE), rules, cash="100", to=1)


def code_of(harness: Ring, side: str, qty: object, **more: Any) -> str:
    """Return the code with which an order is refused, or its status."""
    try:
        return harness.order(side, qty, **more).status
    except Refusal as refusal:
        return str(refusal.body["code"])


@pytest.mark.parametrize(
    ("qty", "more", "code"),
    [
        (1, {"symbol": "AAPL"}, "unknown_symbol"),
        (1, {"symbol": "ESH6"}, "expired"),
        (1, {"type": "iceberg"}, "unsupported_type"),
        (1, {"type": "trailing_stop"}, "wrong_prices"),
        (1, {"order_class": "oco"}, "unsupported_class"),
        (1, {"stop_loss": StopLoss(1, None)}, "unsupported_class"),
        (1, {"tif": "opg"}, "unsupported_life"),
        (1, {"stop": "110", "tif": "ioc"}, "unsupported_life"),
        (1, {"limit": "99", "extended_hours": True}, "unsupported_life"),
        (1, {"limit": "99", "type": "market"}, "wrong_prices"),
        (1, {"type": "stop"}, "wrong_prices"),
        (1, {"trail_price": 5}, "wrong_prices"),
        (0, {}, "wrong_size"),
        (-1, {}, "wrong_size"),
        ("0.055", {}, "lot_size"),
        ("0.04", {}, "minimum_size"),
        (1, {"limit": "99.92"}, "tick_size"),
        (1, {"limit": "100.05"}, "tick_size"),
        (1, {"stop": "101.2"}, "tick_size"),
        (1, {"limit": "110"}, "price_collar"),
        (11, {}, "insufficient_margin"),
    ],
)
def test_order_against_a_rule_is_refused_with_its_code(qty: object, more: Mapping[str, Any], code: str) -> None:
    harness = ring()
    before = harness.account.cash
    assert code_of(harness, "buy", qty, **more) == code
    assert (harness.account.cash, len(harness.account.orders)) == (before, 0)


@pytest.mark.parametrize(
    ("qty", "more", "status"),
    [
        ("0.05", {}, "filled"),
        (1, {"limit": "99.95", "tif": "ioc"}, "filled"),
        (1, {"limit": "99.90", "tif": "fok"}, "canceled"),
        (1, {"limit": "109.5", "tif": "day"}, "filled"),
        (1, {"limit": "89.9", "tif": "day"}, "new"),
        (1, {"stop": "100.5"}, "new"),
        (1, {"stop": "150", "limit": "101.5"}, "new"),
        (10, {}, "filled"),
    ],
)
def test_order_within_the_rules_is_accepted(qty: object, more: Mapping[str, Any], status: str) -> None:
    assert code_of(ring(), "buy", qty, **more) == status


def test_order_of_an_amount_of_money_and_a_replacement_are_refused() -> None:
    harness = ring()
    order = harness.order("buy", 1, limit="95")
    with pytest.raises(Refusal) as refused:
        harness.engine.submit(harness.account, OrderRequest("PF_XBTUSD", 1, "market", "day", None, Decimal(100), None))
    assert refused.value.body["code"] == "wrong_size"
    with pytest.raises(Refusal) as refused:
        harness.engine.replace(harness.account, order.id, Replacement(None, 960_000, None, None, None, None))
    assert refused.value.body["code"] == "unsupported_edit"


@pytest.mark.parametrize(
    ("rule", "while_open", "after"),
    [
        ("unique", "duplicate_client_id", "duplicate_client_id"),
        ("while_open", "duplicate_client_id", "new"),
        ("free", "new", "new"),
    ],
)
def test_client_id_is_unique_as_long_as_the_rules_say(rule: ClientIds, while_open: str, after: str) -> None:
    harness = ring(Rules(client_ids=rule))
    first = harness.order("buy", 1, limit="95", client_order_id="mine")
    assert code_of(harness, "buy", 1, limit="94", client_order_id="mine") == while_open
    harness.engine.cancel(harness.account, first.id)
    for order in [*harness.account.open.values()]:
        harness.engine.cancel(harness.account, order.id)
    assert code_of(harness, "buy", 1, limit="93", client_order_id="mine") == after
    newest = harness.account.by_client_id.get("mine")
    assert newest is not None
    assert newest.is_open == (after == "new")


def test_open_orders_count_toward_the_margin_of_the_next() -> None:
    harness = ring()
    harness.order("buy", 6, limit="95")
    assert code_of(harness, "buy", 5, limit="95") == "insufficient_margin"
    # A sale of ten at its worst needs no more than the purchase of ten, as only one of them can be the position.
    assert [code_of(harness, "buy", 4, limit="95"), code_of(harness, "sell", 10, limit="105")] == ["new", "new"]
    assert code_of(harness, "sell", 1, limit="105") == "insufficient_margin"


def test_refusal_says_what_is_required_and_what_is_available() -> None:
    harness = ring()
    harness.order("buy", 6)
    with pytest.raises(Refusal) as refused:
        harness.order("buy", 5)
    body = refused.value.body
    assert (body["required"], body["available"]) == ("49.975", "40.03")


def test_day_order_ends_with_the_utc_day_and_a_gtc_order_doesn_t() -> None:
    harness = ring()
    day, lasting = harness.order("buy", 1, limit="95", tif="day"), harness.order("buy", 1, limit="94")
    assert day.expires_us == START + 24 * 60 * 60_000_000
    harness.to(24 * 60 - 1)
    assert day.status == "new"
    harness.to(24 * 60)
    assert (day.status, lasting.status) == ("expired", "new")
