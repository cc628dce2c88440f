"""The direction of recent off-exchange trades."""

from bisect import bisect_right
from collections.abc import Iterator
from math import fsum

from tradebot.model.inputs import Input
from tradebot.signals.kinds import dark_pool
from tradebot.signals.kinds.dark_pool import Prints
from tradebot.signals.scoring import USD, Known, ScoreComponent

_NONE = Prints((), (), ())


def _prints(known: Known) -> Prints:
    return dark_pool.KIND.of(known.facts.known) or _NONE


def _first(known: Known, prints: Prints) -> int:
    """Return the place of the first print within the lookback."""
    return bisect_right(prints.at, known.now - known.lookback)


def _value(known: Known) -> float | None:
    """Return the premium-weighted mean direction of recent prints: +1 above the quote's midpoint, -1 below it."""
    prints = _prints(known)
    first = _first(known, prints)
    total = fsum(prints.usd[first:])
    if not total:
        return None
    # fsum rounds only once, at the end. Rounding at each step could push the mean slightly outside -1..1.
    return fsum(prints.signed_usd[first:]) / total


def _inputs(known: Known) -> Iterator[Input]:
    prints = _prints(known)
    first = _first(known, prints)
    newest = prints.at[-1] if prints.at[first:] else None
    signed = prints.signed_usd[first:]
    yield Input("bullish", fsum(max(0.0, usd) for usd in signed), USD, newest)
    yield Input("bearish", fsum(max(0.0, -usd) for usd in signed), USD, newest)
    neutral = fsum(usd for usd, sided in zip(prints.usd[first:], signed, strict=True) if not sided)
    yield Input("neutral", neutral, USD, newest)
    yield Input("prints_known", len(prints.at), "prints")
    yield Input("prints_that_count", len(signed), "prints", newest)


COMPONENT = ScoreComponent(
    name="dark_pool",
    family="off_exchange",
    reads=(dark_pool.KIND,),
    sign="bullish if prints are above the midpoint of the quote",
    formula="(bullish - bearish) / (bullish + bearish + neutral)",
    absent="no print within the lookback",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{len(_prints(known).at)} prints",
    after="Barber et al. 2024: trades signed by the midpoint of the quote",
    evidence="Boehmer, Jones, Zhang & Zhang 2021, of retail orders, which are filled off exchange, over days",
    inferred="who started a print: the source doesn't say",
)
