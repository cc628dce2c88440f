"""The best and the worst price of each position over passes of exits that were left out.

A pass of exits writes down the price that it sees. Where nothing but that depends on these two prices, the passes need
not run one by one: what the last of them would leave is written down once, before anything reads it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from tradebot.exits.kind import Held, exit_price
from tradebot.exits.kinds.end_of_day import EndOfDay
from tradebot.exits.kinds.profit_target import ProfitTarget
from tradebot.exits.kinds.stop_loss import StopLoss
from tradebot.exits.kinds.time_exit import TimeExit
from tradebot.exits.lists import Exits
from tradebot.lab.driver.touching import UNITS, Ahead, in_us, in_usd, moment, units
from tradebot.model.bar import Quote
from tradebot.model.position import Marks, Position
from tradebot.ports.stores import Ledger

BLIND = (StopLoss, ProfitTarget, TimeExit, EndOfDay)
"""The kinds of rules that look at neither the best nor the worst price."""


def is_blind(rules: Exits) -> bool:
    """Return True if no rule looks at the best or the worst price."""
    return all(type(rule) in BLIND for rule in rules)


class Followed(NamedTuple):
    """A position whose marks follow the market: its exit price now, in units, and its marks so far."""

    position: Position
    long: bool
    price: int
    marks: Marks


class Marking:
    """The positions whose marks are yet to be written, and since when, in microseconds."""

    def __init__(self, ledger: Ledger, ahead: Ahead) -> None:
        self._ledger = ledger
        self._ahead = ahead
        self._since_us = 0
        self._followed: list[Followed] = []

    def follow(self, now: datetime, held: Iterable[Held], quotes: Mapping[str, Quote]) -> None:
        self._since_us = in_us(now)
        self._followed = []
        for one in held:
            price, marks = exit_price(one.position, quotes[one.position.symbol]), Marks(one.best, one.kept.worst)
            self._followed.append(Followed(one.position, one.direction > 0, units(price), marks))

    def write(self, slots_us: Sequence[int]) -> None:
        """Store the marks that passes of exits at these times leave; earlier ones than the beginning are left alone."""
        if not self._followed:
            return
        slots_us = slots_us[bisect_right(slots_us, self._since_us) :]
        if not slots_us:
            return
        now = [self._at_the_last(one, slots_us) for one in self._followed]
        pairs = zip(self._followed, now, strict=True)
        moved = {later.position.key: later.marks for before, later in pairs if later.marks != before.marks}
        self._since_us, self._followed = slots_us[-1], now
        if moved:
            self._ledger.put_marks(moved)

    def _at_the_last(self, one: Followed, slots_us: Sequence[int]) -> Followed:
        """Return a position after passes at these times: each sees what is shown last until then."""
        price, seen, place = one.price, list[int](), 0
        for shown in self._ahead.shown(one.position.symbol, moment(self._since_us), moment(slots_us[-1])):
            if slots_us[place] < shown.at_us:
                seen.append(price)
                place = bisect_left(slots_us, shown.at_us, place)
            price = shown.bid if one.long else shown.ask
        return one._replace(price=price, marks=_widened(one, min(*seen, price, price), max(*seen, price, price)))


def _widened(one: Followed, low: int, high: int) -> Marks:
    best, worst = (high, low) if one.long else (low, high)
    known = one.marks
    assert known.worst is not None, "a position without marks is not followed"
    better = best > known.best * UNITS if one.long else best < known.best * UNITS
    worse = worst < known.worst * UNITS if one.long else worst > known.worst * UNITS
    if not (better or worse):
        return known
    return Marks(in_usd(best) if better else known.best, in_usd(worst) if worse else known.worst)
