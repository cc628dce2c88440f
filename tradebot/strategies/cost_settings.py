"""The costs section of the configuration: what a trade is assumed to cost, for all strategies and for one."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tradebot.model.costs import CostModel
from tradebot.model.limits import Frozen, Seconds, Tighter

Bps = Annotated[Decimal, Field(ge=0, le=1000)]


class AssumedCosts(Frozen):
    """What is assumed of costs; with more of it, fewer entries are worth what they cost."""

    taker_bps: Annotated[Bps, Tighter.HIGHER]
    maker_bps: Annotated[Bps, Tighter.HIGHER]
    slippage_bps: Annotated[Bps, Tighter.HIGHER]
    funding_day_bps: Annotated[Bps | None, Tighter.HIGHER]
    hold_s: Annotated[Seconds | None, Tighter.HIGHER]

    @property
    def model(self) -> CostModel:
        """Return the same as the core knows it."""
        return CostModel(**dict(self))
