"""Promotions: appended, journaled before they hold, and read in the order in which they were made."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.ledgers import edit
from tests.kit.rows import ACCOUNT, NOW, minutes
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import JOURNAL
from tradebot.errors import DamagedBooksError
from tradebot.model.promotion import Interval, Promotion, Rung
from tradebot.model.values import replace

PAPER = Promotion("flow", Rung.PAPER, "abc", "ann/1", NOW, Interval(0.0001, 0.001, 120, 0.005), {"sessions": 120.0})
OVERRIDDEN = Promotion("flow", Rung.LIVE, "abc", "ann/1", minutes(1), sentence="flow trades, and I know it")


def test_each_promotion_is_read_again_as_it_was_and_the_journal_has_it(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        assert books.promotions.every() == ()
        for promotion in (PAPER, OVERRIDDEN):
            books.promotions.append(promotion)
            assert books.file.sealed() == books.file.check_journal(), "the journal was synced before the commit"
        assert books.promotions.every() == (PAPER, OVERRIDDEN)
        assert [record.kind for record in journal.records(tmp_path / JOURNAL)] == ["created", "promoted", "promoted"]
        books.file.check_whole()


def test_last_promotion_stays_the_last_when_the_clock_was_set_back(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.promotions.append(OVERRIDDEN)
        books.promotions.append(replace(PAPER, at=minutes(-60)))
        assert books.promotions.every() == (OVERRIDDEN, replace(PAPER, at=minutes(1)))


def test_promotion_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.promotions.append(PAPER)
    edit(tmp_path / "ledger.db", """UPDATE promotions SET body = replace(body, '"paper"', '"heaven"')""")
    with (
        closing(SqliteLedger.open(tmp_path, ACCOUNT)) as books,
        pytest.raises(DamagedBooksError, match="heaven"),
    ):
        books.promotions.every()
