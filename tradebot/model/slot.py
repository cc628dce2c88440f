"""A slot of a strategy's own clock."""

from datetime import date, datetime

from msgspec import Struct


class StrategySlot(Struct, frozen=True):
    """One time at which a strategy wants to be asked; it is due from `start` to before `end`, its deadline.

    The strategy, the session in which the slot starts, and its name identify it. The name is the same in every session.
    """

    strategy: str
    session: date
    name: str
    start: datetime
    end: datetime


class Waiting(Struct, frozen=True):
    """A strategy that wasn't asked in a pass because it wasn't due; `next` is None if its next slot isn't known yet."""

    strategy: str
    next: StrategySlot | None
