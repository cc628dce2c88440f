"""What gates declare is whole: each is declared once, and one that compares with a limit says so."""

from typing import Any

import pytest

from tests.kit.values import ask
from tradebot.gates.ask import ACCOUNT, CANDIDATE, STRATEGY
from tradebot.gates.evaluation import READS
from tradebot.gates.gate_declarations import OWN_GATES, SIZED, GateScope, declare
from tradebot.model.decision import Gate
from tradebot.model.limits import Limits
from tradebot.model.struct_tools import replace
from tradebot.strategies.settings import ExecutionSettings


class Spied:
    """Limits that note which of them are read."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.read = set[str]()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self._limits, name)


SCOPES: tuple[GateScope[Any], ...] = (ACCOUNT, STRATEGY, CANDIDATE)
ASKED = [(gate, scope, question) for scope in SCOPES for gate, question in scope.questions]


@pytest.mark.parametrize(("gate", "scope", "question"), ASKED, ids=lambda part: part if isinstance(part, str) else "")
def test_gate_reads_only_limits_that_it_declares(gate: Gate, scope: GateScope[Any], question: Any) -> None:
    whole = ask()
    of_account: Any = Spied(whole.account.limits)
    own: Any = Spied(whole.limits)
    account: Any = replace(whole.account, limits=of_account)
    strategy: Any = replace(whole.strategy, account=account, limits=own)
    asked: Any = replace(whole, strategy=strategy)
    question(account if scope is ACCOUNT else strategy if scope is STRATEGY else asked)
    reads = READS[gate]
    assert own.read <= {*reads.own, *(SIZED.own if reads.sized else ())}
    # What is in force for a strategy follows from the account's limit too.
    assert of_account.read <= {*reads.account, *reads.own}
    assert own.read | of_account.read or gate not in {Gate.SCORE, Gate.SPREAD, Gate.OPEN_POSITIONS, Gate.COOLDOWN}


def test_every_gate_is_declared_and_names_settings_that_there_are() -> None:
    assert set(READS) == set(Gate)
    named = {name for reads in READS.values() for name in (*reads.account, *reads.own)}
    assert named <= set(Limits.model_fields)
    assert {name for reads in READS.values() for name in reads.execution} <= set(ExecutionSettings.model_fields)
    read = named | set(SIZED.own)
    unread = {
        "price_jump_fraction",
        "max_decision_s",
        "max_decision_ms",
        "max_sending_ms",
        "entry_life_s",
        "exit_life_s",
    }
    shocks = {"max_minute_move_fraction", "max_minute_range_fraction", "max_shocked_symbols"}
    assert set(Limits.model_fields) - read == unread | shocks


def test_a_strategys_gate_reads_what_the_accounts_gate_does() -> None:
    for gate, own in OWN_GATES.items():
        assert READS[own].own == READS[gate].account


def test_a_gate_is_declared_once() -> None:
    with pytest.raises(AssertionError, match="the gate score is declared twice"):
        declare(Gate.SCORE)
