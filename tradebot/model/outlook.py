"""What is known about a held symbol besides its price, for exit rules that ask why it was bought."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class Outlook(Struct, frozen=True):
    """What is known about a held symbol at one moment; None and empty mean that nothing is known.

    `scores` are its strategy's scores of the symbol since the position was opened, oldest first, one for each pass
    of entries, in -1..1 with the sign of the direction. `noise` is the standard deviation of the change from one
    score to the next over the sessions that are kept. `flow` is the direction of options flow now, in -1..1.
    `open_interest_kept` is the share of the contracts behind the entry that were still open the next morning.
    `regime` is the market's regime by name. `event_at` is when the next event of the company is due. `momentum` is
    the return of the last hour, and `movement` the distance from the highest to the lowest price since the position
    was opened, both as fractions.
    """

    scores: tuple[float, ...] = ()
    noise: float | None = None
    flow: float | None = None
    open_interest_kept: Decimal | None = None
    regime: str | None = None
    event_at: datetime | None = None
    momentum: Decimal | None = None
    movement: Decimal | None = None
