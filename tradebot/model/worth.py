"""The value of a position or candidate in an auction, its parts, and the text of it that the books keep."""

import re
from decimal import Decimal, InvalidOperation

from msgspec import Struct

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
    found = _VALUE.fullmatch(text)
    if found is None:
        return None
    try:
        r = None if found["r"] is None else Decimal(found["r"])
        return PositionValue(Decimal(found["score"]), Decimal(found["gained"] or 0), Decimal(found["cost"]), r)
    except InvalidOperation:
        return None
