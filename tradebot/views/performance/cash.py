"""Movements of cash by what they are to the owner of the account, from the broker's own words for them."""

from enum import StrEnum

from tradebot.model.cash import CashKind, CashMovement
from tradebot.model.origin import Origin


class Fee(StrEnum):
    """What a fee is for."""

    COMMISSION = "commission"
    BORROW = "borrow"
    OTHER = "other"


_KINDS = {
    CashKind.FEE: ("FEE", "CFEE", "PTC", "PTR"),
    CashKind.DIVIDEND: (
        *("DIV", "DIVCGL", "DIVCGS", "DIVFEE", "DIVFT", "DIVNRA", "DIVROC", "DIVTW", "DIVTXEX"),
        "CGD",
    ),
    CashKind.INTEREST: ("INT", "INTNRA", "INTTW"),
    CashKind.TRANSFER: ("ACATC", "ACATS", "CSD", "CSW", "FOPT", "JNL", "JNLC", "JNLS", "TRANS"),
}
"""Alpaca's `ActivityType`s, from its Trading API's OpenAPI document. What was withheld from a dividend, or charged for
it, makes the dividend smaller. A pass-through charge is a fee, and a rebate of one gives a fee back. Shares that came
in without a trade are transfers too: the books buy them at their price with cash that this movement puts back."""
_FEES = {"COM": Fee.COMMISSION, "NRC": Fee.COMMISSION, "BRW": Fee.BORROW}
"""Alpaca's `ActivitySubType`s of the type FEE, as above, and BRW for stock borrow fees. Alpaca documents none for
these, so only the embedded exchange uses it."""
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words}


def cash_kind(movement: CashMovement) -> CashKind:
    """Return what a movement is to the account's owner, by the broker's kind and by where it comes from.

    Shares that were adopted, or left to their owner, enter or leave the books at the broker's average price. The cash
    that makes up for it is no profit, so it counts as a transfer.
    """
    if movement.origin is Origin.ADOPTION:
        return CashKind.TRANSFER
    return _KIND_OF.get(movement.kind, CashKind.ADJUSTMENT)


def fee_of(movement: CashMovement) -> Fee | None:
    """Return what a fee is for; None if the movement is no fee. A fee of a sub-type that says neither is OTHER."""
    if cash_kind(movement) is not CashKind.FEE:
        return None
    return _FEES.get(movement.sub_kind, Fee.OTHER)
