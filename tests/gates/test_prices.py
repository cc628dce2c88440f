"""What prices do: the same to the gate of an entry and to the monitor of what is held; and what rests near them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.position import rules
from tests.kit.values import LIMITS, ask, quote
from tradebot.gates import prices
from tradebot.gates.evaluation import decide
from tradebot.model.bar import Depth, Level
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.registry import Tier, TierRules
from tradebot.model.struct_tools import replace

BASIS = LIMITS.model_copy(update={"max_basis_fraction": Decimal("0.0075")})


@pytest.mark.parametrize(
    ("mark", "verdict"), [("100.75", Verdict.PASS), ("100.76", Verdict.FAIL), (None, Verdict.UNKNOWN)]
)
def test_the_basis_is_the_same_to_the_gate_and_to_the_monitor(mark: str | None, verdict: Verdict) -> None:
    seen = replace(quote(), mark=None if mark is None else Decimal(mark), index=Decimal(100))
    ((symbol, watched),) = prices.monitors({"AAPL": seen}, BASIS)
    (gated,) = [one for one in decide(ask(quote=seen, limits=BASIS)) if one.gate is Gate.BASIS]
    assert (symbol, watched, watched.verdict) == ("AAPL", gated, verdict)
    assert not list(prices.monitors({"AAPL": seen}, LIMITS))


PRICES = st.lists(st.integers(1, 1000), min_size=1, max_size=8, unique=True).map(sorted)
SLIPPED = LIMITS.model_copy(update={"max_slippage_fraction": Decimal("0.002")})


def resting(*quantities: str) -> Depth:
    """Return what rests at 100.00, 100.10, 100.20… and, on the other side, at 99.90, 99.80…"""
    steps = [(Decimal(place) / 10, Decimal(quantity)) for place, quantity in enumerate(quantities)]
    bids = tuple(Level(Decimal("99.9") - step, quantity) for step, quantity in steps)
    return Depth("AAPL", bids, tuple(Level(100 + step, quantity) for step, quantity in steps))


@pytest.mark.parametrize(
    ("side", "found", "quantity", "verdict", "offered"),
    [
        # From 100.00, 0.2 % reaches to 100.20; from 99.90 to 99.7002.
        (Side.BUY, resting("10", "20", "30", "40"), "60", Verdict.PASS, "60"),
        (Side.BUY, resting("10", "20", "30", "40"), "60.1", Verdict.FAIL, "60"),
        (Side.SELL, resting("10", "20", "30", "40"), "30", Verdict.PASS, "30"),
        (Side.SELL, resting("10", "20", "30", "40"), "31", Verdict.FAIL, "30"),
        (Side.BUY, Depth("AAPL", (), ()), "1", Verdict.FAIL, "0"),
        # What moved away from the quote since is out of reach, and what came nearer is in it.
        (Side.BUY, Depth("AAPL", (), (Level(Decimal("100.3"), Decimal(900)),)), "1", Verdict.FAIL, "0"),
        (Side.BUY, Depth("AAPL", (), (Level(Decimal("99.5"), Decimal(900)),)), "1", Verdict.PASS, "900"),
        (Side.BUY, None, "1", Verdict.UNKNOWN, None),
    ],
)
def test_an_entry_needs_as_much_as_itself_within_the_slippage_of_the_quote(
    side: Side, found: Depth | None, quantity: str, verdict: Verdict, offered: str | None
) -> None:
    seen = quote(bid="99.90", ask="100.00")
    decision = prices.depth(side, seen, Decimal(quantity), found, Decimal("0.002"))
    reason = {Verdict.FAIL: Reason.DEPTH_TOO_THIN, Verdict.UNKNOWN: Reason.DEPTH_UNKNOWN}.get(verdict)
    limit = None if offered is None else Decimal(offered)
    assert decision == Decision(Gate.DEPTH, verdict, reason, Decimal(quantity), limit)


@given(PRICES, st.integers(1, 1000), st.integers(1, 1000), st.sampled_from(Side))
def test_a_worse_price_never_reaches_less_and_a_mirrored_market_offers_the_same(
    asks: list[int], price: int, other: int, side: Side
) -> None:
    levels = [Level(Decimal(at), Decimal(at % 7 + 1)) for at in asks]
    mirrored = tuple(Level(2000 - one.price, one.quantity) for one in levels)
    found = Depth("AAPL", (), tuple(levels)) if side is Side.BUY else Depth("AAPL", mirrored, ())

    def reached(at: int) -> Decimal:
        return found.quantity_within(side, Decimal(at if side is Side.BUY else 2000 - at))

    near, far = sorted((price, other))
    assert reached(near) <= reached(far) <= sum(one.quantity for one in levels)
    assert reached(price) == sum(one.quantity for one in levels if one.price <= price)


@pytest.mark.parametrize(
    ("tier", "slippage"), [(Tier.A, "0.001"), (Tier.B, "0.002"), (Tier.C, "0.002"), (None, "0.002")]
)
def test_a_tier_only_ever_tightens_the_slippage(tier: Tier | None, slippage: str) -> None:
    allowed: TierRules | None = None if tier is None else rules().tiers.of(tier)
    assert prices.slippage_of(SLIPPED, allowed) == Decimal(slippage)
    assert prices.slippage_of(LIMITS, allowed) is None
