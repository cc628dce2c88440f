"""Accepted configurations: appended, journaled before they hold, the last one in force."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.rows import ACCOUNT, NOW, minutes
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import JOURNAL
from tradebot.errors import OperatorError
from tradebot.model.trading import Baseline
from tradebot.model.values import replace

BASELINE = Baseline({"shadow": False, "universe": ["AAPL"], "limits": {"min_score": 0.2}}, "ann/1", NOW)


def test_last_accepted_configuration_counts_and_the_journal_has_each_of_them(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        assert books.baselines.last() is None
        later = replace(BASELINE, values={"shadow": True}, at=minutes(1))
        for baseline in (BASELINE, later):
            books.baselines.approve(baseline)
            assert books.baselines.last() == baseline
            assert books.file.sealed() == books.file.check_journal(), "the journal was synced before the commit"
        kinds = [record.kind for record in journal.records(tmp_path / JOURNAL)]
        assert kinds == ["created", "approved", "approved"]
        books.file.check_whole()
    assert BASELINE.fingerprint != later.fingerprint


def test_newest_configuration_stays_the_last_when_the_clock_was_set_back(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.baselines.approve(BASELINE)
        books.baselines.approve(replace(BASELINE, values={"shadow": True}, at=minutes(-60)))
        found = books.baselines.last()
    assert found is not None
    assert (found.values, found.at) == ({"shadow": True}, NOW)


def test_configuration_too_large_for_a_record_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        with pytest.raises(OperatorError, match="more than the 240000"):
            books.baselines.approve(replace(BASELINE, values={"universe": ["AAPL"] * 40_000}))
        assert books.baselines.last() is None
        books.file.check_whole()
