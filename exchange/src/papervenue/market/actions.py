"""Define dated corporate actions, and the book of all actions in a market.

An action takes effect a microsecond before its session's first trade, at four in the morning. If it is announced later
than that, it takes effect a microsecond before the open. Dates are New York dates. Words and fields are those of
Alpaca's GET /v1/corporate-actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from papervenue.chance import number_of, uuid_of
from papervenue.market.sessions import Session

DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT = "cash_dividend", "forward_split", "reverse_split"
NAME_CHANGE, CASH_MERGER = "name_change", "cash_merger"
SPLITS = (FORWARD_SPLIT, REVERSE_SPLIT)
KINDS = (DIVIDEND, *SPLITS, NAME_CHANGE, CASH_MERGER)


class Action(NamedTuple):
    """One corporate action. `rate` is USD per share; holders get `new_rate` shares for every `old_rate`.

    `ex_date` is the first session whose prices show it; `declared_us` is when it becomes known. `in_bars` is True if
    the market's recorded bars already reflect it.
    """

    kind: str
    symbol: str
    ex_date: str
    at_us: int
    declared_us: int
    payable_date: str
    rate: Decimal = Decimal(0)
    new_rate: Decimal = Decimal(1)
    old_rate: Decimal = Decimal(1)
    new_symbol: str = ""
    record_date: str = ""
    in_bars: bool = False

    @property
    def id(self) -> str:
        """Return an id derived from the action's kind and time."""
        return uuid_of(
            "corporate action", self.kind, self.symbol, self.ex_date, self.rate, self.new_rate, self.old_rate
        )

    @property
    def process_date(self) -> str:
        """Return the day on which the action affects accounts: a dividend's payment date, or the first session."""
        return self.payable_date if self.kind == DIVIDEND else self.ex_date


class ActionBook:
    """The actions of a market, in the order in which they take effect, and each company's name in the bar source."""

    def __init__(self) -> None:
        self._all: list[Action] = []
        self._of: dict[str, list[Action]] = {}
        self._entities: dict[str, str] = {}

    @property
    def renaming(self) -> Sequence[Action]:
        """Return the name changes in the order in which they take effect."""
        return [action for action in self._all if action.kind == NAME_CHANGE] if self._entities else ()

    def __iter__(self) -> Iterator[Action]:
        return iter(self._all)

    def add(self, actions: Iterable[Action]) -> None:
        """Add actions; after a name change the new name also covers the company's earlier bars."""
        touched = {self._enter(action) for action in actions}
        for rows in (self._all, *(self._of[entity] for entity in touched)):
            rows.sort(key=lambda event: (event.at_us, event.symbol, event.kind))

    def _enter(self, action: Action) -> str:
        entity = self.entity(action.symbol)
        if action.kind == NAME_CHANGE:
            self._entities[action.new_symbol] = entity
        self._all.append(action)
        self._of.setdefault(entity, []).append(action)
        return entity

    def entity(self, symbol: str) -> str:
        return self._entities.get(symbol, symbol)

    def of(self, symbol: str) -> Sequence[Action]:
        """Return a company's actions under all its names, in the order in which they take effect."""
        return self._of.get(self.entity(symbol), ())

    def declared_by(self, now_us: int) -> list[Action]:
        """Return the actions declared by a given time, in the order in which they take effect."""
        return [action for action in self._all if action.declared_us <= now_us]


def before_trading(session: Session) -> int:
    """Return when a session's actions take effect: a microsecond before its first trade."""
    return session.pre_us - 1


def cusip_of(symbol: str) -> str:
    """Return nine digits that serve as the CUSIP of a symbol."""
    return number_of(9, "cusip", symbol)
