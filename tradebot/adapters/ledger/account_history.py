"""Read the complete history of an account: fills and cash movements, checked row by row, and the orders that led to the
fills.

The totals of the oldest fills are stored as a checkpoint, so that readers needn't add up all of them. The checkpoint
includes the combined checksum of its fills' rows. A reader adds the checksums of all later rows, and compares the
result with the checksum over all fills, which the ledger updates with every insert. So a late fill that sorts before
the checkpoint is noticed, like any other change, and all fills are added up again. A checkpoint is never required: a
missing or changed one is recomputed.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from msgspec import Struct

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.integrity import as_written, combine_checksums
from tradebot.adapters.ledger.rows import decode_cached, owned_fill, parse_json, proven_fill, terms_of_intent
from tradebot.adapters.ledger.schema import TABLES
from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.activity_types import meaning_if_any
from tradebot.adapters.text.canonical import decimal_text, json_text, parse_time, time_text
from tradebot.adapters.text.codec import decode, pack, unpack
from tradebot.errors import DamagedBooksError
from tradebot.model.account import CashMovement
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision
from tradebot.model.intent import Intent, IntentState, Operation
from tradebot.model.order import lineage
from tradebot.model.position import EntryTerms, Key, Marks, Origin, OwnedFill, Position, RoundTrip
from tradebot.model.totals import Totals
from tradebot.model.trade import DisplacedClose, FilledOrder, OrderRequested, OrderSent, RestedStop

LEFT_OUT = 200

"""How many of the newest fills a new checkpoint leaves out, because fills may arrive late.

Once more than twice as many follow the checkpoint, a new one is written.
"""

LAST = "~"

"""A text that sorts after every time."""

LATER = f"""SELECT {as_written("fills", TABLES)}, row_sum, body, origin, about FROM fills INDEXED BY fills_by_time
    WHERE account = ? AND at > ? AND at <= ? ORDER BY at, sequence"""  # noqa: S608 - our own names

TOTALS_SEAL = f"SELECT {as_written('fill_seals', TABLES)}, fills, sum FROM fill_seals WHERE account = ?"  # noqa: S608 - as above

CHECKPOINT = f"SELECT at, sum, body FROM checkpoints WHERE account = ? AND {as_written('checkpoints', TABLES)}"  # noqa: S608 - as above

DROP = "DELETE FROM checkpoints"

WRITE = "INSERT INTO checkpoints (account, at, fills, sum, body) VALUES (?, ?, ?, ?, ?)"

COUNT_LATER = "SELECT count(*) FROM fills INDEXED BY fills_by_time WHERE account = ? AND at > ?"

NEWEST_KEPT = """SELECT at FROM fills INDEXED BY fills_by_time
    WHERE account = ? ORDER BY at DESC LIMIT 1 OFFSET ?"""


class Checkpoint(NamedTuple):
    """The totals of all fills up to the time `at`, and the combined checksum of their rows."""

    at: str
    sum: str
    totals: Totals


NONE = Checkpoint("", "", Totals())

"""The checkpoint before every fill."""


class TotalsCheckpoint(Struct, frozen=True):
    """Totals as a checkpoint stores them; prices and times are canonical text."""

    positions: tuple[Position, ...]
    spent: Decimal
    last_price: Mapping[str, str]
    last_traded: Mapping[str, str]
    last_at: datetime | None
    count: int
    round_trips: tuple[RoundTrip, ...] = ()
    fees: Decimal = Decimal(0)
    form: int = 0


FORM = 1

"""The version of a checkpoint's content; a checkpoint of another version is recomputed."""


class FillTotals:
    """The totals of all fills, starting from the checkpoint if there is one.

    A new checkpoint leaves out the newest `left_out` fills, because fills may arrive late.
    """

    left_out: int = LEFT_OUT

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def totals(self) -> Totals:
        """Return the totals of all fills and adjustments; a checkpoint that doesn't match them is ignored.

        Raise DamagedBooksError if a row, or the checksum over all fills, was changed.
        """
        with self._file.reading():
            return self._current_checkpoint().totals

    def checkpoint_totals(self) -> None:
        """Write a new checkpoint if readers have too many fills to add up, or if the current checkpoint doesn't
        match.
        """
        with self._file.reading():
            checkpoint, (fills, _) = self._checkpoint(), self._sealed_count_and_sum()
            ((later,),) = self._file.rows(COUNT_LATER, (checkpoint.at,))
            most = 2 * self.left_out
            fits = later <= most and checkpoint.totals.count + later == fills
            if fills <= most or fits:
                return
            ((until,),) = self._file.rows(NEWEST_KEPT, (self.left_out,))
            totals = self._until(until)
        with self._file.write():
            values = totals.at, totals.totals.count, totals.sum, _totals_text(totals.totals)
            self._file.execute(DROP, ())
            self._file.execute(WRITE, (self._file.account_number, *values))

    def _current_checkpoint(self) -> Checkpoint:
        """Return the totals of all fills, as a checkpoint."""
        stored_checkpoint, sealed = self._checkpoint(), self._sealed_count_and_sum()
        checkpoint = self._add_fills(stored_checkpoint, LAST)
        fits = (checkpoint.totals.count, checkpoint.sum) == sealed
        return checkpoint if fits or stored_checkpoint is NONE else self._add_fills(NONE, LAST)

    def _until(self, at: str) -> Checkpoint:
        """Return the totals of the fills up to a time, using the checkpoint if it matches all fills."""
        checkpoint, sealed = self._checkpoint(), self._sealed_count_and_sum()
        if checkpoint.at <= at:
            totals = self._add_fills(checkpoint, at)
            rest = self._add_fills(Checkpoint(at, totals.sum, totals.totals), LAST)
            if (rest.totals.count, rest.sum) == sealed:
                return totals
        return self._add_fills(NONE, at)

    def _add_fills(self, checkpoint: Checkpoint, until: str) -> Checkpoint:
        """Return a checkpoint with all later fills added up to a time."""
        total = [checkpoint.sum]

        def later() -> Iterator[OwnedFill]:
            for sound, row_sum, *fill in self._file.stream(LATER, (checkpoint.at, until)):
                self._require(sound, "fills")
                total.append(combine_checksums(total.pop(), row_sum))
                yield owned_fill(*fill)

        totals = checkpoint.totals.after(later())
        return Checkpoint(until, total[0], totals)

    def _sealed_count_and_sum(self) -> tuple[int, str]:
        """Return the number of all fills and their combined checksum, as stored by the ledger."""
        row = self._file.row(TOTALS_SEAL)
        self._require(row is not None and row[0], "fill_seals")
        return int(row[1]), str(row[2])

    def _require(self, sound: object, table: str) -> None:
        if not sound:
            raise DamagedBooksError(
                (f"The ledger is damaged: a row of {table} was changed after it was written."), REBUILD
            )

    def _checkpoint(self) -> Checkpoint:
        """Return the stored checkpoint, or the empty one if it is missing or damaged."""
        row = self._file.row(CHECKPOINT)
        totals = None if row is None else _read(row[2])
        return NONE if row is None or totals is None else Checkpoint(row[0], row[1], totals)


def _totals_text(totals: Totals) -> str:
    checkpoint = TotalsCheckpoint(
        positions=tuple(totals.positions.values()),
        spent=totals.spent,
        last_price={symbol: decimal_text(price) for symbol, price in totals.last_price.items()},
        last_traded={symbol: time_text(at) for symbol, at in totals.last_traded.items()},
        last_at=totals.last_at,
        count=totals.count,
        round_trips=totals.round_trips,
        fees=totals.fees,
        form=FORM,
    )
    return json_text(pack(checkpoint))


@lru_cache(maxsize=1)
def _read(body: str) -> Totals | None:
    """Parse a checkpoint's totals; None if they are of another version."""
    checkpoint = unpack(TotalsCheckpoint, json.loads(body))
    if checkpoint.form != FORM:
        return None
    return Totals(
        positions={(position.strategy, position.symbol): position for position in checkpoint.positions},
        spent=checkpoint.spent,
        last_price={symbol: Decimal(price) for symbol, price in checkpoint.last_price.items()},
        last_traded={symbol: parse_time(at) for symbol, at in checkpoint.last_traded.items()},
        last_at=checkpoint.last_at,
        count=checkpoint.count,
        round_trips=checkpoint.round_trips,
        fees=checkpoint.fees,
    )


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

"""The short tables that other code reads: the opening cash, acknowledgments, and people's notes."""

ORDERS = """SELECT sequence, text IS NOT NULL, venue_id, client_order_id, replaced_by, text ->> '$.parent',
    text ->> '$.stop_price', text ->> '$.arrival_mid'
    FROM (SELECT *, iif(json_valid(body), body, NULL) AS text FROM orders WHERE account = ?) ORDER BY sequence"""

INTENTS = """SELECT sequence, said IS NOT NULL, client_order_id, state, said FROM (
    SELECT sequence, client_order_id, state, iif(json_valid(intent), json_extract(intent, '$.at', '$.why', '$.purpose',
    '$.decision_mid', '$.send_mid', '$.send_mid_at', '$.operation', '$.key.strategy', '$.instrument.symbol', '$.side',
    '$.stop_price', '$.stop_loss_fraction', '$.profit_target_fraction', '$.score', '$.components', '$.targets',
    '$.atr_fraction', '$.invalid_fraction'), NULL)
    AS said FROM intents WHERE account = ? ORDER BY sequence LIMIT -1 OFFSET 0)"""

"""Select the fields of all intents in one scan: nearly every row is needed, and a second scan costs as much.

SQLite evaluates a subquery with an offset separately, so `said` is extracted only once.
"""

GAVE_WAY = """SELECT sequence, json_valid(intent) AND json_valid(verdicts), state, intent, verdicts FROM intents
    WHERE account = ? AND instr(intent, '"displaced_by":"') AND NOT instr(intent, '"displaced_by":""')
    ORDER BY sequence"""

MARKS = "SELECT strategy, symbol, opened_at, price, worst FROM high_water WHERE account = ?"


class FillOwners(NamedTuple):
    """The orders and stops to which an account's fills belong.

    `sent` has the known orders by venue id, each with the intents that led to it, nearest first. `stops` has the
    accepted protective stops in the order in which they were sent.
    """

    sent: Mapping[str, OrderSent]
    stops: tuple[RestedStop, ...]


class AccountHistory:
    """Reads the data for performance reports; raises DamagedBooksError naming a changed row."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def fills(self) -> tuple[OwnedFill, ...]:
        """Return all fills and adjustments, oldest first, after checking them against their common checksum."""
        sums, owned_fills = list[str](), list[OwnedFill]()
        for row_sum, body, origin, about in self._check_rows("fills", FILLS):
            sums.append(row_sum)
            owned_fills.append(proven_fill(body, origin, about))
        ((count, sealed),) = self._check_rows("fill_seals", SEAL)
        if (len(owned_fills), combine_checksums(*sums)) != (count, sealed):
            raise DamagedBooksError(
                f"The ledger is damaged: it has {len(owned_fills)} fills, but they aren't the ones that were written.",
                REBUILD,
            )
        # The sort is stable: fills at the same time stay in the order in which they were written.
        return tuple(sorted(owned_fills, key=lambda owned: owned.fill.at))

    def cash_movements(self) -> tuple[CashMovement, ...]:
        """Return every cash movement that isn't part of a fill, in the order in which they were booked.

        Its time is the broker's if known, otherwise when it was booked.
        """
        rows = self._check_rows("cash_adjustments", CASH)
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
        """Check the opening cash, acknowledged positions and notes against the checksums of their rows."""
        for table, query in OTHERS.items():
            for _ in self._check_rows(table, query):
                pass

    def behind(self, venue_ids: Collection[str]) -> FillOwners:
        """Return the known orders with these ids, the intents that led to them, and every protective stop.

        The intents that led to an order are those that created it, an order that it replaced, or its parent.
        """
        orders, before, parents = dict[str, FilledOrder](), dict[str, str](), dict[str, str]()
        for venue_id, name, replaced_by, parent, stop_price, arrival_mid in self._check_rows("orders", ORDERS):
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
            venue_id: [orders[row].client_order_id for row in line if row in orders] for venue_id, line in lines.items()
        }
        requests, stops = self._requests_and_stops(set(chain.from_iterable(names.values())))
        return FillOwners(
            {
                venue_id: OrderSent(orders[venue_id], tuple([requests[name] for name in of_line if name in requests]))
                for venue_id, of_line in names.items()
            },
            stops,
        )

    def _requests_and_stops(
        self, client_order_ids: Collection[str]
    ) -> tuple[dict[str, OrderRequested], tuple[RestedStop, ...]]:
        """Return the recorded intents among these by client order id, and the stops of all intents."""
        requests, stops = dict[str, OrderRequested](), list[RestedStop]()
        for name, state, text in self._check_rows("intents", INTENTS):
            content = _Said(*parse_json(text))
            if name in client_order_ids:
                requests[name] = content.order_request(name)
            if state == IntentState.ACKED and content.is_stop:
                stops.append(content.stop())
        return requests, tuple(sorted(stops, key=lambda stop: stop.at))

    def gave_way(self) -> tuple[DisplacedClose, ...]:
        """Return the orders that closed positions to make room for better candidates, with the decisions that led to
        them, oldest first.
        """
        return tuple(
            DisplacedClose(
                decode_cached(Intent, intent),
                IntentState(state),
                tuple(decode(Decision, each) for each in parse_json(content)),
            )
            for state, intent, content in self._check_rows("intents", GAVE_WAY)
        )

    def marks(self) -> dict[Key, Marks]:
        """Return the recorded best and worst price of each position, open or closed."""
        return {
            (strategy, symbol, parse_time(at)): Marks(Decimal(best), _number(worst))
            for strategy, symbol, at, best, worst in self._file.stream(MARKS)
        }

    def _check_rows(self, table: str, query: str, *values: str) -> Iterator[Any]:
        """Yield the rows of a query without its first two columns: a row's number, and whether it is as written."""
        for row in self._file.stream(query, values):
            if not row[1]:
                what = f"row {row[0]} of {table} was changed after it was written"
                raise DamagedBooksError(f"The ledger is damaged: {what}.", REBUILD)
            yield row[2:]


class _Said(NamedTuple):
    """The fields of an intent, in the order of INTENTS."""

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
        """Return True if the order was a protective stop."""
        return self.stop_price is not None and self.purpose == _PROTECT and self.operation != _CANCEL

    def order_request(self, client_order_id: str) -> OrderRequested:
        """Return the order data needed to compute a fill's figures."""
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

    def _entry(self) -> EntryTerms:
        fields = self.score, self.components, self.targets, self.atr_fraction, self.invalid_fraction
        return terms_of_intent(self.stop_loss_fraction, self.profit_target_fraction, *fields)

    def stop(self) -> RestedStop:
        """Return the stop that the intent requested."""
        assert self.stop_price is not None, "not a stop"
        return RestedStop(self.strategy, self.symbol, Side(self.side), parse_time(self.at), Decimal(self.stop_price))


_OPEN, _PROTECT, _CANCEL = Purpose.OPEN.value, Purpose.PROTECT.value, Operation.CANCEL.value


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
