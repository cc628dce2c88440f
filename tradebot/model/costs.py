"""Estimate the cost of a trade from entry to exit: fees, slippage and funding, as fractions of its notional."""

from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.bar import Quote
from tradebot.model.candidate import Side

BASIS_POINTS = Decimal(10_000)
"""How many basis points make up the whole."""
HOUR_S, HOURS_A_DAY = 3600, 24


class CostModel(Struct, frozen=True):
    """Assumed costs, in basis points of notional.

    Fees and `slippage_bps` are per side of a trade. `funding_day_bps` is the minimum cost assumed for holding a
    perpetual future for a day, on either side; None if there is no funding. `hold_s` is the holding time for strategies
    that don't state one.
    """

    taker_bps: Decimal
    maker_bps: Decimal
    slippage_bps: Decimal
    funding_day_bps: Decimal | None = None
    hold_s: int | None = None

    def trading(self, *, rests: bool) -> Decimal:
        """Return the fees and slippage of a round trip as a fraction; an entry that `rests` pays only the maker fee."""
        entry = self.maker_bps if rests else self.taker_bps + self.slippage_bps
        return (entry + self.taker_bps + self.slippage_bps) / BASIS_POINTS


class Costs(NamedTuple):
    """The expected costs of a trade, as fractions of its notional; `funding` is None if it isn't known."""

    trading: Decimal
    funding: Decimal | None

    @property
    def total(self) -> Decimal | None:
        """Return the sum of these costs, or None if one of them is unknown."""
        return None if self.funding is None else self.trading + self.funding


def round_trip(model: CostModel, side: Side, quote: Quote, hold_s: int | None = None, *, rests: bool = False) -> Costs:
    """Estimate the cost of entering, holding for `hold_s` seconds, and exiting.

    An entry that only `rests` pays the maker fee; the exit always pays the taker fee. The funding is the highest of the
    assumed, the venue's current and its predicted rate for this side. It is None if the venue gave no rate or mark, or
    if the holding time is unknown.
    """
    trading = model.trading(rests=rests)
    if model.funding_day_bps is None:
        return Costs(trading, Decimal(0))
    held_s = model.hold_s if hold_s is None else hold_s
    rates = [rate for rate in (quote.funding_rate, quote.funding_next) if rate is not None]
    if held_s is None or quote.mark is None or not rates:
        return Costs(trading, None)
    venue_rate = max(side.sign * rate for rate in rates) / quote.mark
    hourly = max(model.funding_day_bps / BASIS_POINTS / HOURS_A_DAY, venue_rate)
    return Costs(trading, hourly * held_s / HOUR_S)
