"""What a component of a score was computed from, for people who ask."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from tradebot.model.candidate import ComponentName


@dataclass(frozen=True, slots=True)
class Input:
    """One number that went in, in `unit`; `at` is its own time or trading date, None for what has none."""

    name: str
    value: Decimal | float | int
    unit: str
    at: datetime | date | None = None


@dataclass(frozen=True, slots=True)
class ComponentInputs:
    """A component's formula over the names of its inputs, and what went in; `absent` says why there is no value."""

    component: ComponentName
    formula: str
    values: tuple[Input, ...]
    absent: str | None = None
