"""Plans on disk: what is read is what was written, or an error that says what to do."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradebot.adapters.state import approvals
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.errors import OperatorError
from tradebot.model.finding import AdjustmentPlan, Finding, FindingKind

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
    path = approvals.write(folder, plan, kept=3)
    assert approvals.read(folder, plan.id) == approvals.read(folder, str(path)) == plan


def test_a_plan_of_another_account_is_refused(folder: StateFolder) -> None:
    finding = Finding(FindingKind.PHANTOM, "AAPL", Decimal(5), Decimal(0))
    path = approvals.write(folder, AdjustmentPlan("plan-1a2b3c4d", "0123456789ab", (finding,)), kept=3)
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
        approvals.write(folder, AdjustmentPlan(f"plan-{number:08x}", "0123456789ab", ()), kept=3) for number in range(7)
    ]
    other = folder.plans / "notes.json"
    other.write_text("")
    last = approvals.write(folder, AdjustmentPlan("plan-ffffffff", "0123456789ab", ()), kept=3)
    assert sorted(folder.plans.iterdir()) == sorted([*written[-2:], last, other])
