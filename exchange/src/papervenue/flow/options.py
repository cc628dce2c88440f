"""Model option contracts: OCC symbols, the strike grid, and rough prices."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from math import sqrt
from typing import NamedTuple

_SMALLEST_CENTS = 3
_WEEKLY_EXPIRIES = 8
_WEEKS_LISTED = 54


class FlowContract(NamedTuple):
    """A contract near a target strike; `right` is C or P, `expiry` an ISO date."""

    symbol: str
    expiry: str
    right: str
    wished_strike: float

    @property
    def strike_thousandths(self) -> int:
        """Return the strike in 0.001 USD, in steps of 0.5 USD below 25, 1 below 100, 2.5 below 250, then 5."""
        target = self.wished_strike
        step = 500 if target < 25 else 1_000 if target < 100 else 2_500 if target < 250 else 5_000
        return max(step, int(target * 1000 / step + 0.5) * step)

    @property
    def strike_text(self) -> str:
        """Return the strike in dollars without trailing zeros."""
        return f"{self.strike_thousandths / 1000:g}"

    @property
    def occ(self) -> str:
        """Return the OCC symbol: root, yymmdd, right, and the strike in thousandths with eight digits."""
        root, day = self.symbol.replace(".", ""), self.expiry[2:].replace("-", "")
        return f"{root}{day}{self.right}{self.strike_thousandths:08d}"


def option_price(contract: FlowContract, underlying: float, volatility: float, today: str) -> int:
    """Return a contract's price in cents per share, at its strike on the grid (see rough_price)."""
    strike = contract.strike_thousandths / 1000
    return rough_price(contract.right, strike, contract.expiry, underlying, volatility, today)


def rough_price(right: str, strike: float, expiry: str, underlying: float, volatility: float, today: str) -> int:
    """Return a rough price in cents per share: intrinsic value plus time value.

    The time value is 0.4 standard deviations of the move until expiry, and less if the strike is away from the money.
    """
    days = max((date.fromisoformat(expiry) - date.fromisoformat(today)).days, 0) + 1
    deviation = underlying * volatility * sqrt(days / 365)
    gap = underlying - strike if right == "C" else strike - underlying
    time_value = 0.4 * deviation / (1 + abs(gap) / deviation)
    return max(_SMALLEST_CENTS, int((max(gap, 0.0) + time_value) * 100 + 0.5))


def friday(day: str, weeks: int) -> str:
    """Return the ISO date of a weekly expiry: the first Friday on or after `day`, plus `weeks` weeks."""
    first = date.fromisoformat(day)
    return (first + timedelta(days=(4 - first.weekday()) % 7 + 7 * weeks)).isoformat()


@lru_cache(maxsize=64)
def expiries(day: str) -> tuple[str, ...]:
    """Return the ISO dates on which contracts expire: eight Fridays, then the third Fridays of later months."""
    weekly = [friday(day, weeks) for weeks in range(_WEEKLY_EXPIRIES)]
    monthly = [later for weeks in range(_WEEKLY_EXPIRIES, _WEEKS_LISTED) if is_third(later := friday(day, weeks))]
    return (*weekly, *monthly)


def is_third(day: str) -> bool:
    """Return True if a Friday is the third of its month, when monthly contracts expire."""
    return 15 <= int(day[8:]) <= 21
