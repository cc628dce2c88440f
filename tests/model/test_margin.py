"""What positions tie up, and how far they are from being liquidated: the worked figures, and the laws behind them."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import leveled, margin
from tradebot.model.candidate import Side
from tradebot.model.instrument import MarginLevel
from tradebot.model.margin import (
    ALL,
    ZERO,
    Liquidation,
    Margin,
    Need,
    PositionReach,
    level_at,
    liquidation_distance,
    liquidation_price,
    need_of,
)
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

D = Decimal
WORKED = (
    MarginLevel(D(0), D("0.02"), D("0.01")),
    MarginLevel(D(500_000), D("0.04"), D("0.02")),
    MarginLevel(D(1_000_000), D("0.06"), D("0.03")),
)
CENT = D("0.01")


@pytest.mark.parametrize(
    ("quantity", "initial", "maintenance"),
    [("499999", "9999.98", "4999.99"), ("500000", "20000", "10000"), ("1200000", "72000", "36000")],
)
def test_the_level_that_a_position_reaches_applies_to_the_whole_of_it(
    quantity: str, initial: str, maintenance: str
) -> None:
    assert need_of(WORKED, D(quantity), D(quantity)) == Need(D(initial), D(maintenance))
    assert need_of(WORKED[::-1], -D(quantity), D(quantity)) == Need(D(initial), D(maintenance))


def test_a_position_below_every_level_has_none() -> None:
    assert need_of((), D(1), D(100)) is None
    assert level_at(WORKED[1:], D(499_999)) is None


def alone(quantity: str, mark: str, collateral: str, levels: tuple[MarginLevel, ...] = WORKED) -> Liquidation:
    """Return how far the only position of an account is from being liquidated."""
    amount = D(quantity)
    reach = PositionReach(abs(amount), abs(amount) * D(mark))
    held = {("AAPL", Side.BUY if amount > 0 else Side.SELL): reach}
    of = margin(listings={"AAPL": leveled("AAPL", levels)}, marks={"AAPL": D(mark)}, held=held, reaches=held)
    (found,) = of.liquidations(D(collateral))
    return found


@pytest.mark.parametrize(("quantity", "price"), [("1.5", "26936.03"), ("-1.5", "33003.30")])
def test_the_worked_position_is_liquidated_at_the_worked_price(quantity: str, price: str) -> None:
    found = alone(quantity, "30000", "5000")
    assert found.price is not None
    assert found.price.quantize(CENT) == D(price)
    # Equity at that price is the maintenance margin of the position there.
    left = 5000 + D(quantity) * (found.price - 30_000)
    assert left.quantize(CENT) == (D("0.015") * found.price).quantize(CENT)
    assert abs(found.distance - abs(found.price / 30_000 - 1)) < D("1e-20")


def test_one_unit_more_lifts_the_position_to_a_level_that_is_liquidated_earlier() -> None:
    below, at = alone("499999", "1", "60000"), alone("500000", "1", "60000")
    assert below.price is not None
    assert at.price is not None
    assert below.distance.quantize(D("1e-4")) == D("0.1111")
    assert at.distance.quantize(D("1e-4")) == D("0.1020")
    short = alone("-499999", "1", "60000"), alone("-500000", "1", "60000")
    assert [one.distance.quantize(D("1e-4")) for one in short] == [D("0.1089"), D("0.0980")]


def test_a_long_position_that_is_paid_for_cannot_be_liquidated_by_its_price() -> None:
    assert alone("10", "100", "1000") == Liquidation("AAPL", ALL, None, Decimal(100))
    assert alone("10", "100", "999").distance < ALL
    assert alone("-10", "100", "1000").price is not None


@pytest.mark.parametrize(("headroom", "distance"), [("1", "1"), ("0", "0"), ("-1", "0")])
def test_what_must_be_paid_for_in_full_is_liquidated_only_if_it_already_should_be(headroom: str, distance: str) -> None:
    assert liquidation_distance(Side.BUY, D(100), ALL, D(headroom)) == D(distance)
    assert liquidation_distance(Side.SELL, D(100), ALL, D(headroom)) == max(D(headroom), D(0)) / 200


quantities = st.decimals("0.01", "5000", places=2)
marks = st.decimals("0.01", "50000", places=2)
fractions = st.decimals("0.005", "0.9", places=3)
collaterals = st.decimals("0.01", "1000000", places=2)
sides = st.sampled_from(Side)


@st.composite
def levels(draw: st.DrawFn) -> tuple[MarginLevel, ...]:
    """Return levels as venues have them: what is asked for rises with the position."""
    thresholds = sorted({D(0), *draw(st.lists(quantities, max_size=3))})
    maintenance = sorted(draw(st.lists(fractions, min_size=len(thresholds), max_size=len(thresholds))))
    return tuple(MarginLevel(at, part * D("1.1"), part) for at, part in zip(thresholds, maintenance, strict=True))


def distance(quantity: Decimal, side: Side, mark: Decimal, collateral: Decimal, of: tuple[MarginLevel, ...]) -> Decimal:
    return alone(str(side.sign * quantity), str(mark), str(collateral), of).distance


@given(of=levels(), quantity=quantities)
def test_the_level_is_the_last_one_reached(of: tuple[MarginLevel, ...], quantity: Decimal) -> None:
    assert level_at(of, quantity) == [level for level in of if level.from_quantity <= quantity][-1]


@given(of=levels(), side=sides, quantity=quantities, more=quantities, mark=marks, collateral=collaterals)
def test_a_larger_position_is_never_farther_from_liquidation(
    of: tuple[MarginLevel, ...], side: Side, quantity: Decimal, more: Decimal, mark: Decimal, collateral: Decimal
) -> None:
    assert distance(quantity + more, side, mark, collateral, of) <= distance(quantity, side, mark, collateral, of)


@given(of=levels(), side=sides, quantity=quantities, mark=marks, collateral=collaterals, more=collaterals)
def test_more_collateral_never_brings_liquidation_nearer(
    of: tuple[MarginLevel, ...], side: Side, quantity: Decimal, mark: Decimal, collateral: Decimal, more: Decimal
) -> None:
    assert distance(quantity, side, mark, collateral + more, of) >= distance(quantity, side, mark, collateral, of)


@given(usd=marks, fraction=fractions, headroom=st.decimals("-1000", "1000", places=2))
def test_a_short_position_mirrors_a_long_one(usd: Decimal, fraction: Decimal, headroom: Decimal) -> None:
    long, short = (liquidation_distance(side, usd, fraction, headroom) for side in Side)
    assert abs(min(short * (1 + fraction) / (1 - fraction), ALL) - long) < D("1e-20")


SYMBOLS = ("AAPL", "MSFT", "JPM")
Account = Mapping[str, tuple[Decimal, Decimal]]
"""Signed quantities and marks by symbol."""
MULTIPLIER = {"AAPL": "1", "MSFT": "50", "JPM": "0.001"}
accounts = st.dictionaries(
    st.sampled_from(SYMBOLS), st.tuples(st.decimals("-3000", "3000", places=1).filter(bool), marks), min_size=1
)


def naive_need(account: Account, prices: Mapping[str, Decimal]) -> Need:
    """Add up what the positions tie up at these prices, as a venue would."""
    initial = maintenance = D(0)
    for symbol, (quantity, _) in account.items():
        of = leveled(symbol, multiplier=MULTIPLIER[symbol])
        usd = abs(quantity) * prices[symbol] * D(MULTIPLIER[symbol])
        level = max(
            (one for one in of.margin_levels if one.from_quantity <= abs(quantity)), key=lambda one: one.initial
        )
        initial, maintenance = initial + level.initial * usd, maintenance + level.maintenance * usd
    return Need(initial, maintenance)


def naive_equity(account: Account, prices: Mapping[str, Decimal], equity: Decimal) -> Decimal:
    """Return the equity after the marks have moved to these prices."""
    moved = (q * (prices[symbol] - mark) * D(MULTIPLIER[symbol]) for symbol, (q, mark) in account.items())
    return equity + sum(moved, D(0))


def of_account(account: Account, *, asks: Decimal = ZERO) -> Margin:
    """Return an account's margin; its venue asks for so much maintenance margin on top of what its levels say."""
    need = naive_need(account, {symbol: mark for symbol, (_, mark) in account.items()})
    held = {
        (symbol, Side.BUY if quantity > 0 else Side.SELL): PositionReach(
            abs(quantity), abs(quantity) * mark * D(MULTIPLIER[symbol])
        )
        for symbol, (quantity, mark) in account.items()
    }
    return Margin(
        initial=need.initial + asks,
        maintenance=need.maintenance + asks,
        available=D(0),
        listings={symbol: leveled(symbol, multiplier=MULTIPLIER[symbol]) for symbol in SYMBOLS},
        marks={symbol: account[symbol][1] if symbol in account else D(100) for symbol in SYMBOLS},
        held=held,
        reaches=held,
    )


@given(account=accounts, equity=collaterals, asks=st.decimals(0, 1000, places=2))
def test_at_its_liquidation_price_an_account_has_exactly_its_maintenance_margin(
    account: Account, equity: Decimal, asks: Decimal
) -> None:
    now = {symbol: mark for symbol, (_, mark) in account.items()}
    for found in of_account(account, asks=asks).liquidations(equity):
        if found.price is not None and found.distance:
            there = {**now, found.symbol: found.price}
            left = naive_equity(account, there, equity) - naive_need(account, there).maintenance - asks
            assert abs(left) < CENT


@given(account=accounts)
def test_what_is_held_ties_up_what_the_venue_says(account: Account) -> None:
    of, now = of_account(account), {symbol: mark for symbol, (_, mark) in account.items()}
    assert Need(of.initial_usd, of.maintenance_usd) == naive_need(account, now)
    assert (of.loss, of.lacking()) == (ZERO, None)
    more = of_account(account, asks=D(7))
    assert Need(more.initial_usd, more.maintenance_usd) == Need(of.initial_usd + 7, of.maintenance_usd + 7)
    less = replace(of, initial=D(0), maintenance=D(0))
    assert Need(less.initial_usd, less.maintenance_usd) == Need(of.initial_usd, of.maintenance_usd)


orders = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), quantities, st.decimals("0.9", "1.1", places=2), st.booleans()), max_size=4
)


@given(account=accounts, equity=collaterals, placed=orders)
def test_margin_with_an_order_is_the_same_as_computed_from_all_orders(
    account: Account, equity: Decimal, placed: list[tuple[str, Decimal, Decimal, bool]]
) -> None:
    after = replace(of_account(account), marks={symbol: mark for symbol, (_, mark) in account.items()})
    for symbol, quantity, price, buys in placed:
        after = after.with_order(symbol, Side.BUY if buys else Side.SELL, quantity, quantity * price, price)
        anew = replace(after, initial=after.initial)
        assert "_needs" not in anew.__dict__, "nothing is taken over"
        for cached, fresh in ((after, anew), (after.without_orders, anew.without_orders)):
            figures = [(of.initial_usd, of.maintenance_usd, of.liquidations(equity)) for of in (cached, fresh)]
            assert figures[0] == figures[1]
            assert (cached.lacking(), cached.lacking("TSLA", "JPM")) == (fresh.lacking(), fresh.lacking("TSLA", "JPM"))


@given(account=accounts, equity=collaterals, placed=orders)
def test_whatever_orders_fill_the_account_stays_within_what_was_projected(
    account: Account, equity: Decimal, placed: list[tuple[str, Decimal, Decimal, bool]]
) -> None:
    """Each order adds to its position, as entries do; it fills at its limit, or doesn't."""
    of, after, left = of_account(account), dict(account), equity
    for symbol, quantity, part, fills in placed:
        held, mark = after.get(symbol, (D(0), D(100)))
        side = Side.SELL if held < 0 else Side.BUY
        worth, price = D(MULTIPLIER[symbol]), mark * part
        of = of.with_order(symbol, side, quantity, quantity * max(price, mark) * worth, price)
        if fills:
            after[symbol] = held + side.sign * quantity, mark
            left += side.sign * quantity * (mark - price) * worth
    now = {symbol: mark for symbol, (_, mark) in after.items()}
    need, exact = naive_need(after, now), of_account(after)
    assert (need.initial <= of.initial_usd, need.maintenance <= of.maintenance_usd) == (True, True)
    assert left >= equity - of.loss
    projected = {one.symbol: one.distance for one in of.liquidations(equity)}
    assert all(one.distance >= projected[one.symbol] - D("1e-18") for one in exact.liquidations(left))


def test_an_order_ties_up_what_lifts_the_whole_position() -> None:
    of = margin({"AAPL": "1999"})
    assert of.initial_of("AAPL", Side.BUY, D(1), D(100)) == D(40_000) - D(19_990)
    assert of.initial_of("MSFT", Side.SELL, D(10), D(1000)) == D(100)


def test_orders_on_both_sides_count_on_the_larger_one_alone() -> None:
    of = margin().with_order("AAPL", Side.BUY, D(10), D(1000), None).with_order("AAPL", Side.SELL, D(5), D(500), None)
    assert (of.initial_usd, of.maintenance_usd) == (D(100), D(50))
    assert [one.symbol for one in of.liquidations(D(60))] == ["AAPL"]


def test_the_nearest_position_comes_first() -> None:
    of = margin({"AAPL": "100", "MSFT": "-900", "JPM": "500"})
    assert [one.symbol for one in of.liquidations(D(20_000))] == ["MSFT", "JPM", "AAPL"]
    assert margin().liquidations(D(1)) == ()


@pytest.mark.parametrize("side", Side)
def test_the_worse_side_of_a_symbol_says_how_near_liquidation_is_and_what_is_lost(side: Side) -> None:
    other = Side.SELL if side is Side.BUY else Side.BUY
    far = margin().with_order("AAPL", side, D(100), D(10_000), D(100) + 10 * side.sign)
    both = far.with_order("AAPL", other, D(10), D(1000), D(100) + 5 * other.sign)
    assert (far.loss, both.loss) == (D(1000), D(1000))
    assert both.liquidations(D(5000)) == far.liquidations(D(5000))
    turned = margin().with_order("AAPL", other, D(10), D(1000), D(100) + 5 * other.sign)
    again = turned.with_order("AAPL", side, D(100), D(10_000), D(100) + 10 * side.sign)
    assert again.loss == both.loss
    assert again.liquidations(D(5000)) == both.liquidations(D(5000))


def test_a_position_counts_at_the_mark_if_that_is_more_than_it_is_valued_at() -> None:
    cheap = {("AAPL", Side.BUY): PositionReach(D(10), D(900))}
    of = replace(margin(), held=cheap, reaches=cheap)
    assert (of.initial_usd, of.maintenance_usd) == (D(100), D(50))
    dear = {("AAPL", Side.BUY): PositionReach(D(10), D(1100))}
    assert replace(of, held=dear, reaches=dear).initial_usd == D(110)


def test_nothing_is_known_without_the_venues_figures() -> None:
    known = margin()
    for lacking in (
        replace(known, initial=None),
        replace(known, maintenance=None),
        replace(known, available=None),
    ):
        assert lacking.lacking() == (Reason.MARGIN_UNKNOWN, None)


def test_levels_and_marks_are_missed_only_of_what_is_held_ordered_or_asked_about() -> None:
    of = margin({"AAPL": "1"}, listings={"AAPL": leveled()}, marks={"AAPL": D(100)})
    assert of.lacking() is None
    assert of.lacking("MSFT") == (Reason.MARGIN_LEVELS_UNKNOWN, "MSFT")
    ordered = of.with_order("MSFT", Side.BUY, D(1), D(100), D(100))
    assert ordered.lacking() == (Reason.MARGIN_LEVELS_UNKNOWN, "MSFT")
    assert (ordered.loss, [one.symbol for one in ordered.liquidations(D(1))]) == (ZERO, ["AAPL"])
    listed = replace(ordered, listings={"AAPL": leveled(), "MSFT": leveled("MSFT")})
    assert listed.lacking() == (Reason.MARK_UNKNOWN, "MSFT")
    empty = replace(listed, listings={"AAPL": leveled(), "MSFT": leveled("MSFT", levels=())})
    assert empty.lacking() == (Reason.MARGIN_LEVELS_UNKNOWN, "MSFT")
    assert ordered.without_orders.lacking() is None


def test_a_price_is_as_far_from_the_mark_as_its_distance_says() -> None:
    assert liquidation_price(Side.BUY, D(200), D("0.25")) == 150
    assert liquidation_price(Side.SELL, D(200), D("0.25")) == 250
    assert liquidation_price(Side.BUY, D(200), ALL) is None
