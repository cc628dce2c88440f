"""The reason of a close is composed by one grammar, and read back as it was written."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.exits.exit_reasons import AmountUnit, ReasonPart, amount_part, compose, parse
from tradebot.model.reason_codes import Unit

words = st.text("abxyz", min_size=1, max_size=4)
names = st.lists(words, min_size=1, max_size=3).map("_".join)
symbols = st.sampled_from(["", "A", "XYZ", "BRK.B", "B2", "F.WS"])
amounts = st.decimals(-10_000, 10_000, places=2)
parts = st.one_of(
    st.builds(ReasonPart, names, st.none(), st.just(AmountUnit.NONE), symbols),
    st.builds(ReasonPart, names, amounts, st.sampled_from(AmountUnit), symbols),
)


@given(st.lists(parts, max_size=5))
def test_what_is_written_is_read_back(why: list[ReasonPart]) -> None:
    assert parse(compose(why)) == tuple(why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("time_exit(72h)", (ReasonPart("time_exit", Decimal(72), AmountUnit.HOURS),)),
        ("profit_target(5%)", (ReasonPart("profit_target", Decimal(5), AmountUnit.PERCENT),)),
        ("regime_neg_gamma", (ReasonPart("regime_neg_gamma"),)),
        ("displaced_by_BRK.B", (ReasonPart("displaced_by", symbol="BRK.B"),)),
        ("rise+signal_decay(0.65)", (ReasonPart("rise"), ReasonPart("signal_decay", Decimal("0.65")))),
        ("trail_stop(-1.2%)", (ReasonPart("trail_stop", Decimal("-1.2"), AmountUnit.PERCENT),)),
        ("unknown", ()),
    ],
)
def test_the_grammar_has_these_words(text: str, why: tuple[ReasonPart, ...]) -> None:
    assert (compose(why), parse(text)) == (text, why)


@pytest.mark.parametrize(
    "text", ["", "+", "flatten+", "Flatten", "stop loss", "stop_loss(", "stop_loss()", "x(1e3)", "x(1)y", "unknown+x"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="isn't a valid reason to close a position"):
        parse(text)


@pytest.mark.parametrize(
    ("name", "mark"), [("Stop", AmountUnit.NONE), ("unknown", AmountUnit.NONE), ("stop", AmountUnit.PERCENT)]
)
def test_a_part_that_could_not_be_read_back_is_not_made(name: str, mark: AmountUnit) -> None:
    with pytest.raises(ValueError, match=r"isn't a valid reason|without an amount"):
        ReasonPart(name, None, mark)


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
    assert compose([amount_part("x", amount, unit)]) == text
