"""How an entry is sent: at once past the best price of the other side, or patiently from its own side."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct


class Style(StrEnum):
    """How an entry looks for its price.

    A marketable limit can fill at once, up to its collar. A passive limit begins on its own side of the spread and
    moves toward the other one in steps. A market order has no limit.
    """

    MARKETABLE = "marketable"
    PASSIVE = "passive"
    MARKET = "market"


class LastStep(StrEnum):
    """What becomes of a passive entry after its last step."""

    MARKETABLE = "marketable"
    CANCEL = "cancel"


class Execution(Struct, frozen=True):
    """How a strategy's entries are sent; the rest is about passive ones.

    The first price and each of the `steps` after it have `patience_s` seconds to fill. Whatever the style, an entry may
    have at most `max_quote_share` times the shares that the quote shows on the other side; None is no limit.
    """

    style: Style = Style.MARKETABLE
    patience_s: int = 60
    steps: int = 3
    last_step: LastStep = LastStep.MARKETABLE
    max_quote_share: Decimal | None = None

    @property
    def patient_s(self) -> int:
        """Return how many seconds a passive entry is given before its last step."""
        return (self.steps + 1) * self.patience_s


MARKETABLE = Execution()


class Approach(Struct, frozen=True):
    """What stays the same while a passive entry moves from price to price.

    `collar` is the price past which it never goes: the limit that a marketable entry would have had when it was
    decided on. `begun` is when its first order was sent, in aware UTC.
    """

    collar: Decimal
    begun: datetime
