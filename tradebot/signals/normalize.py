"""Turn the rows of a flow source into facts, one by one. A bad row is counted and skipped; the rest go on."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from tradebot.model.flow import FlowPage, Intake, RejectedRow
from tradebot.model.kind import AnyKind, Columns, Fact, Row
from tradebot.signals import contracts
from tradebot.signals.columns import NotPlainError, columns
from tradebot.signals.rows import BadRowError


@lru_cache(maxsize=4096)
def source_ticker(symbol: str) -> str:
    """Return the ticker as the flow source spells it, without the dot of a share class (BRK.B becomes BRKB)."""
    return symbol.replace(".", "").replace("/", "")


def normalize(kind: AnyKind, page: FlowPage, at: datetime, *, check: bool = True) -> Intake:
    """Return the page's facts and counts of dropped rows; rows later than `at` (trading time) are rejected.

    To `check` is to compare the rows with what the source documents too.
    """
    symbol = page.symbol or ""
    ticker = source_ticker(symbol).upper()
    own, foreign = list[object](), list[object]()
    for row in page.rows:
        (foreign if page.symbol is not None and is_foreign(row, ticker) else own).append(row)
    found = columns(page.rows)
    facts, rejected = _read(kind, own, None if foreign else found, symbol, at)
    by_id = {fact.id: fact for fact in facts}
    checked = contracts.check(kind.fields, page.rows, foreign, found) if check else None
    return Intake(
        page.endpoint,
        page.symbol,
        at,
        len(page.rows),
        tuple(by_id.values()),
        len(foreign),
        len(facts) - len(by_id),
        tuple(rejected),
        checked.findings if checked else (),
        checked.nulls if checked else None,
    )


def _read(
    kind: AnyKind, rows: Sequence[object], found: Columns | None, symbol: str, at: datetime
) -> tuple[Sequence[Fact], Sequence[RejectedRow]]:
    """Return the facts of rows and the bad rows: read all at once if the kind can and they are plain, or one by one."""
    if kind.parse_all is not None and found is not None:
        try:
            return [*kind.parse_all(found, symbol, at)], ()
        except NotPlainError:
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
    try:
        fact: Fact = kind.parse(_object(row), symbol, at)
    except BadRowError as bad:
        return RejectedRow(str(bad), repr(row)[:160])
    return fact


def is_foreign(row: object, ticker: str) -> bool:
    if not isinstance(row, dict) or row.get("ticker") == ticker:
        return False
    found = row.get("ticker", row.get("underlying_symbol", row.get("symbol")))
    return isinstance(found, str) and found.upper() != ticker


def _object(row: object) -> Row:
    if not isinstance(row, dict):
        raise BadRowError("the row is not an object")
    return row
