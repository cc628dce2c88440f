"""The store of approvals: one answer for what waits, and after damage nothing counts as approved."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.gates.test_approval import ASKED
from tests.kit.values import NOW
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state.approvals import KEPT, SqliteApprovals
from tradebot.adapters.state.state_folder import APPROVALS
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ApprovalAnswer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteApprovals]:
    made = SqliteApprovals(tmp_path, MemoryEvents(), NOW)
    yield made
    made.close()


def test_answer_is_there_for_the_next_process_and_counts_once(store: SqliteApprovals, tmp_path: Path) -> None:
    store.ask(ASKED)
    answered, news = store.answer(ASKED.id, ApprovalAnswer.YES, "ann", NOW)
    assert news
    store.close()
    store._database = SqliteApprovals.FILE.open(tmp_path / APPROVALS)
    assert (
        store.last("flow", "AAPL") == answered == replace(ASKED, answer=ApprovalAnswer.YES, answered_at=NOW, who="ann")
    )
    assert store.last("flow", "MSFT") is store.last("other", "AAPL") is None
    assert store.answer(ASKED.id, ApprovalAnswer.YES, "bob", NOW) == (answered, False)
    with pytest.raises(OperatorError, match="ann already said yes"):
        store.answer(ASKED.id, ApprovalAnswer.NO, "bob", NOW)


@pytest.mark.parametrize("answer", list(ApprovalAnswer))
def test_only_what_waits_takes_an_answer(store: SqliteApprovals, answer: ApprovalAnswer) -> None:
    store.ask(ASKED)
    with pytest.raises(OperatorError, match="expired"):
        store.answer(ASKED.id, answer, "ann", ASKED.expires_at)
    with pytest.raises(OperatorError, match="Nobody asks about aapl-zzzzz"):
        store.answer("aapl-zzzzz", answer, "ann", NOW)
    store.ask(replace(ASKED, id="aapl-newer"))
    with pytest.raises(OperatorError, match="asked again under another name"):
        store.answer(ASKED.id, answer, "ann", NOW)
    assert [one.answer for one in store.newest()] == [None, None]


def test_oldest_requests_are_deleted(store: SqliteApprovals) -> None:
    for number in range(KEPT + 2):
        store.ask(replace(ASKED, id=f"aapl-{number}", asked_at=NOW + timedelta(seconds=number)))
    kept = store.newest(10_000)
    assert (len(kept), kept[-1].id) == (KEPT, "aapl-2")


def test_damage_costs_every_yes(store: SqliteApprovals, tmp_path: Path) -> None:
    store.ask(ASKED)
    store.answer(ASKED.id, ApprovalAnswer.YES, "ann", NOW)
    store.close()
    (tmp_path / APPROVALS).write_bytes(b"nonsense" * 1000)
    events = MemoryEvents()
    again = SqliteApprovals(tmp_path, events, NOW)
    assert again.last("flow", "AAPL") is None
    assert [event.event_type for event in events.emitted] == ["begun_anew"]
    again.ask(ASKED)
    again._database.execute("UPDATE requests SET body = '{}'")
    with pytest.raises(TemporaryError, match="damaged"):
        again.last("flow", "AAPL")
    assert again.last("flow", "AAPL") is None
    again.close()
