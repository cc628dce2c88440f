"""Find the strategies whose lots the venue liquidated.

A liquidation has no order of ours behind it, so it is booked as foreign like anybody's trade. It has closed lots of
ours if the books hold nothing else of the symbol that isn't ours, and the venue then holds exactly what the books do.
The oldest lots count as closed first, whoever's they are. Otherwise a person decides, as about other people's trades.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from tradebot.errors import TradebotError
from tradebot.model.order import Fill
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.totals import Totals
from tradebot.model.values import replace
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Money


class Liquidated(NamedTuple):
    """A liquidation, and the strategies whose lots it closed; none if that isn't proven."""

    fill: Fill
    strategies: tuple[str, ...]


def shares(
    reader: BrokerReader, ledger: Money, found: Iterable[OwnedFill], waiting: Sequence[Fill]
) -> Iterator[OwnedFill]:
    """Yield whose lots the `waiting` liquidations closed, asking the venue once about each of their symbols.

    Each part closed lots of one strategy. `found` are the fills that aren't in the ledger yet.
    """
    if not waiting:
        return
    totals, acknowledged = ledger.totals().after(sorted(found, key=lambda owned: owned.fill.at)), ledger.acknowledged()
    by_symbol = groupby(sorted(waiting, key=lambda fill: (fill.symbol, fill.at)), attrgetter("symbol"))
    for symbol, fills in [(symbol, tuple(fills)) for symbol, fills in by_symbol]:
        if _closed_ours(reader, totals, acknowledged, symbol, fills):
            for fill in fills:
                closed = tuple(_of_oldest_lots(totals, fill))
                yield from closed
                totals = totals.after(closed)


def _closed_ours(
    reader: BrokerReader, totals: Totals, acknowledged: Mapping[str, Decimal], symbol: str, fills: Sequence[Fill]
) -> bool:
    """Return True if nobody else holds the symbol, and the venue holds what the books do after these liquidations."""
    others = totals.foreign_quantities(acknowledged).get(symbol, Decimal(0))
    if others != sum(fill.signed_quantity for fill in fills):
        return False
    # Without an answer, the next pass asks again.
    return totals.quantities(acknowledged).get(symbol, Decimal(0)) == held_at_broker(reader, symbol)


def held_at_broker(reader: BrokerReader, symbol: str) -> Decimal | None:
    """Return the venue's signed shares of one symbol, asked for directly; None if it doesn't answer."""
    try:
        position = reader.position(symbol)
    except TradebotError:
        return None
    return position.quantity if position else Decimal(0)


def _of_oldest_lots(totals: Totals, fill: Fill) -> Iterator[OwnedFill]:
    """Yield one part for each strategy with lots on the other side, in the order of its oldest lot."""
    lots = sorted(
        (lot.at, position.strategy, abs(lot.quantity))
        for position in totals.own_positions()
        for lot in position.lots
        if position.symbol == fill.symbol and lot.quantity * fill.side.sign < 0
    )
    left, closed = fill.quantity, dict[str, Decimal]()
    for _, strategy, quantity in lots:
        part = min(left, quantity)
        closed[strategy] = closed.get(strategy, Decimal(0)) + part
        left -= part
    parts = ((strategy, replace(fill, quantity=quantity)) for strategy, quantity in closed.items() if quantity)
    yield from (OwnedFill(*part) for part in parts)


def liquidated(fills: Iterable[OwnedFill], given: Sequence[OwnedFill]) -> Iterator[Liquidated]:
    """Yield the liquidations among some fills, with the strategies that each was `given` to."""
    for owned in fills:
        if owned.fill.liquidation:
            own = [one.strategy for one in given if one.about == owned.fill.activity_id]
            yield Liquidated(owned.fill, tuple(name for name in (owned.strategy, *own) if name != FOREIGN))


def is_waiting(owned: OwnedFill) -> bool:
    """Return True if a fill is a liquidation that counts as foreign."""
    return owned.fill.liquidation and owned.strategy == FOREIGN
