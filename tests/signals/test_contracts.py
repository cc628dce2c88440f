"""The rows of a reply against the fields that their source documents: every difference is found, none is made up."""

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.values import NOW
from tradebot.model.fact_kind import Breach, CheckedReply, ContractFinding, NullCounts
from tradebot.signals.bulk_fields import columns
from tradebot.signals.contracts import LONGEST_EXAMPLE, check, drifts, harmful_drifts, more_nulls

FIELDS = {
    "id": "text",
    "price": "decimal",
    "size": "integer",
    "share": "number?",
    "sweep": "boolean",
    "tags": "list*",
    "parts": "object?*",
}
GOOD: dict[str, object] = {"id": "a", "price": "1.5", "size": 3, "share": 0.5, "sweep": True}
OPTIONAL: dict[str, object] = {"share": None, "tags": ["x"], "parts": None}
OTHER_TYPES: dict[str, object] = {
    "id": 7,
    "price": 1.5,
    "size": "3",
    "share": "0.5",
    "sweep": 1,
    "tags": "x",
    "parts": [],
}


def found(*rows: object) -> set[tuple[Breach, str, int]]:
    return {(each.breach, each.field, each.rows) for each in check(FIELDS, rows).findings}


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in GOOD.items() if key != name}


def test_rows_as_documented_have_no_finding_and_a_new_field_or_a_row_that_is_no_object_is_found() -> None:
    assert not check(FIELDS, [GOOD, GOOD | OPTIONAL, GOOD | {"share": Decimal("0.5"), "parts": {}}]).findings
    assert check({}, [GOOD, 3]).findings == ()
    assert found(GOOD | {"mood": "good"}) == {(Breach.NEW, "mood", 1)}
    assert not Breach.NEW.harms
    assert found(GOOD, "what", None, []) == {(Breach.RETYPED, "", 3)}
    assert check(FIELDS, [GOOD, GOOD | OPTIONAL, GOOD | {"share": None}]).nulls == {"share": 2, "parts": 1}


@pytest.mark.parametrize("name", GOOD)
def test_missing_field_is_found(name: str) -> None:
    assert found(GOOD, without(name), without(name)) == {(Breach.GONE, name, 2)}


@pytest.mark.parametrize("name", OTHER_TYPES)
def test_value_of_another_type_is_found(name: str) -> None:
    assert found(GOOD, GOOD | {name: OTHER_TYPES[name]}) == {(Breach.RETYPED, name, 1)}


@pytest.mark.parametrize(("name", "may"), [("id", False), ("share", True), ("tags", False), ("parts", True)])
def test_null_is_found_in_a_field_that_must_have_a_value(name: str, may: bool) -> None:
    assert found(GOOD | {name: None}) == (set() if may else {(Breach.NULL, name, 1)})


def test_finding_shows_the_value_and_what_was_expected() -> None:
    (finding,) = check(FIELDS, [GOOD | {"price": 12.5}]).findings
    assert finding.example == "12.5 instead of a number in quotes"
    (finding,) = check(FIELDS, [GOOD | {"price": Decimal("12.50")}]).findings
    assert finding.example == "12.5 instead of a number in quotes"
    (finding,) = check(FIELDS, [without("id") | {"tags": ["x" * 999]}]).findings
    assert len(finding.example) == LONGEST_EXAMPLE
    assert finding.example.startswith('{"')
    assert finding.example.endswith("x…")


ANY = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.integers()))
ROWS = st.lists(st.one_of(st.dictionaries(st.sampled_from([*FIELDS, "other"]), ANY), ANY), max_size=12)


@settings(max_examples=60)
@given(rows=ROWS, chance=st.randoms(use_true_random=False))
def test_each_row_is_judged_by_itself(rows: list[object], chance: random.Random) -> None:
    alone: dict[tuple[Breach, str], int] = {}
    for row in rows:
        for finding in check(FIELDS, [row]).findings:
            key = finding.breach, finding.field
            alone[key] = alone.get(key, 0) + finding.rows
    shuffled = chance.sample(rows, len(rows))
    for order in (rows, shuffled):
        assert {(each.breach, each.field): each.rows for each in check(FIELDS, order).findings} == alone


ALL = GOOD | {"tags": ["x"], "parts": {}}
CHANGED = [
    *({key: value for key, value in ALL.items() if key != name} for name in ALL),
    *(ALL | {name: value} for name in ALL for value in (None, OTHER_TYPES[name])),
    ALL | {"mood": "good"},
    ALL | {"mood": None},
    {},
]


@pytest.mark.parametrize("changed", CHANGED)
def test_columns_show_what_the_rows_show(changed: dict[str, object]) -> None:
    for rows in ([changed, changed], [ALL, changed], [changed, ALL]):
        assert check(FIELDS, rows, (), columns(rows)) == check(FIELDS, rows)


@pytest.mark.parametrize("row", [GOOD, GOOD | OPTIONAL])
def test_rows_as_documented_are_not_looked_at_one_by_one(row: dict[str, object]) -> None:
    nulls = {name: 2 for name, value in row.items() if value is None}
    assert check(FIELDS, ["not looked at"], (), columns([row, row])) == ((), nulls)


def reply(symbol: str, rows: int, *findings: ContractFinding, kind: str = "dark_pool") -> CheckedReply:
    return CheckedReply(kind, symbol, NOW, rows, findings)


GONE = ContractFinding(Breach.GONE, "price", 30, "{'size': 3}")
NEW = ContractFinding(Breach.NEW, "mood", 100, "'good'")


def test_drift_is_measured_over_the_replies_about_all_symbols() -> None:
    first, second = drifts([reply("AAPL", 40, GONE, NEW), reply("MSFT", 160, NEW)])
    assert (first.breach, first.field, first.rows, first.of, first.share) == (
        Breach.GONE, "price", 30, 200, Decimal("0.15"),
    )  # fmt: skip
    assert str(first) == "dark_pool: the field price is gone in 30 of 200 rows"
    assert (second.breach, second.rows, second.of) == (Breach.NEW, 200, 200)


def test_harmful_difference_in_too_many_rows_breaks_the_contract() -> None:
    seen = drifts([reply("AAPL", 100, GONE, NEW)])
    assert [drift.field for drift in harmful_drifts(seen, Decimal("0.29"))] == ["price"]
    assert harmful_drifts(seen, Decimal("0.30")) == ()


@pytest.mark.parametrize(
    ("rows", "nulls", "usual_rows", "usual", "expected"),
    [(200, 110, 1000, 290, True), (200, 110, 1000, 310, False), (99, 99, 1000, 0, False), (200, 200, 99, 0, False)],
)
def test_far_more_nulls_than_usual_are_seen(rows: int, nulls: int, usual_rows: int, usual: int, expected: bool) -> None:
    counts = NullCounts(rows, {"sector": nulls}), NullCounts(usual_rows, {"sector": usual})
    found = more_nulls("dark_pool", *counts)
    assert [(drift.field, drift.rows, drift.of) for drift in found] == ([("sector", nulls, rows)] if expected else [])
