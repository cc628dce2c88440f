"""The strategy that `tradebot strategy new NAME --kind flow` writes, and its test."""

SUMMARY = """\
It reads the flow alerts of each symbol, and buys if their premium is mostly bullish, or sells if it is mostly bearish.
"""

STRATEGY = '''\
"""The $name strategy: buy if the premium of recent alerts is mostly bullish, sell if it is mostly bearish."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field
from tradebot.ports import Decision, Gate, Needs, Open, Reason, Side, StrategyView, SymbolFacts, Verdict


class Settings(BaseModel):
    """The strategy's own settings, from `strategies: {$name: ...}` in the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lookback_s: int = Field(1800, gt=0)
    min_premium_usd: float = Field(100_000, gt=0)


class $title:
    """Look at each symbol's alerts on its own."""

    name = "$name"
    needs = Needs(facts=frozenset({"flow_alerts"}))
    times = ""  # run in every entry pass

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = Settings.model_validate(settings)

    def propose(self, view: StrategyView) -> Sequence[Open]:
        """Return one want per symbol, declined ones included, so that the reason and its numbers are recorded."""
        return [self._want(view, symbol) for symbol in view.universe]

    def _want(self, view: StrategyView, symbol: str) -> Open:
        facts = view.facts.get(symbol) or SymbolFacts(symbol)
        since = view.now - timedelta(seconds=self._settings.lookback_s)
        alerts = [alert for alert in facts.alerts if alert.at > since]
        net = float(sum(alert.net_premium for alert in alerts))
        gross = float(sum(alert.ask_premium + alert.bid_premium for alert in alerts))
        score = net / gross if gross else 0.0
        return Open(
            symbol,
            Side.BUY if score >= 0 else Side.SELL,
            score,
            coverage=1.0 if facts.has_usable_alerts else 0.0,
            decisions=(self._enough(gross),),
        )

    def _enough(self, gross: float) -> Decision:
        """Decline a symbol with too little premium."""
        least = self._settings.min_premium_usd
        if gross < least:
            return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, gross, least)
        return Decision(Gate.STRATEGY, Verdict.PASS, None, gross, least)
'''

TEST = '''\
"""Tests of the $name strategy: what it wants, and that the bot accepts its answer."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tradebot.desk.want_validation import validate_wants
from tradebot.ports import Decision, FlowAlert, Open, Reason, Right, Side, StrategyView, SymbolFacts

from tradebot_$name.strategy import $title

NOW = datetime(2026, 11, 16, 16, 0, tzinfo=UTC)


def alert(right: Right, premium: int) -> FlowAlert:
    """Return a minute-old alert that was bought at the ask."""
    return FlowAlert(
        id="one",
        symbol="AAPL",
        at=NOW - timedelta(minutes=1),
        right=right,
        strike=Decimal(100),
        expiry=date(2026, 12, 18),
        premium=Decimal(premium),
        ask_premium=Decimal(premium),
        bid_premium=Decimal(0),
        volume=1000,
        open_interest=500,
        has_sweep=True,
        has_floor=False,
        has_multileg=False,
    )


def wanted(*alerts: FlowAlert) -> Open:
    """Return the want that some alerts lead to, checked as the bot checks it."""
    facts = {"AAPL": SymbolFacts("AAPL", {"flow_alerts": alerts}, alerts_fetched_at=NOW, received=len(alerts))}
    view = StrategyView(NOW, ("AAPL",), facts)
    found = validate_wants(view, $title({}).propose(view))
    assert not isinstance(found, Decision), found
    (want,) = found
    assert isinstance(want, Open)
    return want


def test_bought_calls_are_bullish() -> None:
    want = wanted(alert(Right.CALL, 500_000))
    assert (want.side, want.score, want.decisions[0].passed) == (Side.BUY, 1.0, True)


def test_bought_puts_are_bearish() -> None:
    want = wanted(alert(Right.PUT, 500_000))
    assert (want.side, want.score) == (Side.SELL, -1.0)


def test_little_premium_is_declined_with_its_numbers() -> None:
    (declined,) = wanted(alert(Right.CALL, 50_000)).decisions
    assert (declined.reason, declined.observed, declined.limit) == (Reason.STRATEGY_DECLINED, 50_000, 100_000)
'''
