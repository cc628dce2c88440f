"""Every attribute of an exchange's state is in its snapshot or listed as derived."""

import types
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from exchange.tests.kit.app import World
from papervenue.engine.account import Account, Balances
from papervenue.engine.account_lists import History, OrderTable
from papervenue.engine.orders import Order, OrderRequest
from papervenue.snapshot.state import KEPT, RECORDS, WORKED_OUT, Packer, Past, field_names, holder

FROM_THE_BEGINNING = {
    "": {
        *("stored", "market", "clock", "engine", "control", "faults", "log", "past", "faces", "staff", "order_paths"),
        *("listeners", "moved", "status_parts", "_captured", "_names_file", "_take", "_commands", "_last_line_us"),
    },
    "engine": {
        *("market", "start_us", "model", "book", "agenda", "halted", "emit", "_identity"),
        *("_prices", "_priced_us", "shown_us", "costs", "rates", "dialect", "_grids"),
    },
    "engine.agenda": {"_deeds"},
    "engine.book": set[str](),
    "faults": {"book", "halts", "_engine", "_emit", "_carry_out"},
    "faults.book": {"_calendar", "_note", "_now_s", "_noted_s", "_owed"},
    "faults.halts": {"_book", "_engine"},
    "market": {
        *("calendar", "actions", "_source", "day", "extended", "_steps", "_splits", "_changes", "_stands"),
        *("past_minutes", "past_days", "grids", "calendars", "all_calendars"),
    },
    "market.actions": set[str](),
    "control": {"_current_state"},
}
"""What a part has otherwise than by commands: what it is made with, what it works out, what a server adds.

Where a snapshot is made nothing is owed, no line is waiting, and the last line was written at the time that it is.
"""


@pytest.mark.parametrize("path", FROM_THE_BEGINNING)
def test_every_attribute_is_in_the_snapshot_or_listed_as_derived(world: World, path: str) -> None:
    assert set(KEPT) <= set(FROM_THE_BEGINNING)
    kept = set(KEPT.get(path, ()))
    assert set(vars(holder(world.exchange, path))) == kept | FROM_THE_BEGINNING[path]
    assert not kept & FROM_THE_BEGINNING[path]


def other(value: Any, hint: Any) -> Any:
    """Return a value of a field's type that is not its default."""
    kinds = {
        str: "another",
        int: 4711,
        bool: not value,
        Decimal: Decimal("-12.3400"),
        OrderRequest: OrderRequest("AAPL", -1, "limit", "gtc", Decimal("1.50"), None, 12, stop=3),
    }
    found = next((kinds[kind] for kind in (hint, *get_args(hint)) if kind in kinds), None)
    return found if found is not None else value


def test_order_survives_the_codec_with_every_field() -> None:
    assert all(field.init for field in fields(Order))
    assert field_names(Order) == tuple(field.name for field in fields(Order))
    hints = get_type_hints(Order)
    parent, leg = order_of(1, {}, hints), order_of(2, {}, hints)
    own = {"parent": parent, "replacement": leg, "legs": [leg, parent]}
    order = order_of(3, own, hints)
    packer, past = Packer(), Past()
    past.read([packer.rows([order, parent, leg])])
    again = past.find(3)
    for field in fields(Order):
        before, after = getattr(order, field.name), getattr(again, field.name)
        if field.name in own:
            assert numbers(after) == numbers(before) != numbers(None), field.name
        else:
            assert (type(after), repr(after)) == (type(before), repr(before)), field.name
            assert repr(after) != repr(field.default), field.name
    assert again.legs[0] is past.find(2)


def numbers(value: Any) -> list[int]:
    return [] if value is None else [one.sequence for one in (value if isinstance(value, list) else [value])]


def order_of(sequence: int, own: dict[str, Any], hints: dict[str, Any]) -> Order:
    """Return an order none of whose fields is what it begins with."""
    values = {field.name: other(field.default, hints[field.name]) for field in fields(Order)}
    return Order(**values | {"sequence": sequence, "parent": None, "replacement": None, "legs": []} | own)


def parts(hint: Any) -> set[type]:
    """Return the classes that a type is made of."""
    if isinstance(hint, types.UnionType) or get_origin(hint) is not None:
        inner = {part for argument in get_args(hint) for part in parts(argument)}
        return inner | ({get_origin(hint)} if isinstance(get_origin(hint), type) else set())
    return {hint} if isinstance(hint, type) else set()


@pytest.mark.parametrize("record", [*RECORDS, Order], ids=lambda record: record.__name__)
def test_records_hold_only_types_that_the_codec_writes(record: type) -> None:
    assert is_dataclass(record) or issubclass(record, tuple)
    own = {part for hint in get_type_hints(record).values() for part in parts(hint)}
    ours = {part for part in own if part.__module__.startswith("papervenue.")}
    assert ours <= {*RECORDS, Order, OrderTable, History}


def test_codec_leaves_out_only_an_account_s_cached_valuations() -> None:
    assert set(WORKED_OUT) == {Account}
    names = {field.name for field in fields(Account)}
    assert WORKED_OUT[Account] < names
    assert set(field_names(Account)) == names - WORKED_OUT[Account]
    account = Account("1", "main", "key", "secret", 0, Decimal(100))
    account.closing = Balances(Decimal(1), Decimal(2), Decimal(3))
    again = Past().unpacker.unpack(Packer().pack(account))
    assert again.closing == account.closing
    assert {name: getattr(again, name) for name in WORKED_OUT[Account]} == {
        name: getattr(Account("1", "main", "key", "secret", 0, Decimal(100)), name) for name in WORKED_OUT[Account]
    }


@pytest.mark.parametrize(
    "value",
    [
        *(
            Decimal(text)
            for text in ("0", "-0", "0.10", "1E+3", "1e-9", "Infinity", "123456789012345678901234567890.12")
        ),
        *({"a": [1, (2, "x")], ("AAPL", -1): None}, {"x", "y"}, frozenset({"z"}), (1, (2,)), 2**63, "\ud800"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_survives_the_codec(value: object) -> None:
    again = Past().unpacker.unpack(Packer().pack(value))
    assert (type(again), repr(again)) == (type(value), repr(value)) or again == value


def test_codec_refuses_an_unknown_type() -> None:
    with pytest.raises(TypeError, match="a snapshot cannot hold a object"):
        Packer().pack({"x": object()})
