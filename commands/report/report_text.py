"""The texts that a report's screen and its page share: groups of figures, numbers, and whole sentences."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import TypeVar

from commands.shared.light_helpers import clean
from commands.shared.number_format import duration, format_signed
from tradebot.lab.performance.assumptions import join_names
from tradebot.lab.performance.report import (
    AccountReport,
    Block,
    Figure,
    FigureUnit,
    PerformanceReport,
    ReportedTrade,
    TradingCosts,
    Windows,
)
from tradebot.lab.performance.sensitivity import Sensitivity, VariantRow
from tradebot.lab.performance.statistics import CONFIDENCE
from tradebot.model.sentences import counted_kind, noun_for, pluralize
from tradebot.views.trades.pnl import PARTS

T = TypeVar("T")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def part(data: "PerformanceReport") -> str:
    """Return the selected part of the account, such as "flow in AAPL"; empty for the whole."""
    return " in ".join(clean(each) for each in (data.strategy, data.symbol) if each)


def parts(account: "AccountReport", always: Sequence[str]) -> "list[tuple[str, Decimal]]":
    """Return the parts of the profit by name, omitting zeros except for the parts in `always`."""
    amounts = [(name, getattr(account.earned, f"{name}_usd")) for name in (*PARTS, "difference")]
    return [(name, amount) for name, amount in amounts if amount or name in always]


def is_recorded(account: "AccountReport") -> bool:
    """Return True if the account has any records in the selected days."""
    earned = account.earned
    return bool(account.from_session or earned.end_usd is not None or earned.profit_usd)


def period_phrase(data: "PerformanceReport") -> str:
    """Return a phrase for the period without records: "in these days" or "yet"."""
    return "in these days" if data.from_date or data.to_date else "yet"


def benchmark_name(account: "AccountReport") -> str:
    """Return the benchmark's name at the account's average exposure, "SPY at 12%"; empty if unknown."""
    exposure = next((figure.value for figure in account.activity if figure.name == "exposure"), None)
    if not account.benchmark or exposure is None:
        return ""
    return f"{account.benchmark} at {exposure:.0%}"


def leveled_line(accounts: "Sequence[AccountReport]") -> str:
    """Return the benchmark's name at the account's exposure; empty for several accounts, which differ in it."""
    return benchmark_name(accounts[0]) if len(accounts) == 1 else ""


def longest_account(accounts: "Sequence[AccountReport]") -> "AccountReport":
    """Return the account with the longest curve, whose benchmark and cash are drawn."""
    return max(accounts, key=lambda account: len(account.curve))


OTHER_MIDPOINTS = ("slippage_send", "slippage_arrival")
"""Numbers that only the document has; people see one slippage, and the others with `fills --midpoints`."""


def figures_of(account: "AccountReport", block: "Block") -> "tuple[Figure, ...]":
    """Return the figures of a block: returns, activity or trades."""
    return {
        Block.RETURNS: account.returns,
        Block.ACTIVITY: tuple(figure for figure in account.activity if figure.name not in OTHER_MIDPOINTS),
        Block.TRADES: account.trade_figures,
    }[block]


def figures_side_by_side(
    accounts: "Sequence[AccountReport]", block: "Block"
) -> "list[tuple[str, list[Figure | None]]]":
    """Return a block's figures by label, one for each account; None where an account doesn't have the figure."""
    columns = [{figure.label: figure for figure in figures_of(account, block)} for account in accounts]
    return [(label, [column.get(label) for column in columns]) for label in dict.fromkeys(chain(*columns))]


def block_assumptions(accounts: "Sequence[AccountReport]", block: "Block") -> list[str]:
    """Return a block's assumptions without repetitions; each names its accounts unless it applies to all of them."""
    every = [account.assumptions.get(block, ()) for account in accounts]
    owners = {
        text: [clean(account.label) for account, texts in zip(accounts, every, strict=True) if text in texts]
        for text in chain(*every)
    }
    return [text if len(names) == len(accounts) else f"{names[0]}: {text}" for text, names in owners.items()]


def band_words(of: "Sensitivity") -> str:
    """Return a sentence on how CAGR varies with the day of rebalancing; empty if no other day was tried."""
    days, band = len(of.rebalance_days), of.band
    if not days:
        return ""
    if band is None:
        days_counted = sum(each.cagr is not None for each in of.rebalance_days)
        some = pluralize(days_counted, "rebalance day") if days_counted else "no rebalance days"
        return (
            f"There are {some} with at least a year of sessions; {of.needed_days} are needed to say how much CAGR "
            "depends on the day."
        )
    quartiles = f"{percent(band.first_quartile, 1)} and {percent(band.third_quartile, 1)}"
    ends = f"{percent(band.lowest, 1)} to {percent(band.highest, 1)}"
    sentence = (
        f"A rebalance day is the n-th session of each month. Over {band.days} possible days, CAGR ranges from "
        f"{ends}. The median is {percent(band.median, 1)}, and the middle half lies between {quartiles}."
    )
    if band.below_played is None:
        return sentence
    return f"{sentence} The day that this backtest used did better than {band.below_played or 'none'} of these days."


def costs_words(of: "TradingCosts") -> str:
    """Return a sentence on the total costs per year; empty for less than a year."""
    before, after, drag = of.before.value, of.after.value, of.total.drag
    if before is None or after is None or drag is None:
        return ""
    return f"CAGR was {percent(before)} before these costs and {percent(after)} after them."


def chance_figures(account: "AccountReport") -> "list[Figure]":
    """Return the figures about chance: resampled figures, then the ones that correct for selection."""
    chance, selected = account.further.chance, account.further.selected
    return [
        *(chance.figures if chance else ()),
        *((selected.best_by_chance, selected.deflated) if selected else ()),
    ]


def chance_words(account: "AccountReport") -> str:
    """Return a sentence on how the chance intervals were computed; empty if there are none."""
    of = account.further.chance
    if of is None:
        return ""
    return (
        f"{of.level:.0%} intervals from {of.resamples:,} resamples in blocks of {of.mean_block} sessions on average, "
        f"seed {of.seed}."
    )


def variants_of(of: "Sensitivity") -> "list[VariantRow]":
    """Return the original backtest, then its variants except those with other rebalance days."""
    return [of.played, *of.rows]


def rank_trades(account: "AccountReport") -> "list[ReportedTrade]":
    """Return the closed trades, the best first."""
    closed = (trade for trade in account.trades if trade.closed_at)
    return sorted(closed, key=lambda trade: trade.net_usd, reverse=True)


def first_and_last(rows: Sequence[T], each: int) -> Sequence[T]:
    """Return this many of the first and of the last rows, or all rows if there are no more."""
    return rows if len(rows) <= 2 * each else [*rows[:each], *rows[-each:]]


DOT = "·"


def value_of(figure: "Figure") -> str:
    """Return a figure's value with its unit, or a dot."""
    if figure.value is None:
        return DOT
    text = number(figure.value, figure.unit, figure.name)
    return f"{text} USD" if figure.unit is FigureUnit.USD else text


def number(value: float, unit: "FigureUnit", name: str = "") -> str:
    """Return a figure's number as text in its unit."""
    if unit is FigureUnit.SESSIONS:
        return f"{value:,.0f}"
    if unit is FigureUnit.SECONDS:
        return duration(value)
    if unit is FigureUnit.USD:
        return f"{value:,.2f}"
    if unit is FigureUnit.RATIO:
        return f"{round(value, 2) + 0.0:.2f}"
    if name in UNSIGNED:
        places = 2 if name == "max_drawdown" else 1
        return f"{round(value, places + 2) + 0.0:.{places}%}"
    return f"{format_signed(100 * value, 3 if name in MEANS else 2)}%"


MEANS = frozenset({"mean_return", "mean_difference", "mean_leveled"})
"""Figures that are averages over single sessions, which are so small that they are shown with a third decimal."""


UNSIGNED = frozenset(
    {
        *("volatility", "psr", "win_rate", "exposure", "max_drawdown", "deflated_sharpe"),
        *("rolling_losing", "rolling_behind", "up_capture", "down_capture"),
    }
)
"""Figures that only have one sign, so that a plus would say nothing."""


def interval_of(figure: "Figure") -> str:
    """Return a figure's 95% interval, or nothing."""
    if figure.low is None or figure.high is None:
        return ""
    return " to ".join(number(end, figure.unit, figure.name) for end in (figure.low, figure.high))


def window_figures(of: "Windows") -> list[str]:
    """Return the lowest, the median, the highest and the last value of half years."""
    unit = FigureUnit.YEARLY if of.name == "volatility" else FigureUnit.RATIO
    return [number(value, unit, of.name) for value in (of.lowest, of.median, of.highest, of.last)]


def basis_of(figure: "Figure") -> str:
    """Return what a figure is based on, how many observations it lacks, or why it has no value."""
    if figure.lacks:
        return f"{figure.observations:,} of {counted_kind(figure.needed, figure.of)}"
    if figure.value is None:
        return figure.note
    return f"{counted_kind(figure.observations, figure.of)}{f'; {figure.note}' if figure.note else ''}"


def percent(value: float | None, places: int = 2) -> str:
    """Return a fraction in percent with its sign, or a dot."""
    return DOT if value is None else f"{format_signed(100 * value, places)}%"


SHADES = 5
"""How many shades of gain, and as many of loss, the table of months has."""


def month_shades(account: "AccountReport") -> Mapping[tuple[int, int], str]:
    """Return a shade for each month, keyed by year and month: g1 to g5 for gains, l1 to l5 for losses."""
    values = {(each.year, each.month): each.value for year in account.years for each in year.months}
    most = max((abs(value) for value in values.values() if value), default=1.0)
    return {
        name: f"{'g' if value > 0 else 'l'}{min(int(abs(value) / most * SHADES) + 1, SHADES)}"
        for name, value in values.items()
        if value and round(value, 3)
    }


def span(account: "AccountReport") -> str:
    """Return the first and the last session of an account, if it has any."""
    if account.from_session == account.to_session:
        return str(account.from_session)
    return f"{account.from_session} to {account.to_session}"


def interruption(account: "AccountReport") -> str:
    """Return a sentence on an interrupted backtest and how to resume it; empty if it wasn't interrupted."""
    if not account.interrupted:
        return ""
    until = f"ends with {account.to_session}" if account.to_session else "played no session to its end"
    return f"This backtest was interrupted and {until}. To play the rest, run the same tradebot backtest with --resume."


def headline(account: "AccountReport", name: str, yet: str) -> str:
    """Return a sentence on the profit of the account or its named part; it ends with `yet` if there are no records."""
    if not is_recorded(account):
        return f"{name} has no records {yet}"
    profit = account.earned.profit_usd
    if not round(profit, 2):
        return f"{name} earned nothing"
    return f"{name} {'earned' if profit > 0 else 'lost'} {abs(profit):,.2f} USD"


def opening_sentence(account: "AccountReport") -> str:
    """Return a sentence on the whole account's return, compared with the benchmark and cash."""
    total = next((each for each in account.comparisons if each.of == "total_return"), None)
    if total is None or not total.account.value is not None:
        return ""
    others = list(_others(account))
    beside = f" Meanwhile, {join_names(others)}." if others else ""
    moved = ", not counting deposits and withdrawals" if account.earned.transfers_usd else ""
    return f"The account's return was {value_of(total.account)}{moved}.{beside}"


def _others(account: "AccountReport") -> Iterator[str]:
    total = next(each for each in account.comparisons if each.of == "total_return")
    if total.benchmark.value is not None:
        yield f"{account.benchmark} returned {value_of(total.benchmark)}"
    if total.benchmark_leveled.value is not None and (name := benchmark_name(account)):
        exposure = next(each.value for each in account.activity if each.name == "exposure")
        rest = "borrowed" if exposure is not None and exposure > 1 else "in cash"
        yield f"{name} with the rest {rest} {value_of(total.benchmark_leveled)}"
    if total.cash.value:
        yield f"cash {value_of(total.cash)}"


def chance_sentences(account: "AccountReport") -> list[str]:
    """Return sentences on how much of the returns may be chance, or how much data it takes to tell."""
    figures = {figure.name: figure for figure in account.returns}
    sharpe, psr, track = (figures[name] for name in ("sharpe", "psr", "min_track_record"))
    if sharpe.lacks:
        return [
            "It is too early to tell skill from luck. "
            f"{noun_for(sharpe.observations, 'There is', 'There are')} {counted_kind(sharpe.observations, sharpe.of)}; "
            f"a Sharpe ratio needs {sharpe.needed:,}.",
            *account.luck,
        ]
    if sharpe.value is None or psr.value is None:
        notes = (sharpe.note and f"There is no Sharpe ratio: {sharpe.note}.", _sentence(track.note))
        return [*filter(None, notes), *account.luck]
    return [*_side(sharpe, psr.value, track), *account.luck]


def _side(sharpe: "Figure", above_zero: float, track: "Figure") -> Iterator[str]:
    """Yield whether the chance that the Sharpe ratio is above 0 reaches 95%, and if not, how many sessions that would
    take.
    """
    interval = interval_of(sharpe)
    within = f", with a 95% interval of {interval}" if interval else ""
    sure = above_zero >= CONFIDENCE
    verdict = "luck alone is an unlikely explanation" if sure else "less than 95%, so all of this could be luck"
    yield (
        f"The Sharpe ratio is {value_of(sharpe)}{within}. If the future is like the past, the chance that the true one "
        f"is above 0 is {above_zero:.1%}: {verdict}."
    )
    if sure:
        return
    if track.value is None:
        yield from filter(None, [_sentence(track.note)])
        return
    needed, there = pluralize(round(track.value), "session"), counted_kind(track.observations, track.of)
    yield f"To be 95% sure, it takes {needed} like these; so far there are {there}."


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}." if note else ""


def drawdown_words(account: "AccountReport") -> str:
    """Return a sentence on the deepest drawdown with its dates; empty if there is none."""
    if not account.drawdowns:
        return ""
    fall = account.drawdowns[0]
    return f"The deepest drawdown was {percent(fall.depth)}, from {fall.from_session} to {fall.trough}."


def curve_words(accounts: "Sequence[AccountReport]") -> str:
    """Return a description of the curves' picture, as alternative text."""
    return " ".join(_grown(each, alone=len(accounts) == 1) for each in accounts if len(each.curve) > 1)


def _grown(account: "AccountReport", *, alone: bool) -> str:
    growth = account.curve[-1].index - 1
    name, verb = "the account" if alone else account.label, "grew" if growth >= 0 else "shrank"
    shaded = " The deepest drawdowns are shaded." if alone and account.drawdowns else ""
    return f"{span(account)}: {name} {verb} by {abs(growth):.2%}. {drawdown_words(account)}{shaded}"
