"""A signal that comes while SQLite is at work ends the process after it, and is never taken for a failed write."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from commands.shared.error_boundary import run_command
from tests.kit.rows import NOW, make_intent
from tradebot.adapters.ledger import integrity as ledger_sums
from tradebot.adapters.ledger.deferred_signals import defer_signals, interrupt
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.errors import DamagedBooksError

ENDS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number, _ in ENDS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def signalling(number: signal.Signals) -> Callable[..., str]:
    """Return the sum of a row, during the first of which a signal arrives."""
    honest, sent = ledger_sums._sum, list[int]()

    def summed(table: str, *values: bytes | None) -> str:
        # The sum of the book is read while it is opened.
        if not sent and table != "book":
            sent.append(number)
            signal.raise_signal(number)
        return honest(table, *values)

    return summed


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_signal_during_a_write_ends_the_process_with_its_code_after_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    SqliteLedger.create(tmp_path, "TEST00001", NOW).close()
    after: list[str] = []

    def work() -> int:
        with closing(SqliteLedger.open(tmp_path)) as books:
            books.record_intent(make_intent(), ())
            after.append("went on")
        return 0

    monkeypatch.setattr(ledger_sums, "_sum", signalling(number))
    assert (run_command(work, ["trade-once"]), after) == (code, [])
    monkeypatch.undo()
    with closing(SqliteLedger.open(tmp_path)) as books:
        books.file.check_pages()
        assert len(books.intents()) == 1


def test_signal_is_raised_even_if_the_held_block_fails() -> None:
    def work() -> None:
        with defer_signals():
            interrupt(KeyboardInterrupt())
            raise DamagedBooksError("torn", "look")

    with pytest.raises(KeyboardInterrupt) as ended:
        work()
    assert isinstance(ended.value.__context__, DamagedBooksError)


def test_signal_is_raised_once_at_the_end_of_the_outermost_held_block() -> None:
    seen: list[str] = []

    def work() -> None:
        with defer_signals():
            with defer_signals():
                interrupt(KeyboardInterrupt())
            seen.append("inside")

    with pytest.raises(KeyboardInterrupt):
        work()
    with defer_signals():
        seen.append("again")
    assert seen == ["inside", "again"]


def test_signal_is_raised_at_once_outside_a_held_block() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt(KeyboardInterrupt())
