"""An auction over the positions and candidates of several strategies: its settings, and what each of them is worth.

The value is kept with its parts, as the text that the books keep.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated

from msgspec import Struct
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


WORTH = "worth "

"""What stands before the value of a position that gives way, in the decision that closes it."""


class PositionValue(Struct, frozen=True):
    """What a position or a candidate is worth: its score, what it has gained, and what a trade costs, as parts.

    `score` is the magnitude that it was opened for, or would be. `gained` is what `r` is worth, the profit now as a
    multiple of what its first stop risked; None and zero for a candidate.
    """

    score: Decimal
    gained: Decimal
    cost: Decimal
    r: Decimal | None = None

    @property
    def total(self) -> Decimal:
        return self.score + self.gained - self.cost

    def __str__(self) -> str:
        """Return it with its parts, in the form that `read_value` reads behind `WORTH`."""
        gained = "" if self.r is None else f" {self.gained:+f} ({self.r:f} R)"
        return f"{self.total:f} = {self.score:f}{gained} - {self.cost:f}"


_VALUE = re.compile(WORTH + r"\S+ = (?P<score>\S+)(?: (?P<gained>\S+) \((?P<r>\S+) R\))? - (?P<cost>\S+)", re.ASCII)


def read_value(text: str) -> PositionValue | None:
    """Return the value that was written as a text, behind `WORTH`; None if it isn't one."""
    match = _VALUE.fullmatch(text)
    if match is None:
        return None
    try:
        r = None if match["r"] is None else Decimal(match["r"])
        return PositionValue(Decimal(match["score"]), Decimal(match["gained"] or 0), Decimal(match["cost"]), r)
    except InvalidOperation:
        return None
