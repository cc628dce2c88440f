"""Hold a universe in equal parts, as a benchmark where no fund of it is traded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from math import isfinite

from tradebot.lab.performance.curve import BenchmarkPrices
from tradebot.model.costs import CostModel
from tradebot.model.text import noun, pluralize

COINS = "coins"
"""What is held: today, only a venue of coins trades no fund."""


def entry_cost(models: Iterable[CostModel | None]) -> float:
    """Return what buying costs, as a fraction: the highest taker's fee and slippage that strategies assume."""
    known = (model for model in models if model is not None)
    return max((float(model.taker_bps + model.slippage_bps) / 10_000 for model in known), default=0.0)


def held_in_equal_parts(prices: Mapping[str, BenchmarkPrices], first: date, cost: float) -> BenchmarkPrices | None:
    """Return a basket that is bought at the opens of a day, for `cost` as a fraction, and then held.

    `prices` are those of each symbol. Its value is 1 before it is bought. A symbol without an open on that day isn't
    in it, and where one has no close on a later day, its last one counts. None without any.
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
    are, costs = noun(count, "is", "are"), f"for {cost:.2%} of fees and slippage" if cost else "without costs"
    left = f" {pluralize(others, 'other')} had no price that day." if others else ""
    return (
        f"{pluralize(count, COINS[:-1])} {are} bought in equal parts at the open of {first}, {costs}, and held without "
        f"funding, and never sold.{left}"
    )
