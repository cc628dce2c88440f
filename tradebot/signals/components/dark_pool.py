"""The direction of recent off-exchange trades."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from math import fsum
from operator import attrgetter

from tradebot.model.inputs import Input
from tradebot.signals.kinds import dark_pool
from tradebot.signals.kinds.dark_pool import SignedPrint
from tradebot.signals.scoring import USD, Known, ScoreComponent

_AT = attrgetter("at")


def _prints(known: Known) -> Sequence[SignedPrint]:
    return dark_pool.KIND.of(known.facts.known) or ()


def _recent(known: Known) -> Sequence[SignedPrint]:
    prints = _prints(known)
    return prints[bisect_right(prints, known.now - known.lookback, key=_AT) :]


def _value(known: Known) -> float | None:
    """Return the premium-weighted mean direction of recent prints: +1 above the quote's midpoint, -1 below it."""
    recent = _recent(known)
    total = fsum([usd for _, usd, _ in recent])
    if not total:
        return None
    # fsum rounds only once, at the end. Rounding at each step could push the mean slightly outside -1..1.
    return fsum([usd * sign for _, usd, sign in recent]) / total


def _inputs(known: Known) -> Iterator[Input]:
    recent = _recent(known)
    newest = max((trade.at for trade in recent), default=None)
    for name, sign in (("bullish", 1), ("bearish", -1), ("neutral", 0)):
        yield Input(name, fsum(trade.premium_usd for trade in recent if trade.sign == sign), USD, newest)
    yield Input("prints_known", len(_prints(known)), "prints")
    yield Input("prints_that_count", len(recent), "prints", newest)


COMPONENT = ScoreComponent(
    name="dark_pool",
    family="off_exchange",
    reads=(dark_pool.KIND,),
    sign="bullish if prints are above the midpoint of the quote",
    formula="(bullish - bearish) / (bullish + bearish + neutral)",
    absent="no print within the lookback",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{len(_prints(known))} prints",
    after="Barber et al. 2024: trades signed by the midpoint of the quote",
    evidence="Boehmer, Jones, Zhang & Zhang 2021, of retail orders, which are filled off exchange, over days",
    inferred="who started a print: the source doesn't say",
)
