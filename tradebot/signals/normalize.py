"""Turn the rows of a flow source into facts, one by one. A bad row is counted and skipped; the rest go on."""

from datetime import datetime
from functools import lru_cache

from tradebot.model.flow import FlowPage, Intake, RejectedRow
from tradebot.model.kind import AnyKind, Fact, Row
from tradebot.signals import contracts
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
    facts: dict[str, Fact] = {}
    rejected: list[RejectedRow] = []
    foreign: list[object] = []
    duplicates, asked, parse = 0, page.symbol is not None, kind.parse
    for row in page.rows:
        if asked and _is_foreign(row, ticker):
            foreign.append(row)
            continue
        try:
            fact = parse(row if type(row) is dict else _object(row), symbol, at)
        except BadRowError as bad:
            rejected.append(RejectedRow(str(bad), _excerpt(row)))
            continue
        duplicates += fact.id in facts
        facts[fact.id] = fact
    checked = contracts.check(kind.fields, page.rows, foreign) if check else None
    return Intake(
        page.endpoint,
        page.symbol,
        at,
        len(page.rows),
        tuple(facts.values()),
        len(foreign),
        duplicates,
        tuple(rejected),
        checked.findings if checked else (),
        checked.nulls if checked else None,
    )


def _is_foreign(row: object, ticker: str) -> bool:
    """Return True if the row belongs to a ticker other than the one asked for."""
    if not isinstance(row, dict) or row.get("ticker") == ticker:
        return False
    found = row.get("ticker", row.get("underlying_symbol", row.get("symbol")))
    return isinstance(found, str) and found.upper() != ticker


def _object(row: object) -> Row:
    if not isinstance(row, dict):
        raise BadRowError("the row is not an object")
    return row


def _excerpt(row: object) -> str:
    return repr(row)[:160]
