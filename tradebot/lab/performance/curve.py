"""Compare an account's equity curve with a benchmark and cash, and compute monthly and yearly returns.

At a venue without funds, the benchmark is the universe in equal parts.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import pairwise
from math import isfinite, prod
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from tradebot.lab.performance.report import CurvePoint, Drawdown, MonthReturn, Year
from tradebot.lab.performance.returns import SESSIONS_PER_YEAR, EquityPoint, Path
from tradebot.lab.performance.statistics import below_peak, drawdowns_deepest_first, growth, total_return
from tradebot.model.costs import CostModel
from tradebot.model.evidence import DatedRate
from tradebot.model.sentences import noun_for, pluralize

if TYPE_CHECKING:
    import pandas as pd

MONTHS = 12


class BenchmarkPrices(Struct, frozen=True):
    """The daily opens and closes of a benchmark by date, in USD per share, adjusted for splits and dividends.

    `how` describes how the benchmark is held, if it isn't one share.
    """

    symbol: str
    closes: Mapping[date, float] = field(default_factory=dict)
    opens: Mapping[date, float] = field(default_factory=dict)
    how: str = ""

    def price(self, equity_point: EquityPoint, covered: Sequence[date]) -> float | None:
        """Return the benchmark's price at an equity point: at the session's close, or for new books at the first
        open.
        """
        if not equity_point.is_start:
            return self.closes.get(equity_point.session)
        return self.opens.get(covered[0]) if covered else None


class Rates(NamedTuple):
    """Interest rates, as fractions per year; a year has `year` sessions.

    `dated` has cash rates, oldest first, each of which applies from its day on; if there are any, they replace
    `cash_yearly`. Borrowed money costs `borrowing_yearly` or, if that is None, the cash rate plus `borrowing_spread`.
    """

    cash_yearly: float = 0.0
    dated: tuple[DatedRate, ...] = ()
    borrowing_spread: float = 0.0
    year: int = SESSIONS_PER_YEAR
    borrowing_yearly: float | None = None

    def on(self, day: date) -> float:
        """Return the annual rate on a day; before the first known rate, that rate applies too."""
        if not self.dated:
            return self.cash_yearly
        return self.dated[max(bisect_right(self.dated, day, key=attrgetter("day")) - 1, 0)].yearly

    def borrowing_cost(self, days: Sequence[date]) -> float:
        """Return the cost of borrowed money over some sessions, as a fraction."""
        if self.borrowing_yearly is None:
            return self.cash_interest(days, self.borrowing_spread)
        return float((1 + self.borrowing_yearly) ** (len(days) / self.year)) - 1

    def cash_interest(self, days: Sequence[date], above: float = 0.0) -> float:
        """Return the interest over some sessions at the cash rate plus `above`, as a fraction."""
        if not self.dated:
            grown: float = (1 + self.cash_yearly + above) ** (len(days) / self.year)
            return grown - 1
        return prod(float((1 + self.on(day) + above) ** (1 / self.year)) for day in days) - 1


def frame(path: Path, benchmark: BenchmarkPrices, rates: Rates, leverage: Sequence[float] = ()) -> "pd.DataFrame":
    """Return a row for each step of a path: its date, its returns, and how many sessions it covers.

    `leverage` is the account's exposure in each step; empty if unknown. It becomes the column `exposure`. The column
    `leveled` is the return of the benchmark if it is held at that exposure. The columns `value`, `benchmark`, `leveled`
    and `cash` are returns as fractions, NaN where unknown. If a benchmark has no price on a day, its return counts on
    the next day that has one.
    """
    import pandas as pd

    assert path.start is not None, "only a path with steps has a frame"
    column, equity_points = partial(pd.Series, dtype=float), [path.start, *(step.after for step in path.steps)]
    rows = pd.DataFrame({"session": [each.session for each in equity_points]})
    rows["year"], rows["month"] = [d.year for d in rows["session"]], [d.month for d in rows["session"]]
    rows["value"] = column([None, *(step.value for step in path.steps)])
    rows["price"] = column([benchmark.price(each, path.sessions) for each in equity_points])
    # Count the sessions of the path that had ended at each equity point.
    reached = [0 if each.is_start else bisect_right(path.sessions, each.session) for each in equity_points]
    passed = [path.sessions[then:now] for then, now in pairwise(reached)]
    rows["cash"] = column([None, *map(rates.cash_interest, passed)])
    prices = rows["price"].ffill()
    rows["benchmark"] = (prices / prices.shift() - 1).where(rows["price"].notna())
    rows["exposure"] = column([None, *leverage] if leverage else [None] * len(equity_points))
    borrowed = column([None, *map(rates.borrowing_cost, passed)])
    rest = rows["cash"].where(rows["exposure"] <= 1, borrowed)
    rows["leveled"] = rows["exposure"] * rows["benchmark"] + (1 - rows["exposure"]) * rest
    return rows


def points(path: Path, rows: "pd.DataFrame") -> tuple[CurvePoint, ...]:
    if path.start is None:
        return ()
    index = growth(step.value or 0.0 for step in path.steps)
    under = below_peak(index)
    of_benchmark, leveled, cash = (_grown(rows, name) for name in ("benchmark", "leveled", "cash"))
    moved = [Decimal(0), *(step.transfers_usd for step in path.steps)]
    return tuple(
        CurvePoint(
            session=point.session,
            at=point.at,
            is_start=point.is_start,
            equity_usd=point.equity_usd,
            transfers_usd=moved[number],
            index=index[number],
            drawdown=under[number],
            benchmark=of_benchmark[number],
            benchmark_leveled=leveled[number],
            cash=cash[number] or 1.0,
        )
        for number, point in enumerate([path.start, *(step.after for step in path.steps)])
    )


def _grown(rows: "pd.DataFrame", name: str) -> list[float | None]:
    """Return the index of a column of returns, None where there is no price; all None without the first price."""
    grown = (1 + rows[name].fillna(0)).cumprod()
    if name != "cash":
        grown = grown.where(rows["price"].notna())
        if rows["price"].isna().iloc[0] or not rows[name].notna().any():
            return [None] * len(rows)
    return [None if value != value else float(value) for value in grown]


def years(path: Path, rows: "pd.DataFrame") -> tuple[Year, ...]:
    """Return a row of months for each year, oldest year first; a return counts in the month in which it ended."""
    if not path.steps:
        return ()
    ended, months = rows.iloc[1:], dict[tuple[int, int], MonthReturn]()
    for (year, month), of in ended.groupby(["year", "month"]):
        count = int(of["value"].notna().sum())
        months[year, month] = MonthReturn(
            int(year), int(month), compound(of["value"]), count, compound(of["benchmark"])
        )
    return tuple(
        Year(
            int(year),
            compound(of["value"]),
            compound(of["benchmark"]),
            tuple(
                months.get((year, month)) or MonthReturn(int(year), month, None, 0, None)
                for month in range(1, MONTHS + 1)
            ),
        )
        for year, of in ended.groupby("year")
    )


def compound(returns: "pd.Series[float]") -> float | None:
    """Compound the known returns to the total growth, as a fraction; return None if no return is known."""
    factors = returns.dropna().tolist()
    return total_return(factors) if factors else None


def drawdowns(curve: Sequence[CurvePoint], most: int) -> tuple[Drawdown, ...]:
    """Return at most `most` drawdowns of a curve, deepest first."""
    days = [point.session for point in curve]
    return tuple(
        Drawdown(
            depth=fall.depth,
            from_session=days[fall.peak],
            trough=days[fall.trough],
            recovered=None if fall.recovered is None else days[fall.recovered],
            sessions=(len(days) - 1 if fall.recovered is None else fall.recovered) - fall.peak,
        )
        for fall in drawdowns_deepest_first([point.index for point in curve])[:most]
    )


COINS = "coins"

"""The benchmark's name for the only venue that trades no fund, one of coins."""


def entry_cost(models: Iterable[CostModel | None]) -> float:
    """Return the cost of buying, as a fraction: the highest taker fee and slippage that the strategies assume."""
    costs = (model for model in models if model is not None)
    return max((float(model.taker_bps + model.slippage_bps) / 10_000 for model in costs), default=0.0)


def held_in_equal_parts(prices: Mapping[str, BenchmarkPrices], first: date, cost: float) -> BenchmarkPrices | None:
    """Return the prices of a basket with equal parts of these symbols, bought at the opens on `first` and then held.

    Buying costs the fraction `cost`. The basket's value is 1 before it is bought. If a symbol has no open on that day,
    it is left out; if it has no close on a later day, its last close counts. Return None if no symbol has an open.
    """
    bought = {name: each for name, each in prices.items() if _is_price(each.opens.get(first))}
    if not bought:
        return None
    days = sorted({day for each in bought.values() for day in each.closes if day >= first})
    growth = [_growth(each, first, days) for each in bought.values()]
    closes = {day: (1 - cost) * sum(of_day) / len(of_day) for day, *of_day in zip(days, *growth, strict=True)}
    name, how = pluralize(len(bought), COINS[:-1]), _how(len(bought), len(prices) - len(bought), first, cost)
    return BenchmarkPrices(name, closes, {first: 1.0}, how)


def _is_price(price: float | None) -> bool:
    return price is not None and isfinite(price) and price > 0


def _growth(of: BenchmarkPrices, first: date, days: Sequence[date]) -> Iterator[float]:
    price = bought = of.opens[first]
    for day in days:
        price = of.closes.get(day, price)
        yield price / bought


def _how(count: int, others: int, first: date, cost: float) -> str:
    are, costs = noun_for(count, "is", "are"), f"for {cost:.2%} of fees and slippage" if cost else "without costs"
    unpriced = f" {pluralize(others, 'other')} had no price that day." if others else ""
    return (
        f"{pluralize(count, COINS[:-1])} {are} bought in equal parts at the open of {first}, {costs}, and held"
        f" without funding until the end.{unpriced}"
    )
