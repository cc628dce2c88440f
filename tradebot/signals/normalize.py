"""Turn the rows of a flow source into facts, one by one. A bad row is counted and skipped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from tradebot.model.fact_kind import AnyKind, Columns, Fact
from tradebot.model.flow import FlowPage, Intake, RejectedRow
from tradebot.model.struct_tools import replace
from tradebot.signals import contracts
from tradebot.signals.bulk_fields import NotColumnarError, columns
from tradebot.signals.contracts import check
from tradebot.signals.fields import BadRowError


@lru_cache(maxsize=4096)
def source_ticker(symbol: str) -> str:
    """Return the ticker as the flow source spells it, without the dot of a share class (BRK.B becomes BRKB)."""
    return symbol.replace(".", "").replace("/", "")


def normalize(kind: AnyKind, page: FlowPage, at: datetime, *, check: bool = True) -> Intake:
    """Return the page's facts and counts of dropped rows; rows later than `at` (trading time) are rejected.

    With `check`, the rows are also compared with the source's documentation.
    """
    symbol = page.symbol or ""
    ticker = source_ticker(symbol).upper()
    own, foreign = list[object](), list[object]()
    for row in page.rows:
        (foreign if page.symbol is not None and is_foreign(row, ticker) else own).append(row)
    parsed = columns(page.rows)
    facts, rejected = _read(kind, own, None if foreign else parsed, symbol, at)
    checked = contracts.check(kind.fields, page.rows, foreign, parsed) if check else None
    findings, nulls = (checked.findings, checked.nulls) if checked else ((), None)
    return replace(_intake(page, at, facts, rejected), foreign=len(foreign), findings=findings, nulls=nulls)


def _intake(page: FlowPage, at: datetime, facts: Sequence[Fact], rejected: Sequence[RejectedRow]) -> Intake:
    by_id = {fact.id: fact for fact in facts}
    facts_kept, twice = tuple(by_id.values()), len(facts) - len(by_id)
    return Intake(page.endpoint, page.symbol, at, len(page.rows), facts_kept, 0, twice, tuple(rejected))


def _read(
    kind: AnyKind, rows: Sequence[object], parsed: Columns | None, symbol: str, at: datetime
) -> tuple[Sequence[Fact], Sequence[RejectedRow]]:
    """Return the facts of rows and the bad rows.

    Rows are read all at once if the kind supports that, else one by one.
    """
    if kind.parse_all is not None and parsed is not None:
        try:
            return [*kind.parse_all(parsed, symbol, at)], ()
        except NotColumnarError:
            pass
    facts, rejected = list[Fact](), list[RejectedRow]()
    for row in rows:
        read = read_one(kind, row, symbol, at)
        if isinstance(read, RejectedRow):
            rejected.append(read)
        else:
            facts.append(read)
    return facts, rejected


def read_one(kind: AnyKind, row: object, symbol: str, at: datetime) -> Fact | RejectedRow:
    if not isinstance(row, dict):
        return RejectedRow("the row is not an object", repr(row)[:160])
    try:
        fact: Fact = kind.parse(row, symbol, at)
    except BadRowError as bad:
        return RejectedRow(str(bad), repr(row)[:160])
    return fact


def is_foreign(row: object, ticker: str) -> bool:
    if not isinstance(row, dict) or row.get("ticker") == ticker:
        return False
    symbol = row.get("ticker", row.get("underlying_symbol", row.get("symbol")))
    return isinstance(symbol, str) and symbol.upper() != ticker


Nulls = tuple[str, ...]
"""The names of a row's fields that are null."""


class _Read(NamedTuple):
    """What a row was parsed to. The row is stored too, so that its identity isn't reused by another object."""

    row: object
    fact: Fact | RejectedRow
    nulls: Nulls


class _Reply(NamedTuple):
    """What was parsed of a reply: its rows by identity; and the whole result, unless a row was rejected."""

    rows: Sequence[object]
    read: Mapping[int, _Read]
    intake: Intake | None


_NO_REPLY = _Reply((), {}, None)


class Rereading:
    """A faster `normalize`, for a source whose row objects never change and a time that never goes back.

    A row that was already in the last reply about the same kind and symbol isn't parsed again, unless it was rejected.
    A rejected row is parsed again because a time that was in the future may have passed by now. A reply with exactly
    the last reply's rows gives the same result.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str | None], _Reply] = {}
        self._shapes: dict[tuple[object, ...], Nulls | None] = {}

    def __call__(self, kind: AnyKind, page: FlowPage, at: datetime) -> Intake:
        """Return the page's facts and counts of dropped rows; rows later than `at` (trading time) are rejected."""
        if kind.changes or not page.rows:
            return normalize(kind, page, at)
        key = page.endpoint, page.symbol
        before, reads = self._last.get(key, _NO_REPLY), list[_Read]()
        if before.rows is page.rows and before.intake is not None:
            return replace(before.intake, at=at)
        for row in page.rows:
            reading = before.read.get(id(row)) or self._read(kind, page.symbol, row, at)
            if reading is None:
                # Foreign and undocumented rows are rare; reporting them needs all rows.
                return normalize(kind, page, at)
            reads.append(reading)
        rejected = [read.fact for read in reads if isinstance(read.fact, RejectedRow)]
        read = [read for read in reads if not isinstance(read.fact, RejectedRow)] if rejected else reads
        intake = _intake(page, at, [reading.fact for reading in read], rejected)  # type: ignore[misc]  # none is rejected
        intake = replace(intake, nulls=_count_nulls([read.nulls for read in reads]))
        by_row = {id(reading.row): reading for reading in read}
        self._last[key] = _Reply(page.rows, by_row, None if rejected else intake)
        return intake

    def _read(self, kind: AnyKind, symbol: str | None, row: object, at: datetime) -> _Read | None:
        """Return the parsed row, or why it is rejected; None for one of another ticker or not as documented."""
        if not isinstance(row, dict) or (symbol is not None and is_foreign(row, source_ticker(symbol).upper())):
            return None
        nulls = self._nulls(kind, row)
        return None if nulls is None else _Read(row, read_one(kind, row, symbol or "", at), nulls)

    def _nulls(self, kind: AnyKind, row: Mapping[str, object]) -> Nulls | None:
        """Return which fields of a row are null; None if it isn't as documented. Rows of one shape share the result."""
        shape = (kind.name, *row, *map(type, row.values()))
        if shape not in self._shapes:
            checked = check(kind.fields, [row])
            self._shapes[shape] = None if checked.findings else tuple(checked.nulls)
        return self._shapes[shape]


def _count_nulls(nulls: list[Nulls]) -> Mapping[str, int]:
    counts = Counter[str]()
    for names, times in Counter(nulls).items():
        counts.update(dict.fromkeys(names, times))
    return dict(counts)
