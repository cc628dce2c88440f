"""The complete audit: every subject of the table, and what only the broker and a span of time can show."""

from collections.abc import Iterator

from tradebot.judging import books, risk, running
from tradebot.judging.evidence import Evidence, Unread
from tradebot.judging.judgment import Judgment, State
from tradebot.judging.permission import permission
from tradebot.judging.table import RECOVER, TABLE, judged
from tradebot.judging.trading import Broker, Trading

BOOKS = ("ledger", "journal", "books", "backup")
FINISHED = ("ledger", "journal", "orders", "halts", "config")
"""What is judged of a finished backtest: nothing runs there anymore."""


def audit(evidence: Evidence, seen: Trading | Unread, *, finished: bool = False) -> tuple[Judgment, ...]:
    """Judge everything that was looked at, the most urgent first; of a `finished` backtest, only the books."""
    if isinstance(seen, Unread):
        unread = Judgment("everything else", State.FAILED, "records", 0, seen.why, seen.next or RECOVER)
        return (*judged(evidence, FINISHED if finished else TABLE), unread)
    return tuple(_of_finished(evidence, seen) if finished else _everything(evidence, seen))


def _of_finished(evidence: Evidence, seen: Trading) -> Iterator[Judgment]:
    yield from judged(evidence, FINISHED)
    yield books.rows(seen)
    yield risk.positions(seen)
    yield books.orders(seen)


def _everything(evidence: Evidence, seen: Trading) -> Iterator[Judgment]:
    own = {judgment.subject: judgment for judgment in judged(evidence)}
    yield from (own.pop(name) for name in BOOKS)
    yield books.rows(seen)
    yield books.broker(seen)
    yield risk.exits_recorded(seen)
    yield risk.exits_now(seen)
    yield from risk.limits(seen)
    yield books.orders(seen)
    blocks = seen.broker.view.account.blocked if isinstance(seen.broker, Broker) else None
    yield permission(seen.permission, seen.moment.now, blocks)
    yield from own.values()
    yield running.market(seen)
    yield risk.positions(seen)
    yield running.quotes(seen)
    yield from running.kinds(seen)
    yield running.coverage(seen)
    yield running.cycles(seen)
    yield running.blocks(seen)
    yield running.events(seen)
