"""The regime of the whole market."""

from tradebot.signals.regime import BROAD, HIGH_VOLATILITY, LOW_VOLATILITY, READS, MarketState, market_state, regime
from tradebot.signals.scoring import USD, Known, ScoreComponent, Shown


def _state(known: Known) -> MarketState | None:
    return market_state(known.market, known.now)


COMPONENT = ScoreComponent(
    name="regime",
    family="market",
    reads=READS,
    sign="bullish in a calm and broad rise, bearish in a broad fall with bearish flow, otherwise neither",
    looks_at=_state,
    shows={
        "volatility": Shown("a year"),
        "gamma": Shown("gamma"),
        "breadth": Shown("-1 to 1"),
        "net_premium": Shown(USD),
    },
    formula=(
        f"0 if (volatility > {HIGH_VOLATILITY}) * (gamma < 0)"
        f" else 1 if (volatility < {LOW_VOLATILITY}) * (breadth > {BROAD})"
        f" else -1 if (net_premium < 0) * (breadth < -{BROAD}) else 0"
    ),
    absent="the market's volatility, gamma, breadth or tide isn't known",
    source=lambda known: regime(state) if (state := _state(known)) else "unknown",
    after="the regimes of the bot before this one, with measured inputs instead of constants",
)
