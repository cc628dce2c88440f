"""The one table of what gates read is whole: a gate that compares with a limit says so."""

from typing import Any

import pytest

from tests.kit.values import ask
from tradebot.gates import entry
from tradebot.gates.book import OWN_GATES
from tradebot.gates.reads import READS, SIZED
from tradebot.model.decision import Gate
from tradebot.model.limits import Limits
from tradebot.model.values import replace
from tradebot.strategies.settings import ExecutionSettings


class Spied:
    """Limits that note which of them are read."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.read = set[str]()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self._limits, name)


ASKED = {**entry._OF_ACCOUNT, **entry._OF_STRATEGY, **entry._OF_CANDIDATE}


@pytest.mark.parametrize("gate", ASKED, ids=str)
def test_gate_reads_only_limits_that_the_table_names(gate: Gate) -> None:
    whole = ask()
    of_account: Any = Spied(whole.account.limits)
    own: Any = Spied(whole.limits)
    account: Any = replace(whole.account, limits=of_account)
    strategy: Any = replace(whole.strategy, account=account, limits=own)
    asked: Any = replace(whole, strategy=strategy)
    given = account if gate in entry._OF_ACCOUNT else strategy if gate in entry._OF_STRATEGY else asked
    question: Any = ASKED[gate]
    question(given)
    reads = READS[gate]
    assert own.read <= {*reads.own, *(SIZED.own if reads.sized else ())}
    # What is in force for a strategy follows from the account's limit too.
    assert of_account.read <= {*reads.account, *reads.own}
    assert own.read | of_account.read or gate not in {Gate.SCORE, Gate.SPREAD, Gate.OPEN_POSITIONS, Gate.COOLDOWN}


def test_every_gate_stands_in_the_table_and_names_settings_that_there_are() -> None:
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
