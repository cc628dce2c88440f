"""Compose and parse the reason why a position was closed: one line with each rule that fired.

Parts are joined by `+`. A part is a name, sometimes followed by a symbol and by an amount in parentheses:
`trail_stop(-1.2%)+signal_decay(0.65)`, `time_exit(72h)`, `displaced_by_XYZ`. Without any part, the reason is `unknown`.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.reason_codes import Unit

UNKNOWN = "unknown"
ROLLED_INTO = "rolled_into"
"""The reason of a roll's close; it names the contract in which the position reopens."""
_PART = re.compile(
    r"(?P<name>[a-z]+(?:_[a-z]+)*)(?:_(?P<symbol>[A-Z0-9][A-Z0-9._/-]*))?"
    r"(?:\((?P<amount>-?[0-9]+(?:\.[0-9]+)?)(?P<mark>%|h|)\))?"
)


class AmountUnit(StrEnum):
    """The unit of an amount: percent, hours, or none."""

    PERCENT = "%"
    HOURS = "h"
    NONE = ""


_SHOWN = {
    Unit.SHARE_OF_WHOLE: (AmountUnit.PERCENT, Decimal(100), Decimal("0.1")),
    Unit.SECONDS: (AmountUnit.HOURS, Decimal(1) / 3600, Decimal("0.1")),
}
"""The display of an amount by its unit: its suffix, factor and rounding."""


class ReasonPart(Struct, frozen=True):
    """One rule's part of a reason: its name in lower case, a symbol in capitals if it has one, and the amount.

    Raise ValueError if it couldn't be parsed back.
    """

    name: str
    amount: Decimal | None = None
    mark: AmountUnit = AmountUnit.NONE
    symbol: str = ""

    def __post_init__(self) -> None:
        """Refuse a part that the grammar can't express."""
        whole = _PART.fullmatch(str(self))
        if not whole or (whole["name"], whole["symbol"] or "") != (self.name, self.symbol) or self.name == UNKNOWN:
            raise ValueError(f"{str(self)!r} isn't a valid reason to close a position")
        if self.amount is None and self.mark is not AmountUnit.NONE:
            raise ValueError(f"{self.name} has a unit without an amount")

    def __str__(self) -> str:
        named = f"{self.name}_{self.symbol}" if self.symbol else self.name
        return named if self.amount is None else f"{named}({_plain(self.amount)}{self.mark})"


Why = tuple[ReasonPart, ...]
"""All parts of the reason for a close, strongest first."""


def amount_part(name: str, amount: Decimal | float | None, unit: Unit = Unit.NONE) -> ReasonPart:
    """Build a part with an amount in `unit`, rounded to a tenth of a percent or of an hour, or to a hundredth."""
    if amount is None:
        return ReasonPart(name)
    mark, factor, step = _SHOWN.get(unit, (AmountUnit.NONE, Decimal(1), Decimal("0.01")))
    return ReasonPart(name, Decimal(_plain((Decimal(amount) * factor).quantize(step))), mark)


def compose(parts: Iterable[ReasonPart]) -> str:
    """Return the parts as one line; `unknown` if there are none."""
    return "+".join(map(str, parts)) or UNKNOWN


def parse(text: str) -> Why:
    if text == UNKNOWN:
        return ()
    return tuple(_part(part) for part in text.split("+"))


def _part(text: str) -> ReasonPart:
    match = _PART.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} isn't a valid reason to close a position")
    amount = match["amount"]
    return ReasonPart(
        match["name"],
        None if amount is None else Decimal(amount),
        AmountUnit(match["mark"] or ""),
        match["symbol"] or "",
    )


def _plain(amount: Decimal) -> str:
    """Return an amount in plain digits, without trailing zeros and without a negative zero."""
    return f"{amount.normalize():f}" if amount else "0"
