"""docs/internals/FEATURES.md: the features of the market and of the state, as their rows describe them."""

from collections.abc import Iterator
from math import isinf

from tests.docs.tables import INTERNALS, GeneratedTable, table_row
from tradebot.signals.features import STATE, features

PAGE = INTERNALS / "FEATURES.md"


def _bound(value: float) -> str:
    return "any" if isinf(value) else f"{value:.4g}"


def _range(low: float, high: float) -> str:
    return (
        "any" if isinf(low) and isinf(high) else f"{_bound(low)} or more" if isinf(high) else f"{low:.4g} to {high:.4g}"
    )


def _market() -> Iterator[str]:
    for each in features().values():
        reads = ", ".join(each.reads)
        bars = f"{each.bars}" if not each.sessions else f"{each.sessions} sessions"
        span = _range(each.low, each.high)
        yield table_row((str(each.number), f"`{each.name}`", f"`{each.formula}`", reads, bars, span, each.absent))


def _state() -> Iterator[str]:
    for each in STATE:
        yield table_row((str(each.number), f"`{each.name}`", f"`{each.formula}`", _range(each.low, each.high)))


TABLES = (
    GeneratedTable(PAGE, "|  | feature | formula | reads", _market),
    GeneratedTable(PAGE, "|  | feature | formula | range", _state),
)
