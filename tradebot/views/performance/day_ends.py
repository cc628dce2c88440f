"""The account at the end of each day: its cash, what it held, and what that had gained by then."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct, field

from tradebot.model.candidate import Side
from tradebot.model.position import Key
from tradebot.views.performance.days import day_of
from tradebot.views.performance.history import History
from tradebot.views.performance.lots import Owner, Step

_ZERO = Decimal(0)


class Gain(Struct, frozen=True):
    """What an open position had gained since it was opened, in USD before fees, by the prices known then."""

    owner: Owner
    trade: Key
    side: Side
    usd: Decimal


class DayEnd(Struct, frozen=True):
    """The account at the end of one day in New York.

    `value_usd` is cash plus what was held, and `gains` what is in it that wasn't realized. `held` are the positions
    that were open at the end of the day or were traded on it, and `unpriced` the symbols that had no price of that
    day: their shares are valued at the last price before it, and at their cost if they were bought since.
    """

    day: date
    value_usd: Decimal
    gains: tuple[Gain, ...]
    held: frozenset[Owner]
    unpriced: frozenset[str]


def day_ends(history: History) -> tuple[DayEnd, ...]:
    """Return the end of each day on which something was traded, paid or seen, oldest first.

    A position is valued at the last price that was seen in the day's session. A renamed position is counted under its
    last symbol.
    """
    account, cash = _Account(history.opening_cash, history.former_names), dict[date, Decimal]()
    for at, amount in _cash(history):
        day = day_of(at)
        cash[day] = cash.get(day, _ZERO) + amount
    traded = defaultdict[date, dict[Owner, Step]](dict)
    for owner, steps in history.lots.steps.items():
        for step in steps:
            # The last step of a day counts, and where it is among those of others.
            traded[day_of(step.at)][owner] = step
    seen = {end.session: end.marks for end in history.ends}
    days = sorted({*traded, *cash, *seen})
    return tuple(account.end(day, traded.get(day, {}), cash.get(day, _ZERO), seen.get(day)) for day in days)


def value_at(history: History, moment: datetime, marks: Mapping[str, Decimal]) -> DayEnd:
    """Return the account at a moment; a symbol without a price counts at its cost."""
    account = _Account(history.opening_cash, history.former_names)
    cash = sum((amount for at, amount in _cash(history) if at <= moment), _ZERO)
    reached = {
        owner: steps[place - 1]
        for owner, steps in history.lots.steps.items()
        if (place := bisect_right(steps, moment, key=lambda step: step.at))
    }
    return account.end(day_of(moment), reached, cash, marks)


def _cash(history: History) -> Iterator[tuple[datetime, Decimal]]:
    """Yield each change of cash, what was paid for shares or received for them first."""
    for steps in history.lots.steps.values():
        for step in steps:
            yield step.at, step.cash_usd
    for movement in history.cash:
        yield movement.at, movement.amount_usd


class _Account(Struct):
    """What the account holds while its days pass; `marked` is each position's last price, and of which day it is."""

    cash: Decimal
    names: Mapping[Owner, Sequence[str]]
    open: dict[Owner, Step] = field(default_factory=dict)
    marked: dict[Owner, tuple[date, Decimal]] = field(default_factory=dict)

    def end(
        self, day: date, traded: Mapping[Owner, Step], cash: Decimal, marks: Mapping[str, Decimal] | None
    ) -> DayEnd:
        """Let a day pass, and return its end; `traded` are positions that changed, and `cash` is by how much it did."""
        self.cash += cash
        for owner, step in traded.items():
            self.open.pop(owner, None)
            if step.held:
                self.open[owner] = step
        gains = tuple(self._gains(day, marks or {}))
        cost = sum((lot.cost_usd * lot.side.sign for step in self.open.values() for lot in step.held), _ZERO)
        late = (owner for owner in self.open if self.marked.get(owner, (None,))[0] != day)
        unpriced = frozenset(owner[1] for owner in late if marks is not None or owner in traded)
        value = self.cash + cost + sum((gain.usd for gain in gains), _ZERO)
        return DayEnd(day, value, gains, frozenset({*self.open, *traded}), unpriced)

    def _gains(self, day: date, marks: Mapping[str, Decimal]) -> Iterator[Gain]:
        for owner, step in self.open.items():
            names = owner[1], *self.names.get(owner, ())
            price = next((marks[name] for name in names if name in marks), None)
            if price is not None:
                self.marked[owner] = day, price
            yield Gain(owner, step.held[0].trade, step.held[0].side, self._gain(owner, step))

    def _gain(self, owner: Owner, step: Step) -> Decimal:
        """Return what the lots have gained that were there when the position's price was last seen."""
        day, price = self.marked.get(owner, (None, _ZERO))
        if day is None or (step.restated_at and day_of(step.restated_at) > day):
            return _ZERO
        there = (lot for lot in step.held if day_of(lot.opened_at) <= day)
        return sum((lot.side.sign * lot.quantity * (price - lot.entry_price) for lot in there), _ZERO)
