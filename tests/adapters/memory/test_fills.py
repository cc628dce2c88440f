"""What fills add up to is folded as they come, and is right even if some come late."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adapters.samples import make_fill, minutes
from tradebot.adapters.memory import fills
from tradebot.adapters.memory.fills import Fills
from tradebot.model.candidate import Side
from tradebot.model.position import OwnedFill
from tradebot.model.totals import Totals


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
def test_the_running_totals_are_those_of_all_fills_at_every_moment(made: list[OwnedFill], every: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fills, "LEFT_OUT", 3)
        books = Fills()
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
    books = Fills()
    for number in range(1_200):
        books.apply_fills([make_fill(f"a{number}", minutes(number))], minutes(number))
        books.totals()
    assert len(added) < 2 * 1_200
    # One that is a little late goes back to the checkpoint, not to the start.
    added.clear()
    books.apply_fills([make_fill("late", minutes(1_100))], minutes(1_200))
    assert (books.totals().count, len(added) < 2 * fills.LEFT_OUT + 2) == (1_201, True)
