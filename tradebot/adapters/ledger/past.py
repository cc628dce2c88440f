"""The whole past of an account: every fill and movement of cash, checked row by row, and the orders behind fills."""

from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from tradebot.adapters.ledger.bodies import decoded, names, owned_fill
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.schema import TABLES
from tradebot.adapters.ledger.sums import as_written, combined
from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.canonical import parse_time
from tradebot.errors import DamagedBooksError
from tradebot.model.candidate import Side
from tradebot.model.cash import CashMovement
from tradebot.model.intent import Intent
from tradebot.model.order import Order, lineage
from tradebot.model.origin import Origin
from tradebot.model.position import OwnedFill
from tradebot.model.rested_stop import RestedStop

Raw = TypeVar("Raw")
T = TypeVar("T")
FILLS = f"""SELECT sequence, {as_written("fills", TABLES)}, row_sum, body, origin, about FROM fills
    WHERE account = ? ORDER BY sequence"""  # noqa: S608 - our own names
SEAL = f"SELECT 1, {as_written('fill_seals', TABLES)}, fills, sum FROM fill_seals WHERE account = ?"  # noqa: S608 - as above
CASH = f"""SELECT sequence, {as_written("cash_adjustments", TABLES)},
    coalesce(happened_at, at), amount, kind, origin, about, why, coalesce(symbol, '')
    FROM cash_adjustments WHERE account = ? ORDER BY sequence"""  # noqa: S608 - as above
ORDERS = """SELECT venue_id, client_order_id, replaced_by, body ->> '$.parent', body FROM orders
    WHERE account = ? ORDER BY sequence"""
INTENTS = """SELECT client_order_id, intent FROM json_each(?2) CROSS JOIN intents
    ON account = ?1 AND client_order_id = value"""
STOPS = """SELECT intent ->> '$.key.strategy', intent ->> '$.instrument.symbol', intent ->> '$.side', intent ->> '$.at',
    intent ->> '$.stop_price' FROM intents WHERE account = ? AND state = 'acked' AND intent ->> '$.purpose' = 'protect'
    AND intent ->> '$.operation' != 'cancel' AND intent ->> '$.stop_price' IS NOT NULL
    ORDER BY intent ->> '$.at', sequence"""


class Past:
    """Reads what performance is computed from. Each method raises DamagedBooksError and names a row that was changed.

    What takes long to parse, orders and intents, is parsed when it is looked up.
    """

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def fills(self) -> tuple[OwnedFill, ...]:
        """Return all fills and adjustments, oldest first, after comparing them with the seal over all of them."""
        total, found = "", list[OwnedFill]()
        for row_sum, *fill in self._checked("fills", FILLS):
            total = combined(total, row_sum)
            found.append(owned_fill(*fill))
        ((count, sealed),) = self._checked("fill_seals", SEAL)
        if (len(found), total) != (count, sealed):
            raise DamagedBooksError(
                f"The ledger is damaged: it has {len(found)} fills, but not those written.", REBUILD
            )
        # The sort is stable: fills of the same time keep the order in which they were written.
        return tuple(sorted(found, key=lambda owned: owned.fill.at))

    def cash_movements(self) -> tuple[CashMovement, ...]:
        """Return every movement of cash that no fill explains, in the order of the books.

        Its time is the broker's if that is known, otherwise when it was booked.
        """
        return tuple(
            CashMovement(parse_time(at), Decimal(amount), kind, Origin(origin), about, why, symbol)
            for at, amount, kind, origin, about, why, symbol in self._checked("cash_adjustments", CASH)
        )

    def behind(self, venue_ids: Collection[str]) -> "Mapping[str, tuple[Order, tuple[Intent, ...]]]":
        """Return the known orders of these ids, each with the intents that it came from, the nearest first.

        An intent is behind an order if it made that, or one that it replaced, or the one that it is a leg of.
        """
        bodies, names_at_us, before, parents = dict[str, str](), dict[str, str](), dict[str, str](), dict[str, str]()
        for venue_id, client_order_id, replaced_by, parent, body in self._file.streamed(ORDERS):
            bodies[venue_id], names_at_us[venue_id] = body, client_order_id
            if replaced_by:
                before[replaced_by] = venue_id
            if parent:
                parents[venue_id] = parent
        lines = {venue_id: lineage(venue_id, before, parents) for venue_id in venue_ids if venue_id in bodies}
        asked = {names_at_us[name] for line in lines.values() for name in line if name in names_at_us}
        intents = dict(self._file.rows(INTENTS, (names(asked),)))

        def parse(line: tuple[str, ...]) -> tuple[Order, tuple[Intent, ...]]:
            made = (names_at_us.get(name) for name in line)
            return decoded(Order, bodies[line[0]]), tuple(
                decoded(Intent, intents[name]) for name in made if name in intents
            )

        return Parsed(lines, parse)

    def stops(self) -> tuple[RestedStop, ...]:
        """Return every stop that the broker accepted to protect a position, in the order in which they were sent."""
        return tuple(
            RestedStop(strategy, symbol, Side(side), parse_time(at), Decimal(price))
            for strategy, symbol, side, at, price in self._file.streamed(STOPS)
        )

    def _checked(self, table: str, query: str) -> Iterator[Any]:
        """Yield the rows of a query without its first two columns: a row's number, and whether it is as written."""
        for number, sound, *row in self._file.streamed(query):
            if not sound:
                what = f"row {number} of {table} is not as it was written"
                raise DamagedBooksError(f"The ledger is damaged: {what}.", REBUILD)
            yield row


class Parsed(Mapping[str, T]):
    """A mapping whose values are parsed when they are looked up, each once."""

    def __init__(self, raw: Mapping[str, Raw], parse: Callable[[Raw], T]) -> None:
        self._raw: Mapping[str, Any] = raw
        self._parse: Callable[[Any], T] = parse
        self._known: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._known:
            self._known[name] = self._parse(self._raw[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)
