"""Show an account's margin, how far its positions are from liquidation, and their funding."""

from decimal import Decimal
from typing import TYPE_CHECKING

from commands.shared.light_helpers import clean
from commands.shared.number_format import usd
from commands.shared.times import when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from tradebot.model.margin import Liquidation
    from tradebot.views.holdings import AccountMargin, FundingSoFar


def show_margin(console: "Console", margin: "AccountMargin | None", most: int | None = None) -> None:
    """Print the margin of an account that has any, with its `most` nearest liquidations (None: all)."""
    if margin is None:
        return
    parts = (
        f"{_part(margin.initial_usd, margin.initial_fraction)} tied up",
        f"{_part(margin.maintenance_usd, margin.maintenance_fraction)} to keep the positions",
        f"{_usd(margin.available_usd)} available",
    )
    console.print(f"Margin {', '.join(parts)}, at {when(margin.at)}", markup=False)
    nearest = "; ".join(_liquidation(one) for one in margin.liquidations[:most])
    if nearest:
        console.print(f"  liquidated by the broker: {nearest}", markup=False)


def show_funding(console: "Console", funding: "Sequence[FundingSoFar]") -> None:
    """Print what holding the positions has cost or earned in funding so far, if the books have any."""
    if not funding:
        return
    total = sum((one.amount_usd for one in funding), Decimal(0))
    each = ", ".join(f"{clean(one.symbol)} {one.amount_usd:+,.2f}" for one in funding)
    console.print(f"Funding so far {total:+,.2f} USD: {each}", markup=False)


def _part(amount: Decimal | None, fraction: Decimal | None) -> str:
    return _usd(amount) if fraction is None else f"{_usd(amount)} ({fraction:.2%} of equity)"


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"{amount:,.2f} USD"


def _liquidation(one: "Liquidation") -> str:
    mark = "" if one.mark is None else f" (mark {usd(one.mark, one.symbol)})"
    if one.price is None:
        return f"{clean(one.symbol)} by no price of its own{mark}"
    return f"{clean(one.symbol)} at {usd(one.price, one.symbol)}, {one.distance:.2%} away{mark}"
