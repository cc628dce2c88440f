"""The settings of an auction over the positions and candidates of several strategies."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tradebot.model.limits import Exposure, Fraction, Frozen, Seconds, Tighter


class AuctionRules(Frozen):
    """How the positions and candidates of all strategies that chose the auction compete for the room of one account.

    Values are on the scale of scores: `value_per_r` is what a profit as large as the first stop's distance is worth,
    `cost` what a trade costs, `min_advantage` how far a candidate's value has to be above that of the position that
    gives way. `margin_fraction` is of equity, as is `max_net_fraction`. The books look back one day for `cooldown_s`.
    A swap is one open, one close and two trades.
    """

    value_per_r: Annotated[Decimal, Field(ge=0, le=1), Tighter.SAME]
    cost: Annotated[Decimal, Field(ge=0, le=1), Tighter.SAME]
    min_advantage: Annotated[Decimal, Field(gt=0, le=2), Tighter.HIGHER]
    max_positions: Annotated[int, Field(ge=1, le=5000), Tighter.LOWER]
    margin_fraction: Annotated[Fraction, Tighter.LOWER]
    max_per_cluster: Annotated[int, Field(ge=1, le=5000), Tighter.LOWER]
    max_net_fraction: Annotated[Exposure | None, Tighter.LOWER] = None
    max_opens: Annotated[int, Field(ge=1, le=100), Tighter.LOWER]
    max_closes: Annotated[int, Field(ge=1, le=100), Tighter.LOWER]
    max_trades: Annotated[int, Field(ge=2, le=200), Tighter.LOWER]
    min_age_s: Annotated[Seconds, Tighter.HIGHER]
    cooldown_s: Annotated[int, Field(gt=0, le=86_400), Tighter.HIGHER]
