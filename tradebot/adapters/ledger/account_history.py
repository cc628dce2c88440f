"""The whole past of an account: every fill and movement of cash, checked row by row, and the orders behind fills."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.row_checksums import as_written, combine_checksums
from tradebot.adapters.ledger.rows import decode_cached, kept_of, parse_json, proven_fill
from tradebot.adapters.ledger.schema import TABLES
from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.activity_types import meaning_if_any
from tradebot.adapters.text.canonical import parse_time
from tradebot.adapters.text.codec import decode
from tradebot.errors import DamagedBooksError
from tradebot.model.account import CashMovement
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision
from tradebot.model.intent import Intent, IntentState, Operation
from tradebot.model.order import lineage
from tradebot.model.position import Kept, Key, Marks, Origin, OwnedFill
from tradebot.model.trade import FilledOrder, GaveWay, OrderRequested, OrderSent, RestedStop

FILLS = f"""SELECT sequence, {as_written("fills", TABLES)}, row_sum, body, origin, about FROM fills
    WHERE account = ? ORDER BY sequence"""  # noqa: S608 - our own names
SEAL = f"SELECT 1, {as_written('fill_seals', TABLES)}, fills, sum FROM fill_seals WHERE account = ?"  # noqa: S608 - as above
CASH = f"""SELECT sequence, {as_written("cash_adjustments", TABLES)},
    coalesce(happened_at, at), amount, kind, origin, about, why, coalesce(symbol, ''),
    coalesce(sub_kind, '') FROM cash_adjustments WHERE account = ? ORDER BY sequence"""  # noqa: S608 - as above
OTHERS = {
    table: f"SELECT {number}, {as_written(table, TABLES)} FROM {table} WHERE account = ?"  # noqa: S608 - as above
    for table, number in (("book", "1"), ("acknowledged", "sequence"), ("trade_notes", "sequence"))
}
"""The short tables that others read: the opening cash, what was acknowledged, and what people wrote."""
ORDERS = """SELECT sequence, text IS NOT NULL, venue_id, client_order_id, replaced_by, text ->> '$.parent',
    text ->> '$.stop_price', text ->> '$.arrival_mid'
    FROM (SELECT *, iif(json_valid(body), body, NULL) AS text FROM orders WHERE account = ?) ORDER BY sequence"""
INTENTS = """SELECT sequence, said IS NOT NULL, client_order_id, state, said FROM (
    SELECT sequence, client_order_id, state, iif(json_valid(intent), json_extract(intent, '$.at', '$.why', '$.purpose',
    '$.decision_mid', '$.send_mid', '$.send_mid_at', '$.operation', '$.key.strategy', '$.instrument.symbol', '$.side',
    '$.stop_price', '$.stop_loss_fraction', '$.profit_target_fraction', '$.score', '$.components', '$.targets',
    '$.atr_fraction', '$.invalid_fraction'), NULL)
    AS said FROM intents WHERE account = ? ORDER BY sequence LIMIT -1 OFFSET 0)"""
"""Select what all intents say in one pass: almost every one is asked for, and passing again costs as much. SQLite
evaluates a subquery with an offset on its own, so `said` is extracted only once."""
GAVE_WAY = """SELECT sequence, json_valid(intent) AND json_valid(verdicts), state, intent, verdicts FROM intents
    WHERE account = ? AND instr(intent, '"displaced_by":"') AND NOT instr(intent, '"displaced_by":""')
    ORDER BY sequence"""
MARKS = "SELECT strategy, symbol, opened_at, price, worst FROM high_water WHERE account = ?"


class Behind(NamedTuple):
    """What is behind an account's fills.

    `sent` are the known orders by the venue's id, each with the intents that it came from, the nearest first. `stops`
    are those that the broker accepted to protect a position, in the order in which they were sent.
    """

    sent: Mapping[str, OrderSent]
    stops: tuple[RestedStop, ...]


class AccountHistory:
    """Reads the inputs of performance; raises DamagedBooksError, naming the row, if one was changed."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def fills(self) -> tuple[OwnedFill, ...]:
        """Return all fills and adjustments, oldest first, after checking them against their common seal."""
        sums, found = list[str](), list[OwnedFill]()
        for row_sum, body, origin, about in self._checked("fills", FILLS):
            sums.append(row_sum)
            found.append(proven_fill(body, origin, about))
        ((count, sealed),) = self._checked("fill_seals", SEAL)
        if (len(found), combine_checksums(*sums)) != (count, sealed):
            raise DamagedBooksError(
                f"The ledger is damaged: it has {len(found)} fills, but not those written.", REBUILD
            )
        # The sort is stable: fills of the same time keep the order in which they were written.
        return tuple(sorted(found, key=lambda owned: owned.fill.at))

    def cash_movements(self) -> tuple[CashMovement, ...]:
        """Return every movement of cash that no fill explains, in the order of the books.

        Its time is the broker's if that is known, otherwise when it was booked.
        """
        rows = self._checked("cash_adjustments", CASH)
        return tuple(
            CashMovement(
                parse_time(at),
                Decimal(amount),
                kind,
                Origin(origin),
                about,
                why,
                symbol,
                sub_kind,
                meaning_if_any(kind, sub_kind),
            )
            for at, amount, kind, origin, about, why, symbol, sub_kind in rows
        )

    def check_others(self) -> None:
        """Compare the opening cash, what was acknowledged and the notes with their rows' sums."""
        for table, query in OTHERS.items():
            for _ in self._checked(table, query):
                pass

    def behind(self, venue_ids: Collection[str]) -> Behind:
        """Return the known orders of these ids with the intents behind them, and every stop that rested.

        An intent is behind an order if it made that, or one that it replaced, or the one that it is a leg of.
        """
        orders, before, parents = dict[str, FilledOrder](), dict[str, str](), dict[str, str]()
        for venue_id, name, replaced_by, parent, stop_price, arrival_mid in self._checked("orders", ORDERS):
            orders[venue_id] = FilledOrder(name, _number(stop_price), _number(arrival_mid))
            if replaced_by:
                before[replaced_by] = venue_id
            if parent:
                parents[venue_id] = parent
        linked = before.keys() | parents.keys()
        lines = {
            venue_id: lineage(venue_id, before, parents) if venue_id in linked else (venue_id,)
            for venue_id in venue_ids
            if venue_id in orders
        }
        names = {
            venue_id: [orders[one].client_order_id for one in line if one in orders] for venue_id, line in lines.items()
        }
        asked, stops = self._asked(set(chain.from_iterable(names.values())))
        return Behind(
            {
                venue_id: OrderSent(orders[venue_id], tuple([asked[name] for name in of_line if name in asked]))
                for venue_id, of_line in names.items()
            },
            stops,
        )

    def _asked(self, client_order_ids: Collection[str]) -> tuple[dict[str, OrderRequested], tuple[RestedStop, ...]]:
        """Return those of these intents that were ever promised, by client order id, and the stops of all intents."""
        asked, stops = dict[str, OrderRequested](), list[RestedStop]()
        for name, state, text in self._checked("intents", INTENTS):
            said = _Said(*parse_json(text))
            if name in client_order_ids:
                asked[name] = said.asked(name)
            if state == IntentState.ACKED and said.is_stop:
                stops.append(said.stop())
        return asked, tuple(sorted(stops, key=lambda stop: stop.at))

    def gave_way(self) -> tuple[GaveWay, ...]:
        """Return the orders by which positions gave way to others, with what decided that, oldest first."""
        return tuple(
            GaveWay(
                decode_cached(Intent, intent),
                IntentState(state),
                tuple(decode(Decision, each) for each in parse_json(said)),
            )
            for state, intent, said in self._checked("intents", GAVE_WAY)
        )

    def marks(self) -> dict[Key, Marks]:
        """Return the best and the worst price of each position that passes have seen, open or closed."""
        return {
            (strategy, symbol, parse_time(at)): Marks(Decimal(best), _number(worst))
            for strategy, symbol, at, best, worst in self._file.stream(MARKS)
        }

    def _checked(self, table: str, query: str, *values: str) -> Iterator[Any]:
        """Yield the rows of a query without its first two columns: a row's number, and whether it is as written."""
        for row in self._file.stream(query, values):
            if not row[1]:
                what = f"row {row[0]} of {table} is not as it was written"
                raise DamagedBooksError(f"The ledger is damaged: {what}.", REBUILD)
            yield row[2:]


class _Said(NamedTuple):
    """What an intent says, in the order of INTENTS."""

    at: str
    why: str | None
    purpose: str
    decision_mid: str | None
    send_mid: str | None
    send_mid_at: str | None
    operation: str
    strategy: str
    symbol: str
    side: str
    stop_price: str | None
    stop_loss_fraction: str | None
    profit_target_fraction: str | None
    score: float | None
    components: Sequence[Any] | None
    targets: Sequence[Any] | None
    atr_fraction: str | None
    invalid_fraction: str | None

    @property
    def is_stop(self) -> bool:
        """Return True if its order was a stop that protects."""
        return self.stop_price is not None and self.purpose == _PROTECT and self.operation != _CANCEL

    def asked(self, client_order_id: str) -> OrderRequested:
        """Return the orders' data that figures about fills need."""
        return OrderRequested(
            client_order_id,
            parse_time(self.at),
            self.why or "",
            self.purpose == _PROTECT,
            _number(self.decision_mid),
            _number(self.send_mid),
            parse_time(self.send_mid_at) if self.send_mid_at else None,
            self._entry() if self.purpose == _OPEN else None,
            _number(self.stop_price),
        )

    def _entry(self) -> Kept:
        told = self.score, self.components, self.targets, self.atr_fraction, self.invalid_fraction
        return kept_of(self.stop_loss_fraction, self.profit_target_fraction, *told)

    def stop(self) -> RestedStop:
        """Return the stop that it asked for."""
        assert self.stop_price is not None, "not a stop"
        return RestedStop(self.strategy, self.symbol, Side(self.side), parse_time(self.at), Decimal(self.stop_price))


_OPEN, _PROTECT, _CANCEL = Purpose.OPEN.value, Purpose.PROTECT.value, Operation.CANCEL.value


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
