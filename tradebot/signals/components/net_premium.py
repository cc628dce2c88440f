"""The net premium of all of a symbol's option trades of the session."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.ages import still_counts
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import net_prem_ticks
from tradebot.signals.kinds.net_prem_ticks import NetPremFacts
from tradebot.signals.scoring import USD, Known, ScoreComponent


def _session(known: Known) -> NetPremFacts | None:
    """Return the session's premium unless the last minute is too old."""
    session = net_prem_ticks.KIND.of(known.facts.known)
    return session if session and still_counts(net_prem_ticks.KIND, session.at, known.now) else None


def _value(known: Known) -> float | None:
    """Return the session's net call less net put premium, over the sum of the minutes' magnitudes."""
    session = _session(known)
    if session is None:
        return None
    gross = session.gross_usd
    return clamp((session.calls_usd - session.puts_usd) / gross, -1.0, 1.0) if gross else 0.0


def _inputs(known: Known) -> Iterator[Input]:
    session = _session(known)
    if session is not None:
        yield Input("calls", session.calls_usd, USD, session.at)
        yield Input("puts", session.puts_usd, USD, session.at)
        yield Input("gross", session.gross_usd, USD, session.at)
        yield Input("minutes", session.ticks, "minutes", session.at)


COMPONENT = ScoreComponent(
    name="net_premium",
    family="options_flow",
    reads=(net_prem_ticks.KIND,),
    sign="bullish if more premium bought calls and sold puts",
    formula="clamp((calls - puts) / gross, -1, 1) if gross else 0",
    absent="no minute of this session known, or the last one is too old",
    value=_value,
    inputs=_inputs,
    source=lambda known: "this session",
    after="the source's net premium, over the sum of its magnitudes",
    evidence="Hu 2014: the order imbalance of a stock's options predicts its return of the next day",
)
