"""The store of approvals: one answer for what waits, and after damage nothing counts as approved.

Plans on disk: what is read is what was written, or an error that says what to do.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gates.test_approval import ASKED
from tests.kit.values import NOW
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state import approvals
from tradebot.adapters.state.approvals import KEPT, SqliteApprovals
from tradebot.adapters.state.state_folder import APPROVALS, StateFolder
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.finding import AdjustmentPlan, Finding, FindingKind
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
    with pytest.raises(OperatorError, match="There is no request aapl-zzzzz"):
        store.answer("aapl-zzzzz", answer, "ann", NOW)
    store.ask(replace(ASKED, id="aapl-newer"))
    with pytest.raises(OperatorError, match="requested again under another name"):
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


AMOUNTS = st.none() | st.decimals(-(10**9), 10**9, places=4).map(lambda amount: amount.normalize() + 0)
FINDINGS = st.builds(Finding, st.sampled_from(FindingKind), st.text(min_size=1, max_size=48), AMOUNTS, AMOUNTS)


def folder_of(path: Path, number: str = "PA0000001234") -> StateFolder:
    return StateFolder(path, "id", "user", "paper", number, datetime(2026, 11, 16, tzinfo=UTC))


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return folder_of(tmp_path)


@given(findings=st.lists(FINDINGS, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_plan_is_read_unchanged_by_id_and_by_file(folder: StateFolder, findings: list[Finding]) -> None:
    plan = AdjustmentPlan("plan-1a2b3c4d", "0123456789ab", tuple(findings))
    path = approvals.write(folder, plan, max_count=3)
    assert approvals.read(folder, plan.id) == approvals.read(folder, str(path)) == plan


def test_a_plan_of_another_account_is_refused(folder: StateFolder) -> None:
    finding = Finding(FindingKind.PHANTOM, "AAPL", Decimal(5), Decimal(0))
    path = approvals.write(folder, AdjustmentPlan("plan-1a2b3c4d", "0123456789ab", (finding,)), max_count=3)
    with pytest.raises(OperatorError, match=r"an account other than …9999"):
        approvals.read(folder_of(folder.path, "PA0000009999"), str(path))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": "tradebot.plan/1", "account": "PA0000001234"}', "\x00"]
)
def test_read_refuses_what_is_no_plan_with_the_next_command(folder: StateFolder, text: str) -> None:
    (folder.path / "odd.json").write_text(text)
    with pytest.raises(OperatorError) as refused:
        approvals.read(folder, str(folder.path / "odd.json"))
    assert refused.value.hint.startswith("tradebot reconcile")


@pytest.mark.parametrize("name", ["none", "../../etc/passwd", "plan.json", "/"])
def test_read_refuses_a_missing_plan(folder: StateFolder, name: str) -> None:
    with pytest.raises(OperatorError):
        approvals.read(folder, name)


def test_only_the_newest_plans_are_kept(folder: StateFolder) -> None:
    written = [
        approvals.write(folder, AdjustmentPlan(f"plan-{number:08x}", "0123456789ab", ()), max_count=3)
        for number in range(7)
    ]
    other = folder.plans / "notes.json"
    other.write_text("")
    last = approvals.write(folder, AdjustmentPlan("plan-ffffffff", "0123456789ab", ()), max_count=3)
    assert sorted(folder.plans.iterdir()) == sorted([*written[-2:], last, other])
