"""A backtest that leaves out what would change nothing ends as one that runs every pass."""

from decimal import Decimal

import hypothesis
from hypothesis import example, given
from hypothesis import strategies as st

from tests.backtest.drawn import COSTLY, SYMBOLS, Drawn, Whims, days, many_days, played
from tests.tiers import sized
from tradebot.exchange.market.spec import NEXT_BAR, PAPER
from tradebot.exits.kinds.low_movement import LowMovement
from tradebot.exits.kinds.scale_out import Level, ScaleOut
from tradebot.exits.kinds.stop_loss import StopLoss
from tradebot.exits.kinds.trailing_stop import TrailingStop
from tradebot.model.limits import Protection

MARKETS = st.integers(0, sized(2, 50))
EXAMPLES = sized(3, 25)
FILLED_BEFORE_A_PASS_OF_ENTRIES = Drawn(
    seed=0,
    sessions=1,
    symbols=SYMBOLS,
    strategy=Whims(502),
    exits=(
        LowMovement(movement_fraction=Decimal("0.0032"), after_s=701),
        ScaleOut(
            levels=(
                Level(fraction=Decimal("0.0016"), share=Decimal("0.3")),
                Level(fraction=Decimal("0.0032"), share=Decimal("0.4")),
            )
        ),
        StopLoss(fraction=Decimal("0.0085")),
    ),
    protection=Protection.BOTH,
    fill=NEXT_BAR._replace(latency_s=90),
    halts={},
    looks="every 5m",
    entries="every 5m from open+2m until close-15m",
    comparisons="every 30m from open+4m",
    actions=False,
)
"""Entries take down a partial exit's fill, and only the next pass of exits puts the rest's stop at the venue."""
STOP_THAT_A_NEW_PRICE_ARMS = Drawn(
    seed=0,
    sessions=1,
    symbols=SYMBOLS,
    strategy=Whims(41, 0.5, targets=True),
    exits=(TrailingStop(fraction=Decimal("0.0038"), arm_fraction=Decimal("0.0034")),),
    protection=Protection.VENUE,
    fill=PAPER,
    halts={},
    looks="every 5m",
    entries="every 5m from open+2m until close-15m",
    comparisons="every 15m from open+1m until close",
    actions=False,
    costs=COSTLY,
)
"""A new best price gives a position a stop, which the next pass of exits rests at the venue."""


@given(days(MARKETS, sized(1, 3)))
@example(FILLED_BEFORE_A_PASS_OF_ENTRIES)
@example(STOP_THAT_A_NEW_PRICE_ARMS)
@hypothesis.settings(max_examples=EXAMPLES)
def test_passes_are_left_out_only_if_they_would_change_nothing(drawn: Drawn) -> None:
    quick, driver = played(drawn, every_pass=False)
    thorough, other = played(drawn, every_pass=True)
    assert quick == thorough
    assert driver.count.ran <= other.count.ran == other.count.due


@given(many_days(MARKETS, 25))
@hypothesis.settings(max_examples=EXAMPLES)
def test_sessions_are_passed_by_only_if_they_would_change_nothing(drawn: Drawn) -> None:
    quick, driver = played(drawn, every_pass=False)
    thorough, other = played(drawn, every_pass=True)
    assert quick == thorough
    assert driver.count.ran <= other.count.ran == other.count.due == driver.count.due
