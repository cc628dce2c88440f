"""The contract of the flow source, as the gates judge it."""

from decimal import Decimal

from tests.builders import ask, desk, fetched_facts
from tradebot.gates.decide import decide
from tradebot.gates.entry import Ask
from tradebot.model.contract import Breach, Drift
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason


def contract(asked: Ask) -> Decision:
    return next(decision for decision in decide(asked) if decision.gate is Gate.FLOW_CONTRACT)


def with_drift(rows: int, strategy: str = "flow") -> Ask:
    drift = Drift("insider", Breach.GONE, "purchases", rows, 100, "{}")
    return ask(desk=desk({"AAPL": fetched_facts("AAPL")}, core_drifts={strategy: drift}))


def test_a_broken_contract_of_a_core_signal_closes_entries_by_name() -> None:
    decision = contract(with_drift(21))
    assert (decision.verdict, decision.reason, decision.limit) == (
        Verdict.FAIL, Reason.CORE_CONTRACT_BROKEN, Decimal("0.20"),
    )  # fmt: skip
    assert decision.observed == "insider: the field purchases is gone in 21 of 100 rows"


def test_a_difference_within_the_limit_closes_nothing() -> None:
    assert contract(with_drift(20)).passed


def test_another_strategys_signals_close_nothing() -> None:
    assert contract(with_drift(100, "others")).passed
