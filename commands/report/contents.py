"""What the screen and the page of a report say alike: which figures stand together, and what they are called."""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from commands.shared.plain import clean

if TYPE_CHECKING:
    from decimal import Decimal

    from tradebot.views.performance.report import AccountReport, Block, Figure, Report, TradeRow

T = TypeVar("T")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
PARTS = ("realized", "open", "fees", "dividends", "interest", "other")
"""What profit consists of, by the names of its fields without `_usd`."""


def part(data: "Report") -> str:
    """Return the part of the account that was asked for, "flow in AAPL"; empty for the whole."""
    return " in ".join(clean(each) for each in (data.strategy, data.symbol) if each)


def parts(account: "AccountReport", always: Sequence[str]) -> "list[tuple[str, Decimal]]":
    """Return what the profit consists of, by name; of parts that are zero, only these."""
    amounts = [(name, getattr(account.earned, f"{name}_usd")) for name in PARTS]
    return [(name, amount) for name, amount in amounts if amount or name in always]


def is_recorded(account: "AccountReport") -> bool:
    """Return True if anything is known of the account in the days that were asked for."""
    earned = account.earned
    return bool(account.from_session or earned.end_usd is not None or earned.profit_usd)


def yet(data: "Report") -> str:
    """Return since when or until when nothing is known, if nothing is."""
    return "in these days" if data.from_date or data.to_date else "yet"


def leveled(account: "AccountReport") -> str:
    """Return the name of the benchmark at the account's average exposure, "SPY at 12%"; empty if it isn't known."""
    exposure = next((figure.value for figure in account.activity if figure.name == "exposure"), None)
    if not account.benchmark or exposure is None:
        return ""
    return f"{account.benchmark} at {exposure:.0%}"


def figures_of(account: "AccountReport", block: "Block") -> "tuple[Figure, ...]":
    """Return the figures of a block: returns, activity or trades."""
    from tradebot.views.performance.report import Block

    return {
        Block.RETURNS: account.returns,
        Block.ACTIVITY: account.activity,
        Block.TRADES: account.trade_figures,
    }[block]


def beside(accounts: "Sequence[AccountReport]", block: "Block") -> "list[tuple[str, list[Figure | None]]]":
    """Return the figures of a block by label, each as all accounts have it; None for one without it."""
    columns = [{figure.label: figure for figure in figures_of(account, block)} for account in accounts]
    return [(label, [column.get(label) for column in columns]) for label in dict.fromkeys(chain(*columns))]


def assumed(accounts: "Sequence[AccountReport]", block: "Block") -> list[str]:
    """Return what a block assumes, each sentence once; one that isn't said of all accounts names its own."""
    every = [account.assumptions.get(block, ()) for account in accounts]
    owners = {
        text: [clean(account.label) for account, texts in zip(accounts, every, strict=True) if text in texts]
        for text in chain(*every)
    }
    return [text if len(names) == len(accounts) else f"{names[0]}: {text}" for text, names in owners.items()]


def ranked(account: "AccountReport") -> "list[TradeRow]":
    """Return the closed trades, the best first."""
    closed = (trade for trade in account.trades if trade.closed_at)
    return sorted(closed, key=lambda trade: trade.net_usd, reverse=True)


def outer(rows: Sequence[T], each: int) -> Sequence[T]:
    """Return so many of the first and of the last rows; all of them if there are no more."""
    return rows if len(rows) <= 2 * each else [*rows[:each], *rows[-each:]]
