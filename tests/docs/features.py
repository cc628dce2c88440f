"""docs/internals/FEATURES.md: the features of the market and of the state, as their rows describe them."""

from collections.abc import Iterator, Sequence
from math import isinf
from pathlib import Path

from tradebot.signals.features import OBSERVED, STATE, features

PAGE = Path(__file__).resolve().parents[2] / "docs" / "internals" / "FEATURES.md"
LEAD = f"""\
# Features

`python -m tests.docs` writes this page from `tradebot/signals/features/`. Each feature is a row in a module of `rows`
there; nothing else lists them. A strategy names those that it needs:
[STRATEGY.md](../STRATEGY.md#features-for-a-strategy-of-your-own) shows how.

A feature has one number for each closed bar, made of that bar and those before it. The first {OBSERVED}, with the six
of the state, are what a learned policy observes. In the formulas, o, h, l, c and v are a bar's open, high, low, close
and volume. ATR(14), RSI and ADX begin as in TA-Lib. Deviations are those of a population. MACD and TEMA are absent
until 300 bars are known: then it makes no difference where their averages began.

A feature that can't be computed is absent, with one of three reasons, and never a zero or a number that was clipped:

- warming up: too few bars or sessions came before it;
- not given: what it reads has no source, or wasn't known;
- undefined: its formula has no finite value, as the table says, or the bar itself can't be used: a price or a volume
  that is no finite number, a price of zero, a high below the low. Bars after such a bar begin anew.

Bars are those that are joined over rolls, so no feature compares prices of two contracts.

## The market
"""
STATES = """
## The state

These are computed of plain numbers by whoever knows the position and the account (`signals/features/state.py`). One
that is no finite number is absent. Without equity above zero, there is no share of it.
"""


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _bound(value: float) -> str:
    return "any" if isinf(value) else f"{value:.4g}"


def _range(low: float, high: float) -> str:
    return (
        "any" if isinf(low) and isinf(high) else f"{_bound(low)} or more" if isinf(high) else f"{low:.4g} to {high:.4g}"
    )


def _market() -> Iterator[Sequence[str]]:
    for each in features().values():
        reads = ", ".join(each.reads)
        bars = f"{each.bars}" if not each.sessions else f"{each.sessions} sessions"
        yield (
            str(each.number),
            f"`{each.name}`",
            f"`{each.formula}`",
            reads,
            bars,
            _range(each.low, each.high),
            each.absent,
        )


def _state() -> Iterator[Sequence[str]]:
    for each in STATE:
        yield str(each.number), f"`{each.name}`", f"`{each.formula}`", _range(each.low, each.high)


def page() -> str:
    market = ("", "feature", "formula", "reads", "bars until the first value", "range", "undefined or not given if")
    tables = ((LEAD, market, _market()), (STATES, ("", "feature", "formula", "range"), _state()))
    return "".join("".join((lead, "\n", *_table(head, rows))) for lead, head, rows in tables)
