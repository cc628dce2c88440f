"""Configuration values, and the result of checking a configuration."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from tradebot.model.baseline import Difference


class Value(Struct, frozen=True):
    """One value by its dotted name, its source, and how it differs from the accepted value, if it does."""

    key: str
    value: Any
    origin: str
    difference: "Difference | None" = None


class Shown(Struct, frozen=True):
    """The requested values; `state_dir` is None if no bot was found and the shipped layers are shown."""

    state_dir: str | None
    key: str | None
    values: tuple[Value, ...]


class Change(Struct, frozen=True):
    """A value that differs from the one shipped for the mode."""

    key: str
    shipped: Any
    value: Any
    origin: str


class Checked(Struct, frozen=True):
    """A valid configuration: how many values it has, and what it changes; `file` is None for the one in force.

    `differences` compares it with the accepted one; None if nothing has been accepted yet. `without_effect` are
    sentences on limits of a strategy that the account's tighter limits override. `never_bought` are symbols of the
    universe without a sector, and `left_out` what the universe's file lists besides, such as indexes. `given_up` are
    sentences on kinds of flow facts that the flow source's limits don't let the bot fetch as configured.
    """

    file: str | None
    values: int
    changes: tuple[Change, ...]
    differences: "tuple[Difference, ...] | None"
    without_effect: tuple[str, ...]
    never_bought: tuple[str, ...]
    left_out: tuple[str, ...]
    given_up: tuple[str, ...]
