"""Define what trading costs besides the spread: commissions, and what cash and positions earn or cost overnight.

Commissions and fees of a real broker change often, so nothing here is on by default. engine.charges books the costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple, get_args

FUNDS: Literal["funds"] = "funds"
"""The effective federal funds rate of each day, from the table of rates."""
Rate = Decimal | Literal["funds"]
Posted = Literal["session", "month"]
_ZERO = Decimal(0)
_HIGHEST_BPS, _HIGHEST_USD, _HIGHEST_RATE = 1_000, 1_000, 1
RATE_LINES = "each line of the file holds a date, such as 2025-03-03, and a rate in percent a year"


class Costs(NamedTuple):
    """What an account pays and earns besides prices.

    An order pays `commission_bps` basis points of the value of its fills plus `commission_per_share_usd`, in total at
    least `commission_min_usd` if anything of it fills.

    Rates are annual fractions: 0.06 is six percent. `margin_rate` is paid for borrowed cash, `cash_rate` is earned on
    cash, `borrow_fee_rate` is paid on the value of short positions, and `short_rebate_rate` is earned on it. A rate of
    `funds` is the federal funds rate of each day plus the spread of the same name, but never below zero; it comes from
    the file at `rates_path`. Interest accrues each calendar day and is `posted` before each session, or before the
    first session of each month.
    """

    commission_bps: Decimal = _ZERO
    commission_per_share_usd: Decimal = _ZERO
    commission_min_usd: Decimal = _ZERO
    margin_rate: Rate = _ZERO
    margin_spread: Decimal = _ZERO
    cash_rate: Rate = _ZERO
    cash_spread: Decimal = _ZERO
    borrow_fee_rate: Decimal = _ZERO
    short_rebate_rate: Rate = _ZERO
    short_rebate_spread: Decimal = _ZERO
    rates_path: str | None = None
    posted: Posted = "session"

    @property
    def commissions(self) -> bool:
        return any((self.commission_bps, self.commission_per_share_usd, self.commission_min_usd))

    @property
    def interest(self) -> bool:
        return any((self.margin_rate, self.cash_rate, self.borrow_fee_rate, self.short_rebate_rate))

    @property
    def uses_funds(self) -> bool:
        return FUNDS in (self.margin_rate, self.cash_rate, self.short_rebate_rate)


NO_COSTS = Costs()
_AMOUNTS: Mapping[str, int] = {
    "commission_bps": _HIGHEST_BPS,
    "commission_per_share_usd": _HIGHEST_USD,
    "commission_min_usd": _HIGHEST_USD,
    "borrow_fee_rate": _HIGHEST_RATE,
}
_RATES = ("margin_rate", "cash_rate", "short_rebate_rate")
_SPREADS = ("margin_spread", "cash_spread", "short_rebate_spread")
_TEXTS = ("rates_path", "posted")


def costs_fields(costs: Costs) -> dict[str, Any]:
    others = {name: value for name, value in costs._asdict().items() if value != getattr(NO_COSTS, name)}
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in others.items()}


def read_costs(fields: Mapping[str, Any]) -> Costs:
    """Return the costs that `costs_fields` gave; raise TypeError, ValueError or ArithmeticError for anything else."""
    texts = (*_TEXTS, *(name for name in _RATES if fields.get(name) == FUNDS))
    given: dict[str, Any] = {name: value if name in texts else Decimal(value) for name, value in fields.items()}
    return Costs(**given)


def wrong_cost(costs: Costs) -> tuple[str, str] | None:
    """Return what is wrong with costs and how to fix it, or None if nothing is."""
    for name, most in (*_AMOUNTS.items(), *((name, _HIGHEST_RATE) for name in _RATES)):
        value = getattr(costs, name)
        if value != FUNDS and not (value.is_finite() and 0 <= value <= most):
            return f"costs.{name} must be from 0 to {most}, not {value}", "a rate of 0.05 is five percent a year"
    for name in _SPREADS:
        spread = getattr(costs, name)
        if not (spread.is_finite() and -_HIGHEST_RATE <= spread <= _HIGHEST_RATE):
            return f"costs.{name} must be from -1 to 1, not {spread}", "a spread of 0.015 adds 1.5 percentage points"
    if costs.posted not in get_args(Posted):
        return f"unknown costs.posted {costs.posted!r}", "use session or month"
    if costs.uses_funds and costs.rates_path is None:
        return "costs.rates_path names no file, but a rate is the funds rate", f"name one; {RATE_LINES}"
    return None
