"""The caps of an entry's size in their order: equity, notional, symbol, buying power, loss at the stop, minimum.

The prices of passive entries: inside the spread, ever closer to the other side, and never past the collar.
"""

from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.gates.test_entry import D
from tests.kit.values import LEVELS, LIMITS, NOW, ago, ask, book, candidate, desk, listing, margin, quote
from tradebot.app.settings import load, shipped_path
from tradebot.gates.ask import Ask
from tradebot.gates.evaluation import decide
from tradebot.gates.sizing import (
    entry_price,
    entry_size,
    last_step_due,
    liquidity,
    marketable_limit,
    passive_price,
    quote_to_step_by,
    stepped_price,
)
from tradebot.model.bar import Quote
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate, Verdict
from tradebot.model.desk import StrategyExposure
from tradebot.model.instrument import TickStep
from tradebot.model.limits import OF_MARGIN, OF_SHOCKS, StrategyRules
from tradebot.model.order import MARKETABLE, Execution, Style
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

COIN = listing("AAPL", tick=D("0.5"), lot=D("0.0001"), minimum=D("0.0001"))
"""How a perpetual future is listed, under a name that the builders know."""
ASKED_ELSEWHERE = (*OF_MARGIN, *OF_SHOCKS, "max_basis_fraction", "min_edge_ratio", "max_drawdown_fraction")
CAPS = (
    load(shipped_path("profiles") / "smart_money.yaml", {})
    .settings.limits_of("smart_money")
    .model_copy(update={"limit_offset_fraction": D("0"), **dict.fromkeys(ASKED_ELSEWHERE)})
)
"""The limits of the profile smart_money on sizes, without those on prices, costs and margin."""


def on(equity: str, price: str, stop: str | None = "0.029", **changes: object) -> Ask:
    """Ask about an entry at one price, in an account that has bought nothing yet."""
    named: dict[str, object] = {"limits": CAPS, "candidate": candidate(), "listed": COIN} | changes
    execution = Execution(fit_to_room=bool(named.pop("fit", True)))
    named["own"] = StrategyRules((), named["limits"], execution=execution)  # type: ignore[arg-type]
    listed = named.pop("listed")
    seen = replace(book(equity=D(equity), buying_power=10 * D(equity)), **named.pop("seen", {}))  # type: ignore[arg-type]
    at = quote(bid=price, ask=price)
    known = desk(listings={"AAPL": listed})
    return ask(None if stop is None else D(stop), desk=known, book=seen, quote=at, **named)


@pytest.mark.parametrize(
    ("equity", "price", "lot", "quantity", "usd"),
    [
        ("345", "1", "0.01", "72.45", "72.45"),
        ("100000", "30000", "0.0001", "0.5747", "17241.0000"),
        ("100000", "30000", "0.1", "0.5", "15000.0"),
    ],
)
def test_sizes_of_the_specification_are_sent_to_the_cent(
    equity: str, price: str, lot: str, quantity: str, usd: str
) -> None:
    asked = on(equity, price, listed=listing("AAPL", tick=D("0.01"), lot=D(lot), minimum=D(lot)))
    assert asked.size is not None
    assert (asked.size.quantity, asked.size.notional_usd) == (D(quantity), D(usd))
    assert asked.size.risk_usd == D(usd) * D("0.029") <= 500
    of_size = (Gate.SIZE, Gate.ORDER_NOTIONAL, Gate.SYMBOL_NOTIONAL, Gate.STOP_LOSS, Gate.OPEN_RISK, Gate.BUYING_POWER)
    said = {decision.gate: decision.verdict for decision in decide(asked) if decision.gate in of_size}
    assert said == dict.fromkeys(of_size, Verdict.PASS)


def test_a_position_of_35_percent_is_refused_before_the_order_by_the_predicate_that_watches_it() -> None:
    """The earlier bot only watched for it afterwards."""
    seen = {"exposure": {"AAPL": D("14000")}}
    refused = on("100000", "30000", "0.01", fit=False, seen=seen)
    (found,) = [one for one in decide(refused) if one.gate is Gate.SYMBOL_NOTIONAL]
    assert (found.verdict, found.reason) == (Verdict.FAIL, Reason.SYMBOL_NOTIONAL_ABOVE_MAX)
    assert (D(str(found.observed)), found.limit) == (D("0.35"), D("0.25"))


@pytest.mark.parametrize(("price", "verdict"), [("7", Verdict.FAIL), ("20", Verdict.PASS)])
def test_what_is_left_after_rounding_down_is_at_least_the_minimum_or_refused(price: str, verdict: Verdict) -> None:
    """Of 48 USD of equity, 10.08 may be in one order: one coin of 7, or half a coin of 20."""
    listed = listing("AAPL", tick=D("0.01"), lot=D("0.5"), minimum=D("0.5"))
    said = {one.gate: one for one in decide(on("48", price, "0.01", listed=listed))}
    assert said[Gate.ORDER_NOTIONAL].verdict is verdict
    assert verdict is Verdict.PASS or said[Gate.ORDER_NOTIONAL].reason is Reason.ORDER_NOTIONAL_BELOW_MIN


@pytest.mark.parametrize(
    ("price", "lot", "quantity"),
    [("0.00001", "1000", "1724137000"), ("0.00001", "10000000000", "0"), ("30000", "1", "0"), ("90000", "1e6", "0")],
)
def test_tiny_prices_and_lots_larger_than_the_order_end_in_decisions(price: str, lot: str, quantity: str) -> None:
    """Of 100,000 USD, 21,000 may be in one order, and 500 may be lost at a stop 2.9 percent away."""
    ticks = (TickStep(D("0"), D("1e-11")),)
    listed = listing("AAPL", ticks=ticks, lot=D(lot), minimum=D(lot))
    asked = on("100000", price, listed=listed)
    assert asked.size is not None
    assert asked.size.quantity == D(quantity)
    said = {one.gate: one for one in decide(asked)}
    small = said[Gate.ORDER_NOTIONAL]
    refused = (Verdict.FAIL, Reason.ORDER_NOTIONAL_BELOW_MIN)
    assert (small.verdict, small.reason) == ((Verdict.PASS, None) if D(quantity) else refused)


UNCAPPED = CAPS.model_copy(update={"max_stop_loss_usd": None})
prices = st.decimals("0.01", "90000", places=2)
fractions = st.decimals("0.001", "0.9", places=3)


@given(
    equity=st.integers(100, 1_000_000),
    price=prices,
    stop=st.none() | fractions,
    held=fractions,
    power=st.integers(0, 400_000),
    side=st.sampled_from(Side),
    wish=st.none() | st.decimals("0.0001", "99999", places=4),
    holds=st.none() | st.sampled_from(["1", "1900", "-1900"]),
)
@example(100, D("0.01"), None, D("0.001"), 2905, Side.BUY, None, "1900")
def test_an_entry_that_may_shrink_fits_into_every_cap_and_is_never_larger(
    equity: int,
    price: Decimal,
    stop: Decimal | None,
    held: Decimal,
    power: int,
    side: Side,
    wish: Decimal | None,
    holds: str | None,
) -> None:
    stake = StrategyExposure("flow", "AAPL", side, held * equity, held=True)
    seen: dict[str, object] = {"buying_power": Decimal(power), "stakes": (stake,)}
    if holds:
        seen["margin"] = margin({"AAPL": holds}, listings={"AAPL": replace(COIN, margin_levels=LEVELS)})
    wanted = replace(candidate(side=side), quantity=wish)
    text = None if stop is None else str(stop)
    asked = on(str(equity), str(price), text, seen=seen, candidate=wanted)
    free = on(str(equity), str(price), text, candidate=wanted, limits=UNCAPPED, fit=False)
    assert asked.size is not None
    assert free.size is not None
    size = asked.size
    assert size.quantity <= free.size.quantity
    assert size.quantity % COIN.instrument.lot == 0
    assert size.margin_usd <= power
    assert size.notional_usd + held * equity <= CAPS.max_symbol_fraction * equity or not size.quantity
    assert size.risk_usd is None or size.risk_usd <= 500


AAPL = listing("AAPL")
CENT, OFFSET = Decimal("0.01"), Decimal("0.002")
PASSIVE = Execution(Style.PASSIVE, patience_s=60, steps=3)
SIDES = st.sampled_from(Side)


def spread(bid: Decimal, width: Decimal) -> Quote:
    return replace(quote(), bid=bid, ask=bid + width)


@st.composite
def quotes(draw: st.DrawFn, low: str = "0.01") -> Quote:
    """Draw a quote on the tick; the spread may be locked."""
    bid = draw(st.decimals(Decimal(low), 900, places=2))
    return spread(bid, draw(st.sampled_from([Decimal(0), CENT, 2 * CENT, Decimal("0.37"), Decimal(5)])))


def rests(side: Side, price: Decimal, seen: Quote) -> bool:
    return price < seen.ask if side is Side.BUY else price > seen.bid


def on_tick(price: Decimal) -> bool:
    return price > 0 and price % AAPL.tick_at(price) == 0


@given(SIDES, quotes(), st.decimals(0, 1))
def test_a_passive_price_is_on_the_tick_and_never_crosses_the_spread(side: Side, seen: Quote, share: Decimal) -> None:
    price = passive_price(AAPL, side, seen, share)
    assert on_tick(price)
    assert rests(side, price, seen)


@given(SIDES, quotes(low="2"), st.decimals(0, 1))
def test_a_sale_is_priced_as_the_mirror_image_of_a_purchase(side: Side, seen: Quote, share: Decimal) -> None:
    axis = Decimal(2000)
    mirrored = replace(seen, bid=axis - seen.ask, ask=axis - seen.bid)
    other = Side.SELL if side is Side.BUY else Side.BUY
    assert passive_price(AAPL, side, seen, share) == axis - passive_price(AAPL, other, mirrored, share)


class Walk(NamedTuple):
    """A passive entry, and the quotes that it meets with the seconds before each."""

    side: Side
    first: Quote
    later: list[tuple[int, Quote]]


@st.composite
def walks(draw: st.DrawFn) -> Walk:
    moments = st.lists(st.tuples(st.integers(1, 200), quotes(low="1.5")), max_size=8)
    return Walk(draw(SIDES), draw(quotes(low="1.5")), draw(moments))


@given(walks(), st.integers(0, 5))
def test_whatever_the_market_does_a_passive_entry_moves_one_way_and_stops_at_its_collar(walk: Walk, steps: int) -> None:
    execution, side = replace(PASSIVE, steps=steps), walk.side
    collar = marketable_limit(AAPL, side, walk.first, OFFSET)
    first = entry_price(AAPL, side, walk.first, collar, execution)
    assert first is not None
    price, waited_s = first, 0
    for seconds, seen in walk.later:
        waited_s += seconds
        before = price
        price = stepped_price(
            AAPL, side, seen, execution, waited_s, previous=before, collar=collar, offset=OFFSET
        )  # fmt: skip
        assert on_tick(price)
        assert (price - before) * side.sign >= 0
        assert (collar - price) * side.sign >= 0
        # Only what was there before may lie past the other side, and what comes after the last step.
        assert rests(side, price, seen) or price == before or last_step_due(execution, waited_s)


@given(SIDES, quotes(low="1.5"))
def test_in_a_market_that_stands_still_the_last_step_is_the_marketable_limit(side: Side, seen: Quote) -> None:
    collar = marketable_limit(AAPL, side, seen, OFFSET)
    near = passive_price(AAPL, side, seen, Decimal(0))
    prices = [
        stepped_price(AAPL, side, seen, PASSIVE, waited_s, previous=near, collar=collar, offset=OFFSET)
        for waited_s in (0, 59, 60, 120, 180, 239, 240, 9000)
    ]
    assert (prices[0], prices[1]) == (near, near)
    assert prices == sorted(prices, reverse=side is Side.SELL)
    assert (prices[-1], prices[-2]) == (collar, collar)
    assert prices[-3] == prices[-4] != collar


def test_the_steps_divide_the_spread_evenly() -> None:
    seen = quote(bid="99.60", ask="100.00")
    bought = [
        stepped_price(
            AAPL, Side.BUY, seen, PASSIVE, waited_s, previous=Decimal(1), collar=Decimal("100.20"), offset=OFFSET
        )
        for waited_s in (0, 60, 120, 180, 240)
    ]
    assert list(map(str, bought)) == ["99.60", "99.70", "99.80", "99.90", "100.20"]


@pytest.mark.parametrize(
    ("style", "price"),
    [(Style.MARKETABLE, "100.20"), (Style.PASSIVE, "99.98"), (Style.MARKET, None)],
)
def test_each_style_has_a_first_price_of_its_own(style: Style, price: str | None) -> None:
    found = entry_price(AAPL, Side.BUY, quote(), Decimal("100.20"), replace(MARKETABLE, style=style))
    assert found == (None if price is None else Decimal(price))


@given(SIDES, st.integers(1, 500), st.integers(1, 500), st.decimals("0.1", 3, places=1))
def test_an_entry_takes_at_most_its_share_of_what_the_other_side_shows(
    side: Side, quantity: int, shown: int, share: Decimal
) -> None:
    far, near = Decimal(shown), Decimal(10_000)
    seen = (
        replace(quote(), ask_size=far, bid_size=near)
        if side is Side.BUY
        else replace(quote(), ask_size=near, bid_size=far)
    )
    (decision,) = liquidity(side, seen, Decimal(quantity), replace(MARKETABLE, max_quote_share=share))
    assert (decision.passed, decision.observed, decision.limit) == (quantity <= share * shown, quantity, share * shown)


def test_sizes_that_no_one_shows_refuse_only_whoever_asks_for_them() -> None:
    assert liquidity(Side.BUY, quote(), Decimal(10), MARKETABLE) == ()
    (decision,) = liquidity(Side.BUY, quote(), Decimal(10), replace(MARKETABLE, max_quote_share=Decimal(9)))
    assert (decision.verdict, decision.reason) == (Verdict.UNKNOWN, Reason.QUOTE_TOO_THIN)


@pytest.mark.parametrize(
    ("seen", "good"),
    [
        (quote(), True),
        (quote(at=ago(LIMITS.max_quote_age_s + 1)), False),
        (quote(at=ago(-LIMITS.max_clock_skew_s - 1)), False),
        (quote(bid="99.00", ask="101.00"), False),
        (None, False),
    ],
)
def test_a_step_needs_a_fresh_quote_with_a_narrow_spread(seen: Quote | None, good: bool) -> None:
    assert (quote_to_step_by(seen, NOW, LIMITS) is not None) is good


@pytest.mark.parametrize("side", Side)
def test_a_short_ties_up_more_than_the_ask_and_a_long_its_limit(side: Side) -> None:
    reserve = Decimal("1.5")
    size = entry_size(candidate(side=side), AAPL, quote(), book(), ask().limits, reserve)
    price = size.limit_price if side is Side.BUY else max(size.limit_price, quote().ask * reserve)
    assert size.margin_usd == size.quantity * price
