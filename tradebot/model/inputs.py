"""The inputs of a score's components, for people who ask how a score came about."""

from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct


class Input(Struct, frozen=True):
    """One input number, in `unit`; `at` is its own time or trading date, or None if it has neither.

    The `name` of an input of a formula is an identifier, such as net_usd. `row` is the id of the stored row that it was
    read from, if it was read from a single one.
    """

    name: str
    value: Decimal | float | int
    unit: str
    at: datetime | date | None = None
    row: str = ""


class ComponentInputs(Struct, frozen=True):
    """A component's formula (over the names of its inputs) and those inputs; `absent` says why it has no value.

    `inferred` says what of it the source doesn't define.
    """

    component: str
    formula: str
    values: tuple[Input, ...]
    absent: str | None = None
    inferred: str = ""
