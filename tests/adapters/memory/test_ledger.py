"""The ledger in memory answers as the one in a file does, whatever was written in whatever order."""

import copy
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.ledgers import Act, many_acts, read_all
from tests.kit.rows import ACCOUNT, NOW, make_fill, minutes
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory import ledger as memory_ledger
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.state import halt_switch
from tradebot.model.candidate import Side
from tradebot.model.position import OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals


def written(acts: list[Act]) -> MemoryLedger:
    ledger = MemoryLedger(ACCOUNT)
    ledger.open_books(Decimal(100_000), NOW)
    for act in acts:
        act(ledger)
    return ledger


@settings(max_examples=settings().max_examples // 3)
@given(many_acts())
def test_ledger_in_memory_answers_like_the_one_in_a_file(acts: list[Act]) -> None:
    memory = MemoryLedger(ACCOUNT)
    memory.open_books(Decimal(100_000), NOW)
    with TemporaryDirectory() as folder:
        file = SqliteLedger.create(Path(folder), ACCOUNT, NOW)
        halt_switch.arm(Path(folder), "init", NOW)
        with file.file.in_one_write():
            file.open_books(Decimal(100_000), NOW)
            for act in acts:
                assert act(memory) == act(file)
        assert read_all(memory) == read_all(file)
        file.close()


@settings(max_examples=settings().max_examples // 2)
@given(many_acts(), st.integers(0, 24))
def test_answers_after_a_write_do_not_depend_on_earlier_questions(acts: list[Act], middle: int) -> None:
    asked = written(acts[:middle])
    read_all(asked)
    for act in acts[middle:]:
        act(asked)
    assert read_all(asked) == read_all(written(acts))


@settings(max_examples=settings().max_examples // 5)
@given(many_acts(), many_acts())
def test_copied_ledger_and_its_original_change_independently(acts: list[Act], more: list[Act]) -> None:
    ledger = written(acts)
    before = read_all(ledger)
    one = copy.deepcopy(ledger)
    for act in more:
        act(one)
    assert read_all(one) == read_all(written([*acts, *more]))
    assert read_all(ledger) == before


@st.composite
def many_fills(draw: st.DrawFn) -> list[OwnedFill]:
    """Return fills of two symbols whose times mostly grow."""
    drawn = draw(
        st.lists(
            st.tuples(st.integers(-9, 3), st.booleans(), st.booleans(), st.integers(1, 5)), min_size=10, max_size=40
        )
    )
    made = []
    for number, (late, buys, other, shares) in enumerate(drawn):
        owned = make_fill(f"a{number}", minutes(number + min(late, 0)))
        side, symbol = (Side.BUY if buys else Side.SELL), ("MSFT" if other else "AAPL")
        fill = replace(owned.fill, side=side, symbol=symbol, quantity=Decimal(shares), price=Decimal(100 + number))
        made.append(replace(owned, fill=fill))
    return made


@given(many_fills(), st.integers(1, 5))
def test_running_totals_equal_those_of_all_fills(made: list[OwnedFill], every: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_ledger, "TOTALS_APART", 3)
        books = MemoryLedger(ACCOUNT)
        for number, owned in enumerate(made):
            books.apply_fills([owned], owned.fill.at)
            if number % every == 0:
                assert books.totals() == Totals.of(books.fills())
        assert books.totals() == Totals.of(books.fills())


def test_each_fill_is_added_at_most_twice_while_fills_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    added, after = list[OwnedFill](), Totals.after

    def counted(before: Totals, more: Sequence[OwnedFill]) -> Totals:
        added.extend(more)
        return after(before, more)

    monkeypatch.setattr(Totals, "after", counted)
    books = MemoryLedger(ACCOUNT)
    for number in range(1_200):
        books.apply_fills([make_fill(f"a{number}", minutes(number))], minutes(number))
        books.totals()
    assert len(added) < 2 * 1_200
    added.clear()
    books.apply_fills([make_fill("late", minutes(1_100))], minutes(1_200))
    assert (books.totals().count, len(added) < 2 * memory_ledger.TOTALS_APART + 2) == (1_201, True)
