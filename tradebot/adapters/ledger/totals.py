"""What all fills add up to, kept as a checkpoint so that no reader has to add all of them up again.

A checkpoint stands for the oldest fills and is stored with the combined sum of their rows. Whoever reads it adds the
sums of all later rows, and compares the result with the sum over all fills, which the ledger keeps with every insert.
So a fill that comes late and sorts before the checkpoint is noticed, like any other change, and all fills are added up
again. A checkpoint is never needed: one that is missing, or isn't as it was written, is made again.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.row_checksums import as_written, combine_checksums
from tradebot.adapters.ledger.rows import owned_fill
from tradebot.adapters.ledger.schema import TABLES
from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.canonical import decimal_text, json_text, parse_time, time_text
from tradebot.adapters.text.codec import pack, unpack
from tradebot.errors import DamagedBooksError
from tradebot.model.position import OwnedFill, Position, RoundTrip
from tradebot.model.totals import Totals

LEFT_OUT = 200
"""A new checkpoint leaves out this many of the newest fills, because fills may come late.

If more than twice as many follow the checkpoint, a new one is written.
"""

LAST = "~"
"""A text after every time."""

LATER = f"""SELECT {as_written("fills", TABLES)}, row_sum, body, origin, about FROM fills INDEXED BY fills_by_time
    WHERE account = ? AND at > ? AND at <= ? ORDER BY at, sequence"""  # noqa: S608 - our own names
SEAL = f"SELECT {as_written('fill_seals', TABLES)}, fills, sum FROM fill_seals WHERE account = ?"  # noqa: S608 - as above
CHECKPOINT = f"SELECT at, sum, body FROM checkpoints WHERE account = ? AND {as_written('checkpoints', TABLES)}"  # noqa: S608 - as above
DROP = "DELETE FROM checkpoints"
WRITE = "INSERT INTO checkpoints (account, at, fills, sum, body) VALUES (?, ?, ?, ?, ?)"
COUNT_LATER = "SELECT count(*) FROM fills INDEXED BY fills_by_time WHERE account = ? AND at > ?"
NEWEST_KEPT = """SELECT at FROM fills INDEXED BY fills_by_time
    WHERE account = ? ORDER BY at DESC LIMIT 1 OFFSET ?"""


class Checkpoint(NamedTuple):
    """What the fills up to the time `at` add up to, and the combined sum of their rows."""

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
"""What checkpoints count; one of another form, which an earlier version wrote, is made again."""


class FillTotals:
    """What all fills add up to, starting from the checkpoint if there is one.

    A checkpoint leaves out the newest `left_out` fills; fewer make sense only for small books.
    """

    left_out: int = LEFT_OUT

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def totals(self) -> Totals:
        """Return what all fills and adjustments add up to; a checkpoint that doesn't fit them is ignored.

        Raises DamagedBooksError if a row that is added up, or the seal over all fills, is not as it was written.
        """
        with self._file.reading():
            return self._found().totals

    def keep_totals(self) -> None:
        """Write a new checkpoint if readers have too much to add up, or if the one there doesn't fit."""
        with self._file.reading():
            kept, (fills, _) = self._checkpoint(), self._sealed()
            ((later,),) = self._file.rows(COUNT_LATER, (kept.at,))
            most = 2 * self.left_out
            fits = later <= most and kept.totals.count + later == fills
            if fills <= most or fits:
                return
            ((until,),) = self._file.rows(NEWEST_KEPT, (self.left_out,))
            made = self._until(until)
        with self._file.write():
            values = made.at, made.totals.count, made.sum, _written(made.totals)
            self._file.execute(DROP, ())
            self._file.execute(WRITE, (self._file.account_number, *values))

    def _found(self) -> Checkpoint:
        """Return what all fills add up to."""
        kept, sealed = self._checkpoint(), self._sealed()
        found = self._added(kept, LAST)
        fits = (found.totals.count, found.sum) == sealed
        return found if fits or kept is NONE else self._added(NONE, LAST)

    def _until(self, at: str) -> Checkpoint:
        """Return what the fills up to a time add up to, from the checkpoint if that fits all fills."""
        kept, sealed = self._checkpoint(), self._sealed()
        if kept.at <= at:
            found = self._added(kept, at)
            rest = self._added(Checkpoint(at, found.sum, found.totals), LAST)
            if (rest.totals.count, rest.sum) == sealed:
                return found
        return self._added(NONE, at)

    def _added(self, kept: Checkpoint, until: str) -> Checkpoint:
        """Return a checkpoint with all later fills added up to a time."""
        total = [kept.sum]

        def later() -> Iterator[OwnedFill]:
            for sound, row_sum, *fill in self._file.stream(LATER, (kept.at, until)):
                self._require(sound, "fills")
                total.append(combine_checksums(total.pop(), row_sum))
                yield owned_fill(*fill)

        totals = kept.totals.after(later())
        return Checkpoint(until, total[0], totals)

    def _sealed(self) -> tuple[int, str]:
        """Return the number of all fills and the combined sum of their rows, as the ledger kept them."""
        found = self._file.row(SEAL)
        self._require(found is not None and found[0], "fill_seals")
        return int(found[1]), str(found[2])

    def _require(self, sound: object, table: str) -> None:
        if not sound:
            raise DamagedBooksError(f"The ledger is damaged: a row of {table} is not as it was written.", REBUILD)

    def _checkpoint(self) -> Checkpoint:
        """Return the checkpoint that was written, or the one before every fill if there is none or it is damaged."""
        found = self._file.row(CHECKPOINT)
        totals = None if found is None else _read(found[2])
        return NONE if found is None or totals is None else Checkpoint(found[0], found[1], totals)


def _written(totals: Totals) -> str:
    kept = TotalsCheckpoint(
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
    return json_text(pack(kept))


@lru_cache(maxsize=1)
def _read(body: str) -> Totals | None:
    """Return the totals from a checkpoint, whose row was as it was written; None if its form is another one."""
    kept = unpack(TotalsCheckpoint, json.loads(body))
    if kept.form != FORM:
        return None
    return Totals(
        positions={(position.strategy, position.symbol): position for position in kept.positions},
        spent=kept.spent,
        last_price={symbol: Decimal(price) for symbol, price in kept.last_price.items()},
        last_traded={symbol: parse_time(at) for symbol, at in kept.last_traded.items()},
        last_at=kept.last_at,
        count=kept.count,
        round_trips=kept.round_trips,
        fees=kept.fees,
    )
