"""The schema of a type: whatever is printed of a value fits it, and what no document can hold has none."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import Struct

from commands.shared.schema import Definitions
from commands.shared.verb_options import jsonable
from tradebot.errors import ExitCode
from tradebot.model import decision

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12)
MOMENTS = st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


class Colour(StrEnum):
    """A choice."""

    RED = "red"
    GREEN = "green"


class Verdict(Struct, frozen=True):
    """A type that has the name of another one."""

    symbol: str


class Base(Struct, frozen=True):
    """What is inherited."""

    amount: Decimal


class Everything(Base, frozen=True):
    """A field of each kind,
    and itself."""

    at: datetime
    on: date
    when: datetime | date | None
    colour: Colour
    code: ExitCode
    share: float
    kinds: frozenset[str]
    pair: tuple[int, str]
    said: Literal["yes", "no"]
    counts: Mapping[Colour, int]
    inner: "tuple[Everything, ...]"


def everything(inner: st.SearchStrategy[tuple[Everything, ...]]) -> st.SearchStrategy[Everything]:
    return st.builds(
        Everything,
        amount=DECIMALS,
        at=MOMENTS,
        on=st.dates(),
        when=st.none() | MOMENTS | st.dates(),
        share=FLOATS,
        counts=st.dictionaries(st.sampled_from(Colour), st.integers()),
        inner=inner,
    )


def schema_of(kind: object) -> dict[str, object]:
    known = Definitions()
    return {**known.of(kind), "$defs": known.schemas}


@given(everything(st.just(()) | everything(st.just(())).map(lambda one: (one,))))
@settings(max_examples=25)
def test_whatever_is_printed_of_a_value_fits_the_schema_of_its_type(value: Everything) -> None:
    document = json.loads(json.dumps(jsonable(value)))
    assert list(Draft202012Validator(schema_of(Everything)).iter_errors(document)) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Decimal, "1e5"),
        (Decimal, 1.5),
        (datetime, "2026-11-16T14:30:00+00:00"),
        (date, "2026-11-16T00:00:00Z"),
        (bool, 1),
        (int, True),
        (tuple[int, str], [1, "a", "b"]),
        (tuple[int, str], [1]),
        (dict[Colour, int], {"blue": 1}),
        (int | None, "1"),
        (Literal["yes"], "no"),
    ],
)
def test_a_value_in_another_form_does_not_fit(kind: object, value: object) -> None:
    assert not Draft202012Validator(schema_of(kind)).is_valid(value)


def test_two_types_of_one_name_are_told_apart() -> None:
    known, other = Definitions(), Verdict
    first, second, again = (known.of(kind)["$ref"] for kind in (decision.Verdict, other, decision.Verdict))
    assert (first, second, again) == ("#/$defs/Verdict", f"#/$defs/{__name__}.Verdict", first)
    assert len(known.schemas) == 2


class Rare(Struct, frozen=True, omit_defaults=True):
    """A type that says nothing about most accounts."""

    symbol: str
    multiplier: Decimal = Decimal(1)
    fees: Mapping[str, Decimal] = {}


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (Rare("AAPL", Decimal("1.0")), {"symbol": "AAPL"}),
        (Rare("ES", Decimal(50), {"BTC": Decimal(1)}), {"symbol": "ES", "multiplier": "50", "fees": {"BTC": "1"}}),
    ],
)
def test_a_field_may_be_left_out_only_of_a_type_that_leaves_it_out(value: Rare, printed: object) -> None:
    assert jsonable(value) == printed
    assert Draft202012Validator(schema_of(Rare)).is_valid(printed)
    assert not Draft202012Validator(schema_of(Rare)).is_valid({"multiplier": "50"})
    without = {name: item for name, item in jsonable(Base(Decimal(1))).items() if name != "amount"}
    assert not Draft202012Validator(schema_of(Base)).is_valid(without)


@pytest.mark.parametrize("kind", [bytes, complex, Callable[[], int], list[bytes]])
def test_what_no_document_can_hold_has_no_schema(kind: object) -> None:
    with pytest.raises(TypeError, match="has no JSON form"):
        Definitions().of(kind)
