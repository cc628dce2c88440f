"""Corporate actions: what a company does to its shares, dated, and the list of those that a market has.

An action takes effect a microsecond before its session's first trade, the one at four in the morning; one that is
announced when that hour has passed, a microsecond before the open. Dates are New York's. Words and fields are those
of Alpaca's GET /v1/corporate-actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from tradebot.exchange.chance import number_of, uuid_of
from tradebot.exchange.market.sessions import Session

DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT = "cash_dividend", "forward_split", "reverse_split"
NAME_CHANGE, CASH_MERGER = "name_change", "cash_merger"
SPLITS = (FORWARD_SPLIT, REVERSE_SPLIT)
KINDS = (DIVIDEND, *SPLITS, NAME_CHANGE, CASH_MERGER)


class Action(NamedTuple):
    """One corporate action. `rate` is USD a share; `new_rate` shares are given for `old_rate`.

    `ex_date` is the session from which it shows in prices; `declared_us` is when it becomes known. `in_bars` says
    that the market's recorded bars already show it.
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
        """Return the id, a function of what the action is and when."""
        return uuid_of(
            "corporate action", self.kind, self.symbol, self.ex_date, self.rate, self.new_rate, self.old_rate
        )

    @property
    def process_date(self) -> str:
        """Return the day on which accounts feel it: a dividend's payment, any other's first session."""
        return self.payable_date if self.kind == DIVIDEND else self.ex_date


class ActionBook:
    """The actions of a market in order of effect, and which name each company's bars have in their source."""

    def __init__(self) -> None:
        self._all: list[Action] = []
        self._of: dict[str, list[Action]] = {}
        self._entities: dict[str, str] = {}

    def __iter__(self) -> Iterator[Action]:
        """Yield every action in order of effect."""
        return iter(self._all)

    def add(self, actions: Iterable[Action]) -> None:
        """Enter actions; a name that a company takes is its own from then on, for its earlier bars too."""
        touched = {self._enter(action) for action in actions}
        for rows in (self._all, *(self._of[entity] for entity in touched)):
            rows.sort(key=lambda one: (one.at_us, one.symbol, one.kind))

    def _enter(self, action: Action) -> str:
        entity = self.entity(action.symbol)
        if action.kind == NAME_CHANGE:
            self._entities[action.new_symbol] = entity
        self._all.append(action)
        self._of.setdefault(entity, []).append(action)
        return entity

    def entity(self, symbol: str) -> str:
        """Return the name that a company's bars have in their source."""
        return self._entities.get(symbol, symbol)

    def of(self, symbol: str) -> Sequence[Action]:
        """Return a company's actions under all its names, in order of effect."""
        return self._of.get(self.entity(symbol), ())

    def known(self, now_us: int) -> list[Action]:
        """Return the actions declared by a moment, in order of effect."""
        return [action for action in self._all if action.declared_us <= now_us]


def before_trading(session: Session) -> int:
    """Return when the actions of a session take effect: a microsecond before its first trade."""
    return session.pre_us - 1


def cusip_of(symbol: str) -> str:
    """Return the nine digits that stand for a symbol where a CUSIP is asked for."""
    return number_of(9, "cusip", symbol)
