"""The account at the end of each day: its cash, what it held, and what that had gained by then."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from tradebot.model.candidate import Side
from tradebot.model.kind import NEW_YORK
from tradebot.model.position import Key, OwnedFill, Position, apply_fill
from tradebot.views.performance.history import History

_ZERO = Decimal(0)

Owner = tuple[str, str]
"""Whose position it is, and its symbol."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What an open position had gained since it was opened, in USD before fees, by the prices known then."""

    owner: Owner
    trade: Key
    side: Side
    usd: Decimal


@dataclass(frozen=True, slots=True)
class DayEnd:
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


def day_of(at: datetime) -> date:
    """Return the New York date of a moment."""
    return at.astimezone(NEW_YORK).date()


def day_ends(history: History) -> tuple[DayEnd, ...]:
    """Return the end of each day on which something was traded, paid or seen, oldest first.

    A position is valued at the last price that was seen in the day's session. A renamed position is counted under its
    last symbol.
    """
    fills = history.in_turn
    account = _Account(history.opening_cash, _names(history, fills))
    seen = {end.session: end.marks for end in history.ends}
    on_day = dict[date, list[OwnedFill]]()
    for owned in fills:
        on_day.setdefault(day_of(owned.fill.at), []).append(owned)
    paid = dict[date, Decimal]()
    for one in history.cash:
        paid[day_of(one.at)] = paid.get(day_of(one.at), _ZERO) + one.amount_usd
    days = sorted({*on_day, *paid, *seen})
    return tuple(account.end(day, on_day.get(day, ()), paid.get(day, _ZERO), seen.get(day)) for day in days)


def value_at(history: History, moment: datetime, marks: Mapping[str, Decimal]) -> DayEnd:
    """Return the account at a moment; a symbol without a price counts at its cost."""
    fills = [owned for owned in history.in_turn if owned.fill.at <= moment]
    account = _Account(history.opening_cash, _names(history, fills))
    paid = sum((one.amount_usd for one in history.cash if one.at <= moment), _ZERO)
    return account.end(day_of(moment), fills, paid, marks)


def former_names(history: History) -> Mapping[Owner, Sequence[str]]:
    """Return the symbols that each renamed position had before its last one, the newest first."""
    return _names(history, history.in_turn)


def _names(history: History, fills: Iterable[OwnedFill]) -> Mapping[Owner, Sequence[str]]:
    raw, names = {owned.fill.activity_id: owned.fill.symbol for owned in history.fills}, dict[Owner, dict[str, None]]()
    for owned in fills:
        owner, before = (owned.strategy, owned.fill.symbol), raw[owned.fill.activity_id]
        if before != owner[1]:
            names.setdefault(owner, {})[before] = None
    return {owner: tuple(reversed(before)) for owner, before in names.items()}


@dataclass(slots=True)
class _Account:
    """What the account holds while its days pass; `marked` is each position's last price, and of which day it is."""

    cash: Decimal
    names: Mapping[Owner, Sequence[str]]
    open: dict[Owner, Position] = field(default_factory=dict)
    marked: dict[Owner, tuple[date, Decimal]] = field(default_factory=dict)

    def end(self, day: date, fills: Sequence[OwnedFill], paid: Decimal, marks: Mapping[str, Decimal] | None) -> DayEnd:
        """Let a day pass, and return its end."""
        self.cash += paid
        traded = {self._apply(owned) for owned in fills}
        gains = tuple(self._gains(day, marks or {}))
        cost = sum((position.cost for position in self.open.values()), _ZERO)
        late = (owner for owner in self.open if self.marked.get(owner, (None,))[0] != day)
        unpriced = frozenset(owner[1] for owner in late if marks is not None or owner in traded)
        value = self.cash + cost + sum((gain.usd for gain in gains), _ZERO)
        return DayEnd(day, value, gains, frozenset({*self.open, *traded}), unpriced)

    def _apply(self, owned: OwnedFill) -> Owner:
        owner = owned.strategy, owned.fill.symbol
        before = self.open.pop(owner) if owner in self.open else Position(*owner, (), _ZERO)
        after = apply_fill(before, owned.fill)
        self.cash -= owned.fill.signed_quantity * owned.fill.price
        if after.lots:
            self.open[owner] = after
        return owner

    def _gains(self, day: date, marks: Mapping[str, Decimal]) -> Iterator[Gain]:
        for owner, position in self.open.items():
            names = owner[1], *self.names.get(owner, ())
            price = next((marks[name] for name in names if name in marks), None)
            if price is not None:
                self.marked[owner] = day, price
            side = Side.BUY if position.quantity > 0 else Side.SELL
            yield Gain(owner, position.key, side, self._gain(owner, position))

    def _gain(self, owner: Owner, position: Position) -> Decimal:
        """Return what the lots have gained that were there when the position's price was last seen."""
        if owner not in self.marked:
            return _ZERO
        day, price = self.marked[owner]
        there = (lot for lot in position.lots if day_of(lot.at) <= day)
        return sum((lot.quantity * (price - lot.price) for lot in there), _ZERO)
