"""The ledger in memory answers as the one in a file does, whatever was written in whatever order."""

import copy
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters.memory.acts import Act, many_acts, read_all
from tests.adapters.samples import ACCOUNT, NOW
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.state import switch


def written(acts: list[Act]) -> MemoryLedger:
    ledger = MemoryLedger(ACCOUNT)
    ledger.open_books(Decimal(100_000), NOW)
    for act in acts:
        act(ledger)
    return ledger


@settings(max_examples=settings().max_examples // 3)
@given(many_acts())
def test_both_ledgers_answer_alike_whatever_was_written(acts: list[Act]) -> None:
    memory = MemoryLedger(ACCOUNT)
    memory.open_books(Decimal(100_000), NOW)
    with TemporaryDirectory() as folder:
        file = SqliteLedger.create(Path(folder), ACCOUNT, NOW)
        switch.arm(Path(folder), "init", NOW)
        with file.file.in_one_write():
            file.open_books(Decimal(100_000), NOW)
            for act in acts:
                assert act(memory) == act(file)
        assert read_all(memory) == read_all(file)
        file.close()


@settings(max_examples=settings().max_examples // 2)
@given(many_acts(), st.integers(0, 24))
def test_what_was_asked_before_a_write_changes_no_answer_after_it(acts: list[Act], middle: int) -> None:
    asked = written(acts[:middle])
    read_all(asked)
    for act in acts[middle:]:
        act(asked)
    assert read_all(asked) == read_all(written(acts))


@settings(max_examples=settings().max_examples // 5)
@given(many_acts(), many_acts())
def test_a_copy_goes_on_by_itself(acts: list[Act], more: list[Act]) -> None:
    ledger = written(acts)
    before = read_all(ledger)
    one = copy.deepcopy(ledger)
    for act in more:
        act(one)
    assert read_all(one) == read_all(written([*acts, *more]))
    assert read_all(ledger) == before
