"""Armings of real money: appended, journaled before they hold, the last one in force."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.kit.rows import ACCOUNT, DAY, NOW
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import JOURNAL
from tradebot.model.trading import Arming
from tradebot.model.values import replace

ARMING = Arming(2, DAY, DAY + timedelta(days=1), NOW + timedelta(days=1, hours=3), "ann/1", NOW)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    books = SqliteLedger.create(tmp_path, ACCOUNT, NOW)
    yield books
    books.close()


def test_live_trading_is_not_armed_in_new_books(ledger: SqliteLedger) -> None:
    assert ledger.armings.last() is None


def test_last_arming_counts_and_the_journal_has_each_of_them(ledger: SqliteLedger, tmp_path: Path) -> None:
    later = replace(ARMING, sessions=1, last=DAY, until=NOW + timedelta(hours=3), at=NOW + timedelta(minutes=1))
    ledger.armings.append(ARMING)
    assert ledger.armings.last() == ARMING
    ledger.armings.append(later)
    assert ledger.armings.last() == later
    kinds = [record.kind for record in journal.records(tmp_path / JOURNAL)]
    assert kinds.count("live_armed") == 2
    ledger.file.check_whole()


def test_arming_is_read_by_a_later_process_that_cannot_write(ledger: SqliteLedger, tmp_path: Path) -> None:
    ledger.armings.append(ARMING)
    reader = SqliteLedger.open(tmp_path, ACCOUNT, read_only=True)
    assert reader.armings.last() == ARMING
    reader.close()
