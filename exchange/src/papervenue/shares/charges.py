"""Charge commissions, and accrue interest on cash and short positions.

Interest accrues for each calendar day, on an account's balances at eight in the evening, when the extended hours end.
The last evening before a weekend or holiday counts for all days until the next session. A day's interest is balance
times annual rate / 360. This is the money market's convention (actual/360), which Alpaca's documentation of margin
interest and stock borrow fees uses too. Proceeds of short sales are collateral: they earn the short rebate but no
interest as cash, and they don't reduce the borrowed amount. Trades count from their execution, not from their
settlement.

Amounts are posted in whole cents, rounded toward zero, and the remainder is carried to the next posting.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import NamedTuple

from papervenue.engine.account import Account, Activity, Balances
from papervenue.engine.engine_state import EngineState, enter
from papervenue.engine.orders import Fill, Order
from papervenue.market.spec import FUNDS, Costs, Rate
from papervenue.times import new_york_date

_DAYS_A_YEAR = 360
_BPS = 10_000
_CENT = Decimal("0.01")
_ZERO = Decimal(0)


class _Item(NamedTuple):
    """A kind of interest: its activity's type and sub-type, its description, and 1 if it is earned or -1 if paid."""

    code: str
    sub_type: str
    description: str
    sign: int


_ITEMS = {
    "margin": _Item("INT", "MGN", "margin interest", -1),
    "cash": _Item("INT", "CDT", "interest on cash", 1),
    "borrow": _Item("FEE", "BRW", "stock borrow fee", -1),
    "rebate": _Item("INT", "CDT", "short rebate", 1),
}
"""The types and sub-types are those of Alpaca's Trading API, except for BRW, which is ours: Alpaca documents none for
stock borrow fees. It documents none for rebates either; they are interest that is credited, as CDT says."""
_COMMISSION = "COM"


def commission(costs: Costs, qty: Decimal, value: Decimal) -> Decimal:
    """Return an order's total commission in USD, to the cent, for this many filled shares with this value in USD."""
    if not qty:
        return _ZERO
    exact = value * costs.commission_bps / _BPS + qty * costs.commission_per_share_usd
    return max(exact, costs.commission_min_usd).quantize(_CENT, ROUND_HALF_UP)


def charge_fill(floor: EngineState, settled: Fill, before: tuple[Decimal, Decimal]) -> None:
    """Charge the part of an order's commission that a fill adds."""
    if floor.costs.commissions:
        charge_commission(floor, settled.order, before)


def charge_commission(floor: EngineState, order: Order, before: tuple[Decimal, Decimal]) -> None:
    """Charge what an order's commission has grown by since its earlier fills; refund a decrease.

    `before` has the shares filled earlier, and their value in USD.
    """
    if not floor.costs.commissions:
        return
    paid = commission(floor.costs, *before)
    due = commission(floor.costs, order.filled_qty, order.filled_usd) - paid
    if due:
        word = "commission" if due > 0 else "commission returned"
        enter(floor, floor.accounts[order.account], Activity("FEE", _COMMISSION, order.symbol, word, net_amount=-due))


def accrue(floor: EngineState) -> None:
    """Accrue the interest of every account for the time from this session's end until the next session."""
    today = new_york_date(floor.now_us)
    if floor.costs.interest:
        for account in floor.accounts.values():
            # Long positions bear no interest, so only accounts with short positions are valued.
            worth = floor.balances(account) if _is_short(account) else Balances(account.cash, _ZERO, _ZERO)
            _accrue(floor, today, worth, account.accrued)


def _accrue(floor: EngineState, today: str, worth: Balances, accrued: dict[str, Decimal]) -> None:
    calendar = floor.market.calendar
    after = calendar.position_of(today) + 1
    following = calendar.all[after] if after < len(calendar.all) else None
    if following is None:
        return
    first, nights = date.fromisoformat(today), (date.fromisoformat(following.date) - date.fromisoformat(today)).days
    days = [(first + timedelta(days=night)).isoformat() for night in range(nights)]
    for name, balance, rate, spread in _bearing(floor.costs, worth):
        yearly = sum((_on(floor, rate, spread, day) for day in days), _ZERO)
        accrued[name] = accrued.get(name, _ZERO) + balance * yearly


def is_foreseeable(floor: EngineState, account: Account) -> bool:
    """Return True if `upcoming_interest` can predict an account's interest.

    It can't if the account has short positions, because their value moves with prices.
    """
    return not floor.costs.interest or not _is_short(account)


def _is_short(account: Account) -> bool:
    return any(position.qty < 0 for position in account.positions.values())


def upcoming_interest(floor: EngineState, account: Account) -> Iterator[tuple[int, Decimal]]:
    """Yield the times and USD amounts of an account's next interest postings, earliest first.

    The account must not have short positions. The amounts are valid only as long as nothing else changes its cash.
    """
    now_us, cash, accrued = floor.now_us, account.cash, dict(account.accrued)
    market = floor.market.calendar
    for session in market.market[max(market.last_reached(now_us), 0) :] if floor.costs.interest else ():
        if session.pre_us > now_us:
            due = sum((_ITEMS[name].sign * amount for name, amount in _due(floor, session.date, accrued)), _ZERO)
            cash += due
            yield session.pre_us, due
        if session.post_us > now_us:
            _accrue(floor, session.date, Balances(cash, _ZERO, _ZERO), accrued)


def _bearing(costs: Costs, worth: Balances) -> Iterator[tuple[str, Decimal, Rate, Decimal]]:
    """Yield each balance in USD that bears interest, with its rate and the spread on the funds rate."""
    free, short = worth.cash + worth.short_value, -worth.short_value
    if free < 0:
        yield "margin", -free, costs.margin_rate, costs.margin_spread
    elif free > 0:
        yield "cash", free, costs.cash_rate, costs.cash_spread
    if short:
        yield "borrow", short, costs.borrow_fee_rate, _ZERO
        yield "rebate", short, costs.short_rebate_rate, costs.short_rebate_spread


def _on(floor: EngineState, rate: Rate, spread: Decimal, day: str) -> Decimal:
    return max(floor.rates.on(day) + spread, _ZERO) if rate == FUNDS else Decimal(rate)


def post_interest(floor: EngineState) -> None:
    """Post the interest accrued before today, if the venue posts interest today."""
    today = new_york_date(floor.now_us)
    if not floor.costs.interest:
        return
    through = (date.fromisoformat(today) - timedelta(days=1)).isoformat()
    for account in floor.accounts.values():
        for name, amount in _due(floor, today, account.accrued):
            item = _ITEMS[name]
            words = f"{item.description} to {through}"
            enter(floor, account, Activity(item.code, item.sub_type, None, words, net_amount=item.sign * amount))


def _due(floor: EngineState, today: str, accrued: dict[str, Decimal]) -> Iterator[tuple[str, Decimal]]:
    """Remove the interest to be posted in a session from what has accrued; yield its kind and amount in USD."""
    if floor.costs.posted == "month" and not _begins_month(floor, today):
        return
    for name, owed in accrued.items():
        amount = (owed / _DAYS_A_YEAR).quantize(_CENT, ROUND_DOWN)
        if amount:
            accrued[name] = owed - amount * _DAYS_A_YEAR
            yield name, amount


def _begins_month(floor: EngineState, today: str) -> bool:
    calendar = floor.market.calendar
    before = calendar.all[max(calendar.position_of(today) - 1, 0)].date
    return before[:7] != today[:7]
