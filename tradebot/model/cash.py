"""What moved an account's cash besides fills: fees, dividends, interest, deposits, and what a person accepted."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.origin import Origin


class CashKind(StrEnum):
    """What a movement of cash is to its owner. A TRANSFER is the owner's own money, so it is neither profit nor loss.

    An ADJUSTMENT is what a person accepted with a plan, or what the broker paid or took in another way.
    """

    FEE = "fee"
    DIVIDEND = "dividend"
    INTEREST = "interest"
    TRANSFER = "transfer"
    ADJUSTMENT = "adjustment"


class CashMovement(Struct, frozen=True):
    """A movement of cash that no fill explains: signed USD, and `at` is when it happened at the broker.

    `kind` is the broker's own word, such as DIV or FEE, or empty for a person's accepted plan. `words` describe it.
    `symbol` is what a dividend was paid on, or what was traded for a fee; it is empty for what concerns the whole
    account, and where it isn't known. `sub_kind` is the broker's finer word, such as COM for a commission, or empty.
    """

    at: datetime
    amount_usd: Decimal
    kind: str
    origin: Origin
    about: str
    words: str
    symbol: str = ""
    sub_kind: str = ""
