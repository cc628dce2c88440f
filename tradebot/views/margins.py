"""The margin of an account, as the last pass that read it saw it."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.margin import Liquidation
from tradebot.model.record import CycleRecord


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
