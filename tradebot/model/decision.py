"""A decision: the gate, its verdict, a stable reason, and the numbers behind it.

Strategies, gates, exits and jobs all return decisions, so `why-no-orders` summarizes records and never evaluates
anything a second time.
"""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.gate import Gate
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.sentences import noun_for, plain

__all__ = [
    "UNITS",
    "Decision",
    "Decisions",
    "Gate",
    "Number",
    "Verdict",
    "first_failure",
    "format_comparison",
    "units_of",
]

Number = Decimal | float | int


UNITS = {unit.code: unit for unit in Unit if unit is not Unit.NONE}
"""Every unit by its code in records."""


class Verdict(StrEnum):
    """The verdict of a gate. UNKNOWN means it couldn't be determined, and refuses an entry just as FAIL does."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Decision(Struct, frozen=True, gc=False):
    """One gate's result; `observed` and `limit` are in `unit`, or by default in the reason's or the gate's unit.

    `age_s` is the age of the data in seconds. Fields that don't apply are None. `about` names the filter if a strategy
    has several of its own. If an auction decided to close a position, `about` has the position's value (see
    `auction.WORTH`). `unit` is the code of the filter's unit, so that the numbers can be formatted even if the filter
    passes.
    """

    gate: Gate
    verdict: Verdict
    reason: Reason | None = None
    observed: Number | str | None = None
    limit: Number | str | None = None
    age_s: float | None = None
    about: str = ""
    unit: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASS

    @property
    def oldness_s(self) -> float | None:
        """Return the age of the data in seconds, from `age_s` or else the observed number; None without either."""
        if self.age_s is not None:
            return self.age_s
        return None if isinstance(self.observed, str | None) else float(self.observed)

    @property
    def is_nonzero(self) -> bool | None:
        """Return True if `observed` isn't zero when shown with four decimals; None if it or the limit isn't a
        number.
        """
        if isinstance(self.observed, str | None) or isinstance(self.limit, str | None):
            return None
        return plain(self.observed) != "0"

    @property
    def units(self) -> tuple[Unit, Unit]:
        """Return the units of `observed` and of `limit`."""
        return units_of(self.gate, self.reason, self.unit)

    @property
    def distance(self) -> float | None:
        """Return the gap between `observed` and `limit` as a fraction of the limit.

        If the limit is zero, return the gap itself. Return None if either isn't a number, or if a target is already met
        exactly.
        """
        if isinstance(self.observed, str | None) or isinstance(self.limit, str | None):
            return None
        if self.gate is Gate.TARGET and self.observed == self.limit:
            return None
        limit = float(self.limit)
        gap = abs(float(self.observed) - limit)
        return gap / abs(limit) if limit else gap


Decisions = tuple[Decision, ...]


def units_of(gate: Gate, reason: Reason | None, code: str = "") -> tuple[Unit, Unit]:
    """Return the units of a gate's `observed` and `limit`; `code` is the unit of a strategy's own filter, if any."""
    if own := UNITS.get(code):
        return own, own
    return (REASONS[reason].units if reason else None) or (gate.unit, gate.unit)


def format_comparison(decision: Decision) -> str:
    """Format what a gate observed against its limit, with units: 12.34% against 10.00%."""
    values = zip((decision.observed, decision.limit), decision.units, strict=True)
    return " against ".join(_with_unit(value, unit) for value, unit in values)


def _with_unit(value: Number | str | None, unit: Unit) -> str:
    if isinstance(value, str | None) or unit is Unit.NONE:
        return plain(value)
    return (
        f"{value:.2%}"
        if unit is Unit.SHARE_OF_WHOLE
        else f"{plain(value)} {noun_for(1 if value == 1 else 2, *unit.value)}"
    )


def first_failure(decisions: tuple[Decision, ...]) -> Decision | None:
    """Return the first decision that didn't pass, in the order of the gates, or None."""
    for decision in decisions:
        if decision.verdict is not Verdict.PASS:
            return decision
    return None
