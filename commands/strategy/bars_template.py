"""The strategy that `tradebot strategy new NAME --kind bars` writes, and its test."""

SUMMARY = """\
It reads 5-minute bars, and trades against a price that is far from its mean. Each position has its own stop and
target, and is closed early if the price is back at its mean.
"""

STRATEGY = '''\
"""The $name strategy: trade against a price that is far from its mean, and close when it is back."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from statistics import fmean, pstdev

from pydantic import BaseModel, ConfigDict, Field
from tradebot.ports import (
    BarNeed,
    Close,
    Decision,
    Gate,
    Needs,
    Open,
    Reason,
    Side,
    SlotWants,
    StrategyView,
    Verdict,
    Want,
)

TIMEFRAME = "5Min"
BACK = "back at its mean"
"""Why a position is closed; without numbers in it, `tradebot pnl --by reason` adds up all such closes."""


class Settings(BaseModel):
    """The strategy's own settings, from `strategies: {$name: ...}` in the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    bars: int = Field(12, ge=2, le=1000)
    entry_deviations: float = Field(2, gt=0)
    stop_loss_fraction: Decimal = Field(Decimal("0.01"), gt=0, lt=1)
    profit_target_fraction: Decimal = Field(Decimal("0.01"), gt=0, lt=1)


class $title:
    """Compare each symbol's last close with the mean of its recent closes."""

    name = "$name"
    times = "every 5m from open+1h until close-30m"

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = Settings.model_validate(settings)
        self.needs = Needs(bars=(BarNeed(TIMEFRAME, self._settings.bars),), lots=True)

    def propose(self, view: StrategyView) -> Sequence[Want]:
        """Return what to open and what to close."""
        return self._wants(view).select(view.lots)

    def propose_many(self, views: Sequence[StrategyView]) -> Sequence[SlotWants]:
        """Return the same for all slots of a session, whatever is held by then. Only backtests ask; you may remove it.

        Answer each view from that view alone: a backtest compares answers that lead to orders with `propose`.
        """
        return [self._wants(view) for view in views]

    def _wants(self, view: StrategyView) -> SlotWants:
        deviations = {symbol: distance(view.bars(symbol, TIMEFRAME).close) for symbol in view.universe}
        return SlotWants(
            if_flat=tuple(self._open(symbol, value) for symbol, value in deviations.items()),
            if_long=tuple(Close(symbol, BACK) for symbol, value in deviations.items() if value >= 0),
            if_short=tuple(Close(symbol, BACK) for symbol, value in deviations.items() if value <= 0),
        )

    def _open(self, symbol: str, deviations: float) -> Open:
        """Return a want even if it is declined, so that the reason and its numbers are recorded."""
        least = self._settings.entry_deviations
        far = abs(deviations) >= least
        decision = Decision(
            Gate.STRATEGY,
            Verdict.PASS if far else Verdict.FAIL,
            None if far else Reason.STRATEGY_DECLINED,
            abs(deviations),
            least,
        )
        return Open(
            symbol,
            Side.BUY if deviations <= 0 else Side.SELL,
            max(-1.0, min(1.0, -deviations / (2 * least))),
            decisions=(decision,),
            stop_loss_fraction=self._settings.stop_loss_fraction,
            profit_target_fraction=self._settings.profit_target_fraction,
        )


def distance(closes: Sequence[float]) -> float:
    """Return how far the last close is from the mean of all, in standard deviations; 0 if the price never moved."""
    deviation = pstdev(closes)
    return (closes[-1] - fmean(closes)) / deviation if deviation else 0.0
'''

TEST = '''\
"""Tests of the $name strategy: what it wants, and that the bot accepts its answer."""

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from tradebot.desk.want_validation import validate_wants
from tradebot.ports import Close, Decision, Lot, Open, Position, Reason, Series, Side, StrategyView, Want

from tradebot_$name.strategy import TIMEFRAME, $title

NOW = datetime(2026, 11, 16, 16, 0, tzinfo=UTC)
FLAT = [100.0, 101.0] * 6


def bars(closes: Sequence[float]) -> Series:
    """Return one bar for each close; the last one has just ended."""
    end, prices = int(NOW.timestamp()), array("d", closes)
    starts = array("q", range(end - 300 * len(closes), end, 300))
    volume = array("d", [1000.0] * len(closes))
    return Series("AAPL", TIMEFRAME, True, starts, prices, prices, prices, prices, volume)


def view_of(closes: Sequence[float], shares: int = 0) -> StrategyView:
    """Return what the strategy sees with these closes and this position."""
    series = bars(closes)
    lots = (Lot(Decimal(shares), Decimal(100), NOW),)
    held = {"AAPL": Position("$name", "AAPL", lots, Decimal(0), NOW)} if shares else {}
    return StrategyView(NOW, ("AAPL",), series={series.key: series}, lots=held)


def wanted(closes: Sequence[float], shares: int = 0) -> Sequence[Want]:
    """Return the wants that some closes lead to, checked as the bot checks them."""
    view = view_of(closes, shares)
    found = validate_wants(view, $title({}).propose(view))
    assert not isinstance(found, Decision), found
    return found


def opened(closes: Sequence[float]) -> Open:
    (want,) = wanted(closes)
    assert isinstance(want, Open)
    return want


def test_a_price_far_below_its_mean_is_bought_with_a_stop_and_a_target() -> None:
    want = opened([*FLAT[1:], 95.0])
    assert (want.side, want.decisions[0].passed) == (Side.BUY, True)
    assert (want.stop_loss_fraction, want.profit_target_fraction) == (Decimal("0.01"), Decimal("0.01"))


def test_a_price_far_above_its_mean_is_sold() -> None:
    want = opened([*FLAT[1:], 106.0])
    assert (want.side, want.decisions[0].passed) == (Side.SELL, True)


def test_a_price_near_its_mean_is_declined_with_its_numbers() -> None:
    (declined,) = opened(FLAT).decisions
    assert (declined.reason, declined.observed, declined.limit) == (Reason.STRATEGY_DECLINED, 1.0, 2)


def test_a_position_is_closed_when_the_price_is_back_at_its_mean() -> None:
    assert wanted([*FLAT[1:], 95.0], shares=10) == ()
    assert wanted(FLAT, shares=10) == (Close("AAPL", "back at its mean"),)
    assert wanted(FLAT, shares=-10) == ()


def test_all_slots_at_once_have_the_answers_that_each_has_alone() -> None:
    strategy, days = $title({}), ([*FLAT[1:], 95.0], [*FLAT[1:], 106.0], FLAT, FLAT[::-1], [100.0] * 12)
    for shares in (0, 10, -10):
        views = [view_of(closes, shares) for closes in days]
        answers = strategy.propose_many([view_of(closes) for closes in days])
        for view, answer in zip(views, answers, strict=True):
            assert answer.select(view.lots) == strategy.propose(view)
'''
