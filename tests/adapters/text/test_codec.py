"""Round trips, canonical text, and clear errors."""

import json
import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.rows import NOW, PASSED, make_cycle, make_fill, make_order
from tests.kit.values import MONEY, TIMES
from tradebot.adapters.text.canonical import CodecError, decimal_text, json_text, parse_time, time_text
from tradebot.adapters.text.codec import decode, encode, pack, unpack
from tradebot.model.decision import Decision
from tradebot.model.flow import FlowAlert, Quota
from tradebot.model.intent import Intent
from tradebot.model.order import Fill, Order, Reply
from tradebot.model.position import OwnedFill
from tradebot.model.record import CandidateRecord, CycleRecord, ExitPrice
from tradebot.model.struct_tools import replace
from tradebot.signals.subjects.open_interest import GreekExposure, OiChange

KINDS = [
    *(Intent, Order, Fill, OwnedFill, Reply, Decision, FlowAlert),
    *(GreekExposure, OiChange, CandidateRecord, CycleRecord),
]


@settings(max_examples=settings().max_examples // 10)
@given(st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_every_word_survives_the_way_to_text_and_back(kind: type[Any], data: st.DataObject) -> None:
    value = data.draw(st.from_type(kind))
    assert decode(kind, json.loads(json_text(encode(value)))) == value
    assert unpack(kind, json.loads(json_text(pack(value)))) == value


def test_a_field_that_says_nothing_is_left_out_of_a_type_that_leaves_such_fields_out() -> None:
    owned = make_fill()
    assert "multiplier" not in encode(owned)["fill"]
    contract = replace(owned, fill=replace(owned.fill, multiplier=Decimal(50)))
    assert encode(contract)["fill"] == {**encode(owned)["fill"], "multiplier": "50"}
    assert decode(OwnedFill, encode(owned)) == owned
    # The default of a type that doesn't say so is written.
    assert encode(make_order())["parent"] is None


@given(MONEY)
def test_equal_numbers_have_one_text_and_keep_every_digit(value: Decimal) -> None:
    text = decimal_text(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert decimal_text(value * Decimal("1.000")) == text or len(value.as_tuple().digits) > 25


@pytest.mark.parametrize(
    ("value", "text"),
    [("1.500", "1.5"), ("1E+3", "1000"), ("-0.00", "0"), ("100", "100"), ("0.000000001", "0.000000001")],
)
def test_decimal_text_is_canonical(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1E+999999", "1E-999999"])
def test_decimal_text_refuses_numbers_that_are_not_finite(value: str) -> None:
    with pytest.raises(CodecError):
        decimal_text(Decimal(value))


@given(TIMES, TIMES)
def test_stored_times_sort_as_the_times_do(first: datetime, second: datetime) -> None:
    assert parse_time(time_text(first)) == first
    assert (time_text(first) < time_text(second)) == (first < second)


def test_a_time_is_stored_as_utc_and_must_carry_a_zone() -> None:
    new_york = timezone(timedelta(hours=-5))
    assert time_text(datetime(2026, 1, 5, 10, tzinfo=new_york)) == "2026-01-05T15:00:00.000000Z"
    with pytest.raises(CodecError):
        time_text(NOW.replace(tzinfo=None))
    with pytest.raises(CodecError):
        parse_time("2026-01-05T15:00:00")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(CodecError):
        encode(replace(PASSED, observed=value))
    with pytest.raises(CodecError):
        json_text({"score": value})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"quantity": None}, "Order.updated"),
        ({"venue_id": 5}, "Order.venue_id"),
        ({"filled_quantity": "many"}, "Order.filled_quantity"),
        ({"filled_quantity": "NaN"}, "Order.filled_quantity"),
        ({"filled_quantity": 1.5}, "Order.filled_quantity"),
        ({"side": "hold"}, "Order.side"),
        ({"updated_at": "yesterday"}, "Order.updated_at"),
        ({"surprise": 1}, "unknown fields ['surprise']"),
    ],
)
def test_text_that_does_not_fit_is_an_error_naming_the_place(change: dict[str, Any], named: str) -> None:
    body = encode(make_order()) | change
    if named == "Order.updated":
        del body["updated_at"]
        named = "missing fields ['updated_at']"
    with pytest.raises(CodecError) as caught:
        decode(Order, body)
    assert named in str(caught.value)


@pytest.mark.parametrize("body", [None, [], "x", 5, {}, [1, 2]])
def test_decode_refuses_values_of_the_wrong_shape(body: object) -> None:
    for read in (decode, unpack):
        with pytest.raises(CodecError):
            read(Decision, body)


def test_unknown_enum_values_decode_as_unknown() -> None:
    assert decode(Order, encode(make_order()) | {"status": "teleported"}).status == "unknown"


def test_pack_takes_half_the_size_of_encode() -> None:
    record = make_cycle("c").candidates[0]
    assert len(json_text(pack(record))) < 0.6 * len(json_text(encode(record)))


def test_decode_uses_the_default_of_a_missing_field() -> None:
    body = encode(make_order())
    del body["replaced_by"]
    assert decode(Order, body) == make_order()


def test_unpack_uses_the_default_of_a_missing_field() -> None:
    cycle = replace(make_cycle("c"), equity=Decimal(5), marks=(ExitPrice("AAPL", Decimal(7)),), quota=Quota(1, 2, None))
    packed = json.loads(json_text(pack(cycle)))
    assert unpack(CycleRecord, packed) == cycle
    before = CycleRecord.__struct_fields__.index("equity")
    assert unpack(CycleRecord, packed[:before]) == replace(cycle, equity=None, marks=(), quota=None)
    with pytest.raises(CodecError):
        unpack(CycleRecord, [*packed, None])
