"""Columns: what is read of many rows at once is what is read of each row."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from tests.kit.values import NOW, there
from tradebot.model.fact_kind import Columns, FactColumn, Row
from tradebot.signals import bulk_fields, fields
from tradebot.signals.bulk_fields import NotColumnarError

Read = tuple[Callable[[Columns, str], Any], Callable[[Row, str], object]]
READERS: Mapping[str, Read] = {
    "text": (bulk_fields.text, fields.text),
    "not_negative": (bulk_fields.not_negative, fields.not_negative),
    "positive": (bulk_fields.positive, fields.positive),
    "positive_float": (bulk_fields.positive_float, fields.positive_float),
    "count": (bulk_fields.count, fields.count),
    "right": (bulk_fields.right, fields.right),
    "day": (bulk_fields.day, fields.day),
    "past_time": (
        lambda found, name: bulk_fields.past_time(found, name, NOW),
        lambda row, name: fields.past_time(row, name, NOW),
    ),
}
PLAIN: Mapping[str, Sequence[object]] = {
    "text": ("RepeatedHits", "x" * 128, " a"),
    "not_negative": ("0", "0.00", "39039", "9039.5", ".5", "5."),
    "positive": ("1", "0.01", "123456789012345678", "0.0648348542491419"),
    "positive_float": ("0.0648348542491419", "1.5", "0.1"),
    "count": (0, 14_920, 10**18),
    "right": ("call", "put"),
    "day": ("2026-12-18", "2024-02-29"),
    "past_time": ("2026-11-16T14:58:58.393994Z", "2026-11-16 14:58:58+00:00", (NOW + timedelta(seconds=5)).isoformat()),
}
ODD: Sequence[object] = (
    *("", " ", ".", "1.2.3", "-1", "0", "1e3", "NaN", "1_000", " 7", "٣", "x" * 129, "9" * 19, "Call", "soon"),
    *("2026-11-16T14:58:58", "2026-11-16T09:58:58-05:00", "2099-01-01T00:00:00Z", "20261218", "0001-01-01T00:00+14:00"),
    *(True, False, -1, 0, 7, 10**18 + 1, 10**30, 20261218, 1794841138, 1.5, Decimal("1.5"), Decimal("NaN")),
    *([], {}, ("a",)),
)


def one_by_one(read: Callable[[Row, str], object], values: Sequence[object]) -> Sequence[object]:
    return [read({"field": value}, "field") for value in values]


def found(values: Sequence[object]) -> Columns:
    return there(bulk_fields.columns([{"field": value} for value in values]))


@pytest.mark.parametrize("name", READERS)
def test_values_read_at_once_equal_values_read_one_by_one(name: str) -> None:
    at_once, singly = READERS[name]
    every, read = (*PLAIN[name], *ODD), 0
    for values in (*((value,) for value in every), *product(every, repeat=2)):
        try:
            together = list(at_once(found(values), "field"))
        except NotColumnarError:
            continue
        assert repr(together) == repr(one_by_one(singly, values))
        read += 1
    assert read >= len(PLAIN[name]) + len(PLAIN[name]) ** 2


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("values", [[None], ["AAPL", None], [{}]])
def test_null_is_not_plain_in_a_required_field(name: str, values: list[object]) -> None:
    with pytest.raises(NotColumnarError):
        READERS[name][0](found(values), "field")
    with pytest.raises(NotColumnarError):
        READERS[name][0]({}, "field")


def test_flags_are_true_or_false_and_nothing_else() -> None:
    assert [*bulk_fields.boolean(found([True, False]), "field")] == [True, False]
    for values in ([1], [True, None], ["true"]):
        with pytest.raises(NotColumnarError):
            bulk_fields.boolean(found(values), "field")


def test_optional_field_is_absent_where_it_is_null_or_left_out() -> None:
    for values in (["1", None, "2.5"], [None, None], ["3"]):
        read = bulk_fields.optional(bulk_fields.positive, found(values), "field")
        expected = [None if value is None else Decimal(value) for value in values]
        assert [each for each, _ in zip(read, values, strict=False)] == expected
    absent = iter(bulk_fields.optional(bulk_fields.text, found(["a"]), "other", ""))
    assert [next(absent), next(absent)] == ["", ""]


def test_rows_without_the_same_fields_have_no_columns() -> None:
    one, both = {"a": 1}, {"a": 1, "b": 2}
    many: list[list[object]] = [[], [{}], ["row"], [one, "row"], [one, {"b": 1}], [one, both], [both, {"b": 2, "a": 1}]]
    assert [bulk_fields.columns(rows) for rows in many] == [None] * 7


def test_columns_hold_each_fields_values_and_types_in_the_order_of_the_rows() -> None:
    made = bulk_fields.columns([{"a": 1, "b": None}, {"a": "2", "b": None}, {"a": True, "b": None}])
    assert made == {
        "a": FactColumn((1, "2", True), frozenset({int, str, bool})),
        "b": FactColumn((None, None, None), frozenset({type(None)})),
    }
