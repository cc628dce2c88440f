"""A strategy's needs and times, as documents and screens show them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from tradebot.model.view import BarNeed, FeatureNeed, Needs

EVERY_PASS = "every pass of entries"
"""When a strategy that sets no times is asked."""


class NeedsRow(Struct, frozen=True):
    """What a strategy reads: kinds of flow facts, bars, features, and whether quotes, its lots, trades and equity.

    `situation` is how the account and the session stand.
    """

    facts: tuple[str, ...]
    bars: "tuple[BarNeed, ...]"
    quotes: bool
    lots: bool
    equity: bool
    trades: bool
    features: "tuple[FeatureNeed, ...]" = ()
    situation: bool = False


def needs_row(needs: "Needs") -> NeedsRow:
    return NeedsRow(
        tuple(sorted(needs.facts)),
        needs.bars,
        needs.quotes,
        needs.lots,
        needs.equity,
        needs.trades,
        needs.features,
        needs.situation,
    )


def in_words(needs: NeedsRow) -> str:
    return ", ".join(_words(needs)) or "nothing but the time and its universe"


def _words(needs: NeedsRow) -> Iterator[str]:
    if needs.facts:
        yield f"flow ({', '.join(needs.facts)})"
    for bars in needs.bars:
        yield _of_bars(bars)
    for wanted in needs.features:
        optional = f", {len(wanted.optional)} of them optional" if wanted.optional else ""
        count = pluralize(len(wanted.names) + len(wanted.optional), "feature")
        yield f"{count} of {wanted.timeframe} bars{optional}"
    if needs.quotes:
        yield "quotes"
    if needs.lots:
        yield "its own positions"
    if needs.trades:
        yield "its own closed trades"
    if needs.equity:
        yield "its equity"
    if needs.situation:
        yield "how the account and the session stand"


def _of_bars(bars: "BarNeed") -> str:
    from tradebot.model.series import PriceKind

    raw = "" if bars.adjusted else "raw "
    of = f" of {', '.join(bars.symbols)}" if bars.symbols else ""
    price = "" if bars.price is PriceKind.TRADE else f" by the {bars.price} price"
    least = "" if bars.least is None else f" (at least {bars.least:,})"
    return f"the last {pluralize(bars.depth, f'{raw}{bars.timeframe} bar')}{least}{of}{price}"
