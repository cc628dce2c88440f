"""What a person is asked before an entry is sent, and what that person answered."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.candidate import Side


class Answer(StrEnum):
    """What a person said."""

    YES = "yes"
    NO = "no"


class Request(Struct, frozen=True):
    """An entry that passed every gate, as a person was shown it.

    `quantity` (unsigned) and `notional_usd` are the most that a yes allows. `price` is the worst one that the order
    would have been sent at when it was asked. `slot` is that of a strategy's own clock, or empty. Without an answer the
    request ends at `expires_at`. `reach` is how far an earlier answer to the same question holds: until the end of
    `session`, and of `slot` if there is one.
    """

    id: str
    strategy: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    notional_usd: Decimal
    session: date
    slot: str
    asked_at: datetime
    expires_at: datetime
    score: float | None = None
    answer: Answer | None = None
    answered_at: datetime | None = None
    who: str = ""

    @property
    def reach(self) -> tuple[str, str, Side, date, str]:
        """Return what makes two requests the same question."""
        return self.strategy, self.symbol, self.side, self.session, self.slot

    def waits(self, now: datetime) -> bool:
        """Return True if a person may still answer it."""
        return self.answer is None and now < self.expires_at
