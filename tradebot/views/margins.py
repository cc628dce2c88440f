"""The margin of an account, as the last pass that read it saw it, and what its positions paid for being held."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.account import CashMovement
from tradebot.model.activity import ActivityKind
from tradebot.model.margin import Liquidation
from tradebot.model.record import CycleRecord
from tradebot.views.holdings import Holding


class AccountMargin(Struct, frozen=True):
    """What the positions of an account tie up, in USD and as fractions of its equity; None for what isn't known.

    `at` is when a pass saw it, in trading time. `initial` opens positions, `maintenance` keeps them: the broker
    liquidates once that is all of the equity. `liquidations` are the positions' prices for that, with how far each mark
    is from it, the nearest first.
    """

    at: datetime
    initial_usd: Decimal | None
    initial_fraction: Decimal | None
    maintenance_usd: Decimal | None
    maintenance_fraction: Decimal | None
    available_usd: Decimal | None
    liquidations: tuple[Liquidation, ...]


class FundingSoFar(Struct, frozen=True):
    """What holding a symbol has cost or earned in funding since its oldest position was opened, in signed USD."""

    symbol: str
    amount_usd: Decimal


def funding_so_far(held: Iterable[Holding], movements: Iterable[CashMovement]) -> tuple[FundingSoFar, ...]:
    """Return the booked funding of each symbol that is held, in the order of the positions, without those of nothing.

    Positions of several strategies in a symbol are one at the broker, so their funding is told together.
    """
    since: dict[str, datetime] = {}
    for row in held:
        if row.opened_at is not None:
            since[row.symbol] = min(row.opened_at, since.get(row.symbol, row.opened_at))
    sums = dict.fromkeys(since, Decimal(0))
    for one in movements:
        if one.meaning is ActivityKind.FUNDING and one.symbol in since and one.at >= since[one.symbol]:
            sums[one.symbol] += one.amount_usd
    return tuple(FundingSoFar(symbol, amount) for symbol, amount in sums.items() if amount)


def account_margin(passes: Iterable[CycleRecord]) -> AccountMargin | None:
    """Return the margin that the last of these passes saw; None if the account pays for what it buys."""
    seen = [(cycle.at, cycle.equity, cycle.margin) for cycle in passes if cycle.margin is not None]
    if not seen:
        return None
    at, equity, margin = max(seen, key=lambda one: one[0])
    return AccountMargin(
        at=at,
        initial_usd=margin.initial,
        initial_fraction=_of_equity(margin.initial, equity),
        maintenance_usd=margin.maintenance,
        maintenance_fraction=_of_equity(margin.maintenance, equity),
        available_usd=margin.available,
        liquidations=margin.liquidations,
    )


def _of_equity(usd: Decimal | None, equity: Decimal | None) -> Decimal | None:
    return usd / equity if usd is not None and equity is not None and equity > 0 else None
