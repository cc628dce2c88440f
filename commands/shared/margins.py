"""Draw what an account's margin is, and how far its positions are from being liquidated."""

from decimal import Decimal
from typing import TYPE_CHECKING

from commands.shared.drawing import usd
from commands.shared.plain import clean
from commands.shared.times import when

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.model.margin import Liquidation
    from tradebot.views.holdings import AccountMargin


def show_margin(console: "Console", margin: "AccountMargin | None", most: int | None = None) -> None:
    """Print the margin of an account that has any, and its `most` nearest liquidations; all of them if None."""
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


def _part(amount: Decimal | None, fraction: Decimal | None) -> str:
    return _usd(amount) if fraction is None else f"{_usd(amount)} ({fraction:.2%} of equity)"


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"{amount:,.2f} USD"


def _liquidation(one: "Liquidation") -> str:
    if one.price is None:
        return f"{clean(one.symbol)} by no price of its own"
    return f"{clean(one.symbol)} at {usd(one.price, one.symbol)}, {one.distance:.2%} away"
