"""Trades of a tax year as a person writes them down, and what is asked of their sales."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from tests.kit.values import ACCOUNT, VENUE_DAY, cash_movement, fill
from tradebot.model.account import CashMovement
from tradebot.model.candidate import Side
from tradebot.model.position import Origin, OwnedFill
from tradebot.views.performance.history import History
from tradebot.views.performance.tax import TaxRow, tax_year
from tradebot.views.performance.tax_lots import Method


def on(day: str, hour: int = 15) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC)


def traded(*rows: str, symbol: str = "AAPL") -> tuple[OwnedFill, ...]:
    """Return a fill for each row such as `2026-03-02 buy 100 50`, with the strategy after it if it isn't flow's."""
    found = list[OwnedFill]()
    for number, row in enumerate(rows, 1):
        day, way, quantity, price, *owner = row.split()
        side = Side.BUY if way == "buy" else Side.SELL
        owner = owner or ["flow"]
        found.append(fill(number, symbol, side, quantity, price, strategy=owner[0].replace("hand", ""), at=on(day)))
    return tuple(found)


def past(fills: Iterable[OwnedFill], *cash: CashMovement, until: str = "2030-12-31", **changes: object) -> History:
    usual = {"fills": tuple(fills), "cash": cash, "at": on(until), "opened_at": on("2020-01-02")}
    return History(ACCOUNT, "paper", VENUE_DAY, opening_cash=Decimal(100_000), **{**usual, **changes})  # type: ignore[arg-type]


def fee(day: str, usd: str) -> CashMovement:
    return cash_movement(on(day), Decimal(usd), "FEE", Origin.ACTIVITY, f"fee-{day}", "a fee")


def commission(owned: OwnedFill, usd: str) -> CashMovement:
    """Return what a fill was charged, as the embedded exchange books it."""
    fill = owned.fill
    about = f"commission-{fill.activity_id}"
    return cash_movement(fill.at, Decimal(usd), "FEE", Origin.ACTIVITY, about, "", fill.symbol, "COM")


def rows(history: History, year: int = 2026, method: Method = Method.FIFO) -> list[TaxRow]:
    return list(tax_year(history, year, method).rows)


def brief(found: Iterable[TaxRow]) -> list[str]:
    """Return of each row when it was bought and sold, proceeds, basis, what is disallowed, the gain and the term."""
    return [
        " ".join(
            str(each)
            for each in (
                row.acquired,
                row.sold,
                f"{row.shares:f}",
                row.proceeds_usd,
                row.basis_usd,
                row.code or "-",
                row.adjustment_usd,
                row.gain_usd,
                row.term,
            )
        )
        for row in found
    ]


def of(value: object, *names: str) -> tuple[object, ...]:
    """Return some fields of a row, a trade or a total."""
    return tuple(getattr(value, name) for name in names)
