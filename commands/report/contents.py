"""What the screen and the page of a report say alike: which figures stand together, and what they are called."""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from commands.report.numbers import percent
from commands.shared.plain import clean
from tradebot.model.text import counted

if TYPE_CHECKING:
    from decimal import Decimal

    from tradebot.views.performance.report import AccountReport, Block, Costs, Figure, Report, TradeRow
    from tradebot.views.performance.report_rows import Sensitivity, VariantRow

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


def leveled_line(accounts: "Sequence[AccountReport]") -> str:
    """Return the name of the benchmark at the account's exposure; empty if several accounts each have their own."""
    return leveled(accounts[0]) if len(accounts) == 1 else ""


def longest(accounts: "Sequence[AccountReport]") -> "AccountReport":
    """Return the account with the longest curve, beside which the benchmark and cash are drawn."""
    return max(accounts, key=lambda account: len(account.curve))


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


def band_words(of: "Sensitivity") -> str:
    """Return in a sentence how far CAGR spreads over the days of rebalancing; empty if no other day was played."""
    days, band = len(of.rebalance_days), of.band
    if not days:
        return ""
    if band is None:
        known = sum(each.cagr is not None for each in of.rebalance_days)
        some = counted(known, "rebalance day") if known else "no rebalance days"
        return (
            f"There are {some} with a year of sessions or more; it takes {of.needed_days} to say how far CAGR spreads "
            "over them."
        )
    quartiles = f"{percent(band.first_quartile, 1)} and {percent(band.third_quartile, 1)}"
    ends = f"{percent(band.lowest, 1)} to {percent(band.highest, 1)}"
    sentence = (
        f"Over {band.days} possible rebalance days, each the n-th session of its month, CAGR is from {ends}, with the "
        f"median at {percent(band.median, 1)}, and half of them are between {quartiles}."
    )
    if band.below_played is None:
        return sentence
    return f"{sentence} The day that was played did better than {band.below_played or 'none'} of them."


def costs_words(of: "Costs") -> str:
    """Return in a sentence what all costs took per year; empty for less than a year."""
    before, after, drag = of.before.value, of.after.value, of.total.drag
    if before is None or after is None or drag is None:
        return ""
    return f"CAGR was {percent(before)} before these costs and {percent(after)} after them."


def chance_figures(account: "AccountReport") -> "list[Figure]":
    """Return the figures about how much may be chance: resampled ones, then those of selection."""
    chance, selected = account.further.chance, account.further.selected
    return [
        *(chance.figures if chance else ()),
        *((selected.best_by_chance, selected.deflated) if selected else ()),
    ]


def chance_words(account: "AccountReport") -> str:
    """Return in a sentence how the intervals of chance were made; empty if there are none."""
    of = account.further.chance
    if of is None:
        return ""
    return (
        f"{of.level:.0%} intervals from {of.resamples:,} resamples in blocks of {of.mean_block} sessions on average, "
        f"seed {of.seed}."
    )


def variants_of(of: "Sensitivity") -> "list[VariantRow]":
    """Return the backtest as it was played, and then its variants without the rebalance days."""
    return [of.played, *of.rows]


def ranked(account: "AccountReport") -> "list[TradeRow]":
    """Return the closed trades, the best first."""
    closed = (trade for trade in account.trades if trade.closed_at)
    return sorted(closed, key=lambda trade: trade.net_usd, reverse=True)


def outer(rows: Sequence[T], each: int) -> Sequence[T]:
    """Return so many of the first and of the last rows; all of them if there are no more."""
    return rows if len(rows) <= 2 * each else [*rows[:each], *rows[-each:]]
