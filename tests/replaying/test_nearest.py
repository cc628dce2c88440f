"""The nearest value that helps is found wherever it is, with a guess or without, and one step nearer doesn't help."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.replaying.nearest import Change, Guess, Setting, Value, nearest
from tradebot.replaying.scale import Scale

FRACTION = Scale(whole=False, least=Decimal(0), most=Decimal(1), above=True)
SCORE = Setting(("min_score",), Decimal("0.2"), FRACTION)
guesses = st.one_of(st.none(), st.builds(Guess, st.decimals(0, 1, places=4), st.booleans()))


@given(st.decimals("0.0001", "0.9999", places=4), guesses)
def test_what_helps_beyond_a_number_is_found_at_the_first_step_beyond(needed: Decimal, guess: Guess | None) -> None:
    def holds(value: Value) -> bool:
        assert isinstance(value, Decimal)
        return value <= needed if needed < Decimal("0.2") else value >= needed > Decimal("0.2")

    change = nearest(SCORE, holds, guess)
    if needed == Decimal("0.2"):
        assert change is None
        return
    assert change is not None
    assert isinstance(change.nearer, Decimal)
    assert holds(change.value)
    assert not holds(change.nearer)
    steps = [FRACTION.at(FRACTION.next_to(Decimal(str(one)), way)) for one in (change.nearer,) for way in (1, -1)]
    assert change.value in steps


def test_a_good_guess_needs_two_questions() -> None:
    asked = list[Value]()

    def holds(value: Value) -> bool:
        asked.append(value)
        return isinstance(value, Decimal) and value <= Decimal("0.1981")

    score = Setting(("min_score",), Decimal("0.2"), FRACTION, toward=-1)
    change = nearest(score, holds, Guess(Decimal("0.1981"), likely=True))
    assert change == Change(score, Decimal("0.198"), Decimal("0.199"))
    assert len(asked) == 2


@pytest.mark.parametrize(("toward", "found"), [(1, "0.31"), (-1, "0.1"), (0, "0.31")])
def test_only_the_side_that_can_help_is_searched_and_of_both_the_nearer(toward: int, found: str) -> None:
    setting = Setting(("x",), Decimal("0.2"), FRACTION, toward=toward)
    change = nearest(
        setting, lambda value: isinstance(value, Decimal) and (value <= Decimal("0.1") or value >= Decimal("0.305"))
    )
    assert change is not None
    assert change.value == Decimal(found)


def test_a_limit_is_turned_off_only_if_no_number_helps() -> None:
    setting = Setting(("max_beta_fraction",), Decimal("0.5"), FRACTION, may_be_off=True)
    assert nearest(setting, lambda value: value is None) == Change(setting, None, Decimal(1))
    found = nearest(setting, lambda value: not isinstance(value, Decimal) or value >= Decimal("0.7"))
    assert found is not None
    assert found.value == Decimal("0.7")
    assert nearest(Setting(("x",), None, FRACTION, may_be_off=True), lambda value: True) is None


def test_a_switch_is_flipped() -> None:
    switch = Setting(("long_only",), value=True)
    assert nearest(switch, lambda value: value is False) == Change(switch, value=False, nearer=True)
    assert nearest(switch, lambda value: value is True) is None


def test_nothing_is_found_that_is_as_far_as_something_known() -> None:
    known = nearest(SCORE, lambda value: isinstance(value, Decimal) and value <= Decimal("0.1"))
    assert known is not None
    assert (
        nearest(SCORE, lambda value: isinstance(value, Decimal) and value <= Decimal("0.1"), within=known.size) is None
    )
    near = nearest(SCORE, lambda value: isinstance(value, Decimal) and value <= Decimal("0.101"), within=known.size)
    assert near is not None
