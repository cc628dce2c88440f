"""Auctions among the positions and candidates of several strategies: the settings, and the value of each participant.

A value is stored with its components, as text in the books.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated

from msgspec import Struct
from pydantic import Field

from tradebot.model.limits import Exposure, Fraction, Frozen, Seconds, Tighter


class AuctionRules(Frozen):
    """How the positions and candidates of all strategies in the auction compete for the room in one account.

    Values are on the scale of scores: `value_per_r` is the value of a profit of 1R (the distance to the first stop),
    `cost` the cost of a trade, and `min_advantage` how far a candidate's value must exceed the value of the position it
    replaces. `margin_fraction` and `max_net_fraction` are of equity. `cooldown_s` looks back at most one day. A swap
    counts as one open, one close and two trades.
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


WORTH = "worth "

"""The prefix of the replaced position's value, in the decision that closes it."""


class PositionValue(Struct, frozen=True):
    """The auction value of a position or candidate, by component: its score, its gain, and the cost of a trade.

    `score` is the magnitude at entry. `gained` is the value of `r`, the current profit as a multiple of the initial
    risk; for a candidate, `r` is None and `gained` zero.
    """

    score: Decimal
    gained: Decimal
    cost: Decimal
    r: Decimal | None = None

    @property
    def total(self) -> Decimal:
        return self.score + self.gained - self.cost

    def __str__(self) -> str:
        """Format the value with its components; `read_value` parses this text."""
        gained = "" if self.r is None else f" {self.gained:+f} ({self.r:f} R)"
        return f"{self.total:f} = {self.score:f}{gained} - {self.cost:f}"


_VALUE = re.compile(WORTH + r"\S+ = (?P<score>\S+)(?: (?P<gained>\S+) \((?P<r>\S+) R\))? - (?P<cost>\S+)", re.ASCII)


def read_value(text: str) -> PositionValue | None:
    """Parse a position's value as formatted by `str`; return None for any other text."""
    match = _VALUE.fullmatch(text)
    if match is None:
        return None
    try:
        r = None if match["r"] is None else Decimal(match["r"])
        return PositionValue(Decimal(match["score"]), Decimal(match["gained"] or 0), Decimal(match["cost"]), r)
    except InvalidOperation:
        return None
