"""The direction of recent off-exchange trades."""

from bisect import bisect_right
from datetime import datetime
from functools import cached_property
from math import fsum

from tradebot.signals.kinds import dark_pool
from tradebot.signals.kinds.dark_pool import Prints
from tradebot.signals.scoring import USD, Known, ScoreComponent, Shown, shown


class Counted:
    """What the prints within the lookback add up to, in USD; the net is positive if they are above the midpoint.

    fsum rounds only once, at the end. Rounding at each step could push the mean slightly outside -1..1.
    """

    def __init__(self, prints: Prints, known: Known) -> None:
        first = bisect_right(prints.at, known.now - known.lookback)
        self._usd, self._signed = prints.usd[first:], prints.signed_usd[first:]
        self.prints_known, self.prints_that_count = len(prints.at), len(self._usd)
        self.newest: datetime | None = prints.at[-1] if self._usd else None

    @cached_property
    def net(self) -> float:
        return fsum(self._signed)

    @cached_property
    def total(self) -> float:
        return fsum(self._usd)

    @cached_property
    def bullish(self) -> float:
        return fsum(usd for usd in self._signed if usd > 0)

    @cached_property
    def bearish(self) -> float:
        return fsum(-usd for usd in self._signed if usd < 0)

    @cached_property
    def neutral(self) -> float:
        return fsum(usd for usd, signed in zip(self._usd, self._signed, strict=True) if not signed)


def _counted(known: Known) -> Counted | None:
    prints = dark_pool.KIND.of(known.facts.known)
    return Counted(prints, known) if prints else None


def _source(known: Known) -> str:
    prints = dark_pool.KIND.of(known.facts.known)
    return f"{len(prints.at) if prints else 0} prints"


COMPONENT = ScoreComponent(
    name="dark_pool",
    family="off_exchange",
    reads=(dark_pool.KIND,),
    sign="bullish if prints are above the midpoint of the quote",
    looks_at=_counted,
    shows={
        **shown(USD, "net", "total", "bullish", "bearish", "neutral", at="newest"),
        "prints_known": Shown("prints"),
        "prints_that_count": Shown("prints", "newest"),
    },
    formula="net / total",
    absent="no print within the lookback",
    source=_source,
    after="Barber et al. 2024: trades signed by the midpoint of the quote",
    evidence="Boehmer, Jones, Zhang & Zhang 2021, of retail orders, which are filled off exchange, over days",
    inferred="who started a print: the source doesn't say",
)
