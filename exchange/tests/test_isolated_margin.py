"""Isolated margin: a position with a leverage of its own stands or falls with the cash that is set apart for it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.ring import FUTURE, PERPETUAL, D, Ring, instrument
from exchange.tests.test_margin_laws import walk
from papervenue.engine.orders import ASSIGNMENT, LIQUIDATION
from papervenue.margined.accounts import collateral, net_position
from papervenue.margined.admission import set_leverage
from papervenue.market.venue import MarginLevel, Rules
from papervenue.refusal import Refusal

FEES = Rules(maker_fee=D("0.0002"), taker_fee=D("0.0005"), liquidation_fee=D("0.005"))
XBT, ES = PERPETUAL.symbol, FUTURE.symbol


def isolated(leverage: str, written: Any = None, symbol: str = XBT, **more: Any) -> Ring:
    """Return a ring a minute after its start, in which a symbol has a leverage of its own."""
    ring = Ring(written or {0: "100"}, more.pop("instruments", (PERPETUAL,)), to=1, **{"cash": "1000", **more})
    set_leverage(ring.engine, ring.account, symbol, D(leverage))
    return ring


def margin(ring: Ring, symbol: str = XBT) -> Decimal:
    position = net_position(ring.account, symbol)
    return D(0) if position is None else position.margin


def code(ring: Ring, leverage: str, symbol: str = XBT) -> str:
    """Return the code of the refusal of a leverage."""
    with pytest.raises(Refusal) as caught:
        set_leverage(ring.engine, ring.account, symbol, D(leverage))
    return str(caught.value.body["code"])


def closings(ring: Ring, symbol: str = XBT) -> list[tuple[int, Decimal, int, str]]:
    return [(one.at_us, one.qty, one.price, one.order.request.type) for one in ring.fills if one.order.symbol == symbol]


def test_order_and_position_need_their_value_by_the_leverage_and_it_is_not_available_for_others() -> None:
    ring = isolated("5")
    ring.order("buy", 10)
    assert (margin(ring), ring.now.initial, ring.now.available) == (D(200), D(200), D(800))
    ring.order("buy", 20, limit="90")
    assert (margin(ring), ring.now.ordered, ring.now.available) == (D(200), D(600), D(400))
    with pytest.raises(Refusal, match="more margin"):
        ring.order("buy", "20.5")
    assert ring.order("buy", 20).status == "filled"
    assert (margin(ring), ring.now.available) == (D(600), D(0))


def test_levels_demand_more_than_the_leverage_where_they_do() -> None:
    levels = MarginLevel(D(0), D("0.02"), D("0.01")), MarginLevel(D(20), D("0.5"), D("0.4"))
    ring = isolated("10", instruments=(instrument(XBT, "0.5", margin_levels=levels),), cash="5000")
    ring.order("buy", 10)
    assert margin(ring) == 100
    ring.order("buy", 10)
    assert (margin(ring), ring.now.initial) == (D(1000), D(1000))
    assert code(ring, "3") == "wrong_leverage"


@pytest.mark.parametrize("leverage", ["0", "-5", "0.99", "50.01", "1000"])
def test_leverage_below_one_or_above_what_the_levels_allow_is_refused(leverage: str) -> None:
    ring = isolated("50")
    assert code(ring, leverage) == "wrong_leverage"
    assert ring.account.leverages == {XBT: 50}


def test_reducing_frees_a_part_and_the_profit_and_crossing_zero_begins_anew() -> None:
    ring = isolated("5", {0: "100", 10: "110"})
    ring.order("buy", 10)
    ring.to(11)
    ring.order("sell", 4)
    assert (margin(ring), collateral(ring.account), ring.account.cash) == (D(120), D(920), D(1040))
    ring.order("sell", 10)
    assert (ring.qty(), margin(ring), ring.account.cash) == (D(-4), D(88), D(1100))


def test_funding_and_no_trading_fee_comes_out_of_what_is_set_apart() -> None:
    funded = instrument(XBT, "0.5", funding=D("0.9"))
    ring = isolated("5", instruments=(funded,), rules=FEES)
    ring.order("buy", 10)
    assert (margin(ring), collateral(ring.account)) == (D(200), D("799.5"))
    ring.to(61)
    # Of an hour, 59 minutes.
    assert (margin(ring), collateral(ring.account)) == (200 - D("8.85"), D("799.5"))


def test_open_profit_of_an_isolated_position_is_worth_something_and_no_margin_for_others() -> None:
    ring = isolated("5", {XBT: {0: "100", 10: "200"}, ES: {0: "100"}}, instruments=(PERPETUAL, FUTURE))
    ring.order("buy", 10)
    ring.to(11)
    assert (ring.now.equity, ring.now.available) == (D(2000), D(800))
    with pytest.raises(Refusal, match="more margin"):
        ring.order("buy", 3, ES)
    ring.order("buy", 2, ES)
    ring.to(24 * 60)
    assert ring.account.closing.equity == 2000


def test_position_is_held_while_more_is_left_of_its_margin_than_its_maintenance() -> None:
    written = {XBT: {0: "100", 10: "81"}, ES: {0: "100", 10: "81"}}
    ring = isolated("5", written, instruments=(PERPETUAL, FUTURE), rules=FEES, cash="9000")
    ring.order("buy", 2, ES)
    ring.order("buy", 10)
    rests, before = ring.order("buy", 1, limit="50"), collateral(ring.account)
    ring.to(12)
    # 10 are left of 200, and 8.10 are needed.
    assert len(ring.fills) == 2
    assert (ring.qty(ES), rests.status, margin(ring), collateral(ring.account)) == (D(2), "new", D(200), before)


def test_liquidation_closes_parts_until_the_margin_left_suffices_and_others_stay() -> None:
    written = {XBT: {0: "100", 10: "80.8"}, ES: {0: "100", 10: "75"}}
    ring = isolated("5", written, instruments=(instrument(XBT, "0.1"), FUTURE), rules=FEES, cash="9000")
    ring.order("buy", 2, ES)
    ring.order("buy", 10)
    rests, before = ring.order("buy", 1, limit="50"), collateral(ring.account)
    ring.to(11)
    # 8 are left of 200, and 8.08 are needed. A lot of 3 costs 1.212, and then 5.656 are needed.
    assert closings(ring)[1:] == [(ring.engine.now_us, D(3), 808_000, LIQUIDATION)]
    assert margin(ring) == 200 - 3 * D("19.2") - D("1.212")
    assert (ring.qty(), ring.qty(ES), rests.status, collateral(ring.account)) == (D(7), D(2), "new", before)


@pytest.mark.parametrize(("side", "jump"), [("buy", "50"), ("sell", "200")])
def test_loss_ends_at_what_was_set_apart_however_far_the_price_jumps(side: str, jump: str) -> None:
    ring = isolated("5", {0: "100", 10: jump}, rules=FEES)
    ring.order(side, 10)
    ring.to(11)
    (_, (_, _, _, kind)) = closings(ring)
    assert (kind, ring.qty(), ring.account.cash) == (ASSIGNMENT, D(0), D(1000) - D(200) - D("0.5"))


def test_liquidation_of_the_others_neither_counts_nor_touches_an_isolated_position() -> None:
    written = {XBT: {0: "100"}, ES: {0: "100", 10: "96"}}
    ring = isolated("5", written, instruments=(PERPETUAL, FUTURE))
    ring.order("buy", 10)
    ring.order("buy", 2, ES)
    ring.to(11)
    # Of the 800 that aren't set apart 400 are left, and 480 are needed; with what is set apart it would be 600 for 490.
    assert (ring.qty(ES), ring.qty(), margin(ring), collateral(ring.account)) == (D(1), D(10), D(200), D(600))


def test_leverage_changes_while_a_position_is_open_if_the_margin_suffices() -> None:
    ring = isolated("5", {0: "100", 10: "89"})
    ring.order("buy", 40)
    assert (margin(ring), code(ring, "2")) == (D(800), "insufficient_margin")
    set_leverage(ring.engine, ring.account, XBT, D(8))
    assert (margin(ring), ring.now.available) == (D(500), D(500))
    ring.to(11)
    assert (code(ring, "10"), margin(ring)) == ("would_liquidate", D(500))
    set_leverage(ring.engine, ring.account, XBT, None)
    assert not ring.account.leverages
    # 40 at 89 need 71.20.
    assert (margin(ring), ring.now.available) == (D(0), D(560) - D("71.2"))


def test_leverage_of_an_unknown_symbol_is_refused_and_a_set_one_is_told() -> None:
    ring = isolated("5")
    assert code(ring, "5", "NONE") == "unknown_symbol"
    (told,) = [one for one in ring.events if one.name == "leverage_set"]
    assert told.fields == {"symbol": XBT, "leverage": "5"}


@settings(max_examples=settings().max_examples // 4)
@given(
    seed=st.integers(0, 10**6),
    leverage=st.sampled_from(["2", "3", "7.5", "15"]),
    sides=st.tuples(st.sampled_from(["buy", "sell"]), st.sampled_from(["buy", "sell"])),
    part=st.sampled_from(["0.1", "0.25", "1"]),
)
def test_isolated_position_lives_as_in_an_account_of_its_own_and_so_do_the_others(
    seed: int, leverage: str, sides: tuple[str, str], part: str
) -> None:
    """Compare an account with two accounts that hold its two positions, each with the cash behind one of them."""
    coin = instrument(XBT, "0.5", "0.05", "0.03", lot=D("0.0001"), funding=D("0.37"))
    written: Any = {XBT: walk(seed, "p", "0.5", 3_000, 400), ES: walk(seed, "f", "0.25", 20, 400)}
    rules = Rules(taker_fee=D("0.0005"), liquidation_fee=D("0.005"), liquidation_part=D(part), assigns=True)
    held = isolated(leverage, written, instruments=(coin, FUTURE), rules=rules, cash="10000")
    held.order(sides[0], "3.3331", XBT)
    paid, fee = margin(held), held.fills[0].settled
    assert fee is not None
    assert fee.fee is not None
    own, others = (
        Ring(written, (coin, FUTURE), rules, str(cash), to=1) for cash in (paid + fee.fee, 10_000 - paid - fee.fee)
    )
    own.order(sides[0], "3.3331", XBT)
    for ring in (held, others):
        ring.order(sides[1], 70, ES)
    for minute in range(2, 400):
        for ring in (held, own, others):
            ring.to(minute)
        assert closings(held) == closings(own)
        assert held.account.cash == own.account.cash + others.account.cash
        assert own.account.cash >= 0
        if not own.qty():
            # From now on, what is left of it is collateral of the others.
            break
        assert (margin(held), collateral(held.account)) == (own.account.cash, others.account.cash)
        assert closings(held, ES) == closings(others, ES)
