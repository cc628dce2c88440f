"""What is left of a position goes back to its entry price and no further, once enough of it has been closed."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import held, instrument
from tradebot.exits.kind import Held, Input, Measure
from tradebot.exits.kinds.break_even import BreakEven
from tradebot.exits.lists import levels, parse
from tradebot.model.position import Kept
from tradebot.model.values import replace

D = Decimal
RULE = BreakEven(after_share=D("0.3"))
FEES = BreakEven(after_share=D("0.3"), keep_fraction=D("0.001"))


def left_of(original: int, quantity: int) -> Held:
    """Return what is left of a position that was opened at 100 with `original` shares."""
    return replace(held(str(quantity)), kept=Kept(original_quantity=D(original), instrument=instrument()))


def closes(rule: BreakEven, of: Held, price: str | Decimal) -> bool:
    answer = rule.measure(of, D(price))
    assert isinstance(answer, Measure)
    assert answer.shares is None, "it closes all that is left"
    return answer.closes


@pytest.mark.parametrize(
    ("rule", "quantity", "price", "closing"),
    [
        (RULE, 10, "90", False),
        (RULE, 8, "90", False),  # a fifth is closed, and three tenths are asked for
        (RULE, 7, "100.01", False),
        (RULE, 7, "100", True),
        (RULE, 1, "99", True),
        (FEES, 7, "100.11", False),
        (FEES, 7, "100.10", True),
        (FEES, 8, "100.10", False),
    ],
)
def test_it_closes_from_the_entry_on_once_enough_is_out(
    rule: BreakEven, quantity: int, price: str, closing: bool
) -> None:
    assert closes(rule, left_of(10, quantity), price) is closing
    assert closes(rule, left_of(10, -quantity), 200 - D(price)) is closing, "a short is its mirror"


@given(st.integers(1, 500), st.data(), st.decimals("0.01", "0.99", places=2), st.sampled_from([1, -1]))
def test_its_level_is_where_it_closes_and_rests_only_while_it_could(
    original: int, data: st.DataObject, share: Decimal, side: int
) -> None:
    quantity = data.draw(st.integers(1, original))
    rule, of = BreakEven(after_share=share), left_of(original, side * quantity)
    level = rule.level(of)
    assert level.armed is (original - quantity >= share * original)
    assert level.price == (D(100) if level.armed else None)
    assert closes(rule, of, D(100)) is level.armed


@given(st.integers(1, 500), st.data(), st.sampled_from([1, -1]))
def test_what_was_closed_at_a_loss_does_not_count(original: int, data: st.DataObject, side: int) -> None:
    quantity = data.draw(st.integers(1, original))
    of = left_of(original, side * quantity)
    lost = data.draw(st.integers(0, original - quantity))
    of = replace(of, position=replace(of.position, lost_quantity=D(lost)))
    assert RULE.level(of).armed is (original - quantity - lost >= D("0.3") * original)


def test_the_stop_that_rests_is_the_tighter_one() -> None:
    rules = parse([{"stop_loss": {"fraction": 0.05}}, {"break_even": {"after_share": 0.4, "keep_fraction": 0.001}}])
    assert [(levels(left_of(10, left), rules).stop, levels(left_of(10, left), rules).word) for left in (7, 6)] == [
        (D(95), "stop_loss"), (D("100.100"), "break_even")
    ]  # fmt: skip


def test_books_that_do_not_know_what_was_opened_close_nothing() -> None:
    of = left_of(9, 10)
    assert RULE.measure(of, D(90)) == Input.ORIGINAL_QUANTITY
    assert not RULE.level(of).armed


def test_one_that_keeps_more_than_the_target_does_not_load() -> None:
    listed = [{"break_even": {"after_share": 0.3, "keep_fraction": 0.02}}, {"profit_target": {"fraction": 0.02}}]
    with pytest.raises(ValueError, match="the target closes first, so break_even could never act"):
        parse(listed)
    assert len(parse([listed[0], {"profit_target": {"fraction": 0.03}}])) == 2
