"""The regime of the whole market."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.regime import (
    DOWNTREND_FLOW_HEAVY,
    LOW_VOL_UPTREND,
    READS,
    MarketState,
    market_state,
    regime,
)
from tradebot.signals.scoring import USD, Known, ScoreComponent

LEANS = {LOW_VOL_UPTREND: 1.0, DOWNTREND_FLOW_HEAVY: -1.0}
"""Which way a regime leans. The others lean neither way."""


def _state(known: Known) -> MarketState | None:
    return market_state(known.market, known.now)


def _value(known: Known) -> float | None:
    state = _state(known)
    return None if state is None else LEANS.get(regime(state), 0.0)


def _inputs(known: Known) -> Iterator[Input]:
    state = _state(known)
    if state is not None:
        yield Input("volatility", state.volatility, "a year")
        yield Input("gamma", state.gamma, "gamma")
        yield Input("breadth", state.breadth, "-1 to 1")
        yield Input("net_premium", state.net_premium, USD)


def _source(known: Known) -> str:
    state = _state(known)
    return "unknown" if state is None else regime(state)


COMPONENT = ScoreComponent(
    name="regime",
    family="market",
    reads=READS,
    sign="bullish in a calm and broad rise, bearish in a broad fall with bearish flow, otherwise neither",
    formula=(
        "0 if (volatility > 0.9) * (gamma < 0) else 1 if (volatility < 0.5) * (breadth > 0.2)"
        " else -1 if (net_premium < 0) * (breadth < -0.2) else 0"
    ),
    absent="the market's volatility, gamma, breadth or tide isn't known",
    value=_value,
    inputs=_inputs,
    source=_source,
    after="the regimes of an earlier bot, with measured inputs",
)
