"""The option contracts behind a proposed entry, as they were when it was proposed."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

SHARES = 100
"""How many shares of the underlying a contract is about."""


class OptionContract(Struct, frozen=True):
    """An option contract that alerts in the direction of an entry were about.

    `symbol` is its OCC symbol, `net_premium` the sum of those alerts' ask-side minus bid-side premium in USD, positive
    if bullish, and `alerts` are their ids, newest first. The rest is as the newest of them says: `bid` and `ask` are in
    USD per share of the underlying, `volume` and `open_interest` in contracts. `opening` and `sweep` are the source's
    inferences.
    """

    symbol: str
    net_premium: Decimal
    at: datetime
    bid: Decimal | None
    ask: Decimal | None
    volume: int
    open_interest: int
    opening: bool | None
    sweep: bool
    alerts: tuple[str, ...]

    @property
    def spread_fraction(self) -> Decimal | None:
        """Return the spread as a fraction of the midpoint, or None without a quote."""
        if self.bid is None or self.ask is None or not self.bid + self.ask:
            return None
        return (self.ask - self.bid) / ((self.bid + self.ask) / 2)

    @property
    def cost_usd(self) -> Decimal | None:
        """Return what one contract costs at the ask, or None without one."""
        return None if self.ask is None else self.ask * SHARES
