"""The reason of a close is composed by one grammar, and read back as it was written."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.exits.why import Mark, Part, compose, measured, parse
from tradebot.model.reason_codes import Unit

words = st.text("abxyz", min_size=1, max_size=4)
names = st.lists(words, min_size=1, max_size=3).map("_".join)
symbols = st.sampled_from(["", "A", "XYZ", "BRK.B", "B2", "F.WS"])
amounts = st.decimals(-10_000, 10_000, places=2)
parts = st.one_of(
    st.builds(Part, names, st.none(), st.just(Mark.NONE), symbols),
    st.builds(Part, names, amounts, st.sampled_from(Mark), symbols),
)


@given(st.lists(parts, max_size=5))
def test_what_is_written_is_read_back(why: list[Part]) -> None:
    assert parse(compose(why)) == tuple(why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("time_exit(72h)", (Part("time_exit", Decimal(72), Mark.HOURS),)),
        ("profit_target(5%)", (Part("profit_target", Decimal(5), Mark.PERCENT),)),
        ("regime_neg_gamma", (Part("regime_neg_gamma"),)),
        ("displaced_by_BRK.B", (Part("displaced_by", symbol="BRK.B"),)),
        (
            "trail_stop(-1.2%)+signal_decay(0.65)",
            (Part("trail_stop", Decimal("-1.2"), Mark.PERCENT), Part("signal_decay", Decimal("0.65"))),
        ),
        ("unknown", ()),
    ],
)
def test_the_grammar_has_these_words(text: str, why: tuple[Part, ...]) -> None:
    assert (compose(why), parse(text)) == (text, why)


@pytest.mark.parametrize(
    "text", ["", "+", "flatten+", "Flatten", "stop loss", "stop_loss(", "stop_loss()", "x(1e3)", "x(1)y", "unknown+x"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no reason to close a position"):
        parse(text)


@pytest.mark.parametrize(("name", "mark"), [("Stop", Mark.NONE), ("unknown", Mark.NONE), ("stop", Mark.PERCENT)])
def test_a_part_that_could_not_be_read_back_is_not_made(name: str, mark: Mark) -> None:
    with pytest.raises(ValueError, match=r"is no reason|without an amount"):
        Part(name, None, mark)


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (Decimal("-0.0123"), Unit.SHARE_OF_WHOLE, "x(-1.2%)"),
        (Decimal("-0.0001"), Unit.SHARE_OF_WHOLE, "x(0%)"),
        (259_200.0, Unit.SECONDS, "x(72h)"),
        (5_400, Unit.SECONDS, "x(1.5h)"),
        (0.6512, Unit.NONE, "x(0.65)"),
        (None, Unit.SECONDS, "x"),
    ],
)
def test_an_amount_is_rounded_to_what_a_person_reads(amount: Decimal | float | None, unit: Unit, text: str) -> None:
    assert compose([measured("x", amount, unit)]) == text
