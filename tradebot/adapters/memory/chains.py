"""The orders that each order comes from, kept until one of them changes."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from tradebot.adapters.ledger.rows import OrderRow
from tradebot.adapters.memory.table import MemoryTable
from tradebot.model.order import Order

MOST = 5_000
"""How many chains are kept at most."""


class Chains:
    """The chains that were read of a table of orders; a copy or a pickle remembers none.

    A chain follows from the rows of the orders that it names, and from the rows that say that one of these replaced
    them, so it is read again once such a row has changed.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._chains: dict[str, Sequence[Order]] = {}
        self._naming: dict[str, set[str]] = defaultdict(set)

    def __reduce__(self) -> tuple[type["Chains"], tuple[()]]:
        return Chains, ()

    def of(
        self,
        table: MemoryTable[OrderRow],
        venue_ids: Collection[str],
        read: Callable[[Collection[str]], Mapping[str, Sequence[Order]]],
    ) -> Mapping[str, Sequence[Order]]:
        """Return the chain of each of these orders of which anything is known; `read` reads chains of the table."""
        self._forget_changed(table)
        if unread := [one for one in venue_ids if one not in self._chains]:
            found = read(unread)
            for one in unread:
                self._keep(one, found.get(one, ()))
        return {one: chain for one in venue_ids if (chain := self._chains[one])}

    def _keep(self, venue_id: str, chain: Sequence[Order]) -> None:
        self._chains[venue_id] = chain
        for name in (venue_id, *(order.venue_id for order in chain), *(order.parent for order in chain)):
            if name:
                self._naming[name].add(venue_id)

    def _forget_changed(self, table: MemoryTable[OrderRow]) -> None:
        changed, self._seen = table.changes[self._seen :], table.version
        rows = [table.numbered(number) for number in changed]
        if None in rows or len(self._chains) > MOST:
            self._chains.clear()
            self._naming.clear()
        for row in filter(None, rows):
            for name in (row.order.venue_id, row.order.replaced_by):
                for one in self._naming.pop(name, ()) if name else ():
                    self._chains.pop(one, None)
