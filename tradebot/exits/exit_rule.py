"""Define a position as exit rules see it, and the interface of an exit rule: settings, reason, condition and level.

Each kind of rule is a class in one of the files in `kinds`; the file's `RULES` maps the name in the configuration to
the class. A gain is positive for both longs and shorts.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from msgspec import Struct, field

from tradebot.exits.exit_reasons import ReasonPart, amount_part
from tradebot.model.bar import Quote, Session
from tradebot.model.instrument import ONE, notional, whole_lots
from tradebot.model.limits import Frozen
from tradebot.model.position import EntryTerms, ExitInputs, Position
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import REASONS, Reason


class WatchedPosition(Struct, frozen=True, dict=True):
    """A position with the best price since it was opened: the highest for a long, the lowest for a short.

    `kept` are the position's stored terms, and `outlook` is what is known about its symbol besides the price.
    """

    position: Position
    best: Decimal
    kept: EntryTerms = field(default_factory=EntryTerms)
    outlook: ExitInputs = field(default_factory=ExitInputs)

    def gain(self, price: Decimal) -> Decimal:
        """Return the gain at `price` as a fraction of the average entry price."""
        return (price - self.entry) / self.entry * self.direction

    def pullback(self, price: Decimal) -> Decimal:
        """Return how far `price` has pulled back from the best price, as a fraction of the best price."""
        return (self.best - price) / self.best * self.direction

    def price_at(self, gain: Decimal) -> Decimal:
        """Return the price at which the position has gained this fraction of its average entry price."""
        return self.entry * (1 + self.direction * gain)

    @property
    def tick(self) -> Decimal | None:
        """Return the tick size, if the position's instrument is known."""
        return self.kept.instrument.tick if self.kept.instrument else None

    @property
    def original_quantity(self) -> Decimal | None:
        """Return how many shares the position was opened with, unsigned; None if the books show fewer than it has
        now.
        """
        original = self.kept.original_quantity
        if original is None:
            original = self.position.original_quantity
        return None if original < abs(self.position.quantity) else original

    def whole_lots(self, shares: Decimal) -> Decimal:
        """Return unsigned shares rounded down to whole lots; unrounded if the position's instrument is unknown."""
        return whole_lots(self.kept.instrument, shares) if self.kept.instrument else shares

    @cached_property
    def entry(self) -> Decimal:
        """Return the price that gains are measured from: the average price of the open shares.

        If the entry set its own stop, return the average price of all the entry's fills instead, so that stop and
        targets don't move when the oldest shares are closed.
        """
        position = self.position
        if self.kept.stop_loss_fraction is None or not (position.original_quantity and position.entry_cost):
            return position.average_price
        return position.entry_cost / notional(position.original_quantity, ONE, position.multiplier)

    @cached_property
    def direction(self) -> int:
        """Return +1 for a long and -1 for a short."""
        return 1 if self.position.quantity > 0 else -1


def exit_price(position: Position, quote: Quote) -> Decimal:
    """Return the price at which the position could be closed now: the bid for a long, the ask for a short."""
    return quote.bid if position.quantity > 0 else quote.ask


def best_price(position: Position, quote: Quote | None, stored: Decimal | None) -> Decimal:
    """Return the best price so far, starting at the entry price; it only ever moves in the position's favor.

    It never moves past the last trade; otherwise a wrong quote would remain the best price.
    """
    # Stop at the last trade: a wrong quote that became the best price would remain it.
    price = position.average_price if stored is None else stored
    if quote is None:
        return price
    if position.quantity > 0:
        return max(price, min(quote.bid, quote.last))
    return min(price, max(quote.ask, quote.last))


def worst_price(position: Position, quote: Quote | None, stored: Decimal | None) -> Decimal:
    """Return the worst price so far, starting at the entry price; it only ever moves against the position."""
    price = position.average_price if stored is None else stored
    if quote is None:
        return price
    return min(price, quote.bid) if position.quantity > 0 else max(price, quote.ask)


class RuleInput(StrEnum):
    """An input that a rule may need, by its name for people. A rule that lacks an input is UNKNOWN."""

    QUOTE = "quote"
    CLOCK = "clock"
    SESSION = "session"
    TICK = "tick"
    ORIGINAL_QUANTITY = "original quantity"
    ENTRY_STOP = "stop of the entry"
    ENTRY_ATR = "average true range at the entry"
    ENTRY_SCORE = "entry score"
    SCORES = "scores since the entry"
    NOISE = "noise of the score"
    FLOW = "flow"
    OPEN_INTEREST = "open interest of the next morning"
    REGIME = "regime"
    EVENT = "next event"
    MOMENTUM = "momentum"
    MOVEMENT = "movement since the entry"
    LIQUIDATION = "distance to liquidation"


class ExitMoment(Struct, frozen=True):
    """The time of an evaluation, the price in USD at which the position could be closed then, and the session.

    `now` is None if the clocks disagree, and `price` is None without a quote.
    """

    now: datetime | None = None
    price: Decimal | None = None
    session: Session | None = None


_KNOWN: Mapping[RuleInput, Callable[[WatchedPosition, ExitMoment], object]] = {
    RuleInput.QUOTE: lambda watched, moment: moment.price,
    RuleInput.CLOCK: lambda watched, moment: moment.now,
    RuleInput.SESSION: lambda watched, moment: moment.session,
    RuleInput.ENTRY_SCORE: lambda watched, moment: watched.kept.entry_score or None,
    RuleInput.SCORES: lambda watched, moment: watched.outlook.scores or None,
    RuleInput.NOISE: lambda watched, moment: watched.outlook.noise or None,
    RuleInput.FLOW: lambda watched, moment: watched.outlook.flow,
    RuleInput.REGIME: lambda watched, moment: watched.outlook.regime,
    RuleInput.EVENT: lambda watched, moment: watched.outlook.event_at,
    RuleInput.MOMENTUM: lambda watched, moment: watched.outlook.momentum,
    RuleInput.MOVEMENT: lambda watched, moment: watched.outlook.movement,
    RuleInput.LIQUIDATION: lambda watched, moment: watched.outlook.liquidation,
}
"""Where to read each input; None if it is unknown. A rule that needs an input only at times reads it itself."""


class Measure(NamedTuple):
    """The result of a rule: whether it closes the position, the observed value, and its limit.

    `shares` are how many it closes, unsigned; None means all of them. `shown` replaces the observed value in the
    composed reason.
    """

    closes: bool
    observed: Decimal | float | None
    limit: Decimal | float | None
    shares: Decimal | None = None
    shown: Decimal | float | None = None


class StopLevel(Struct, frozen=True):
    """Where an exit rule closes a position: at `price` (USD) or at the time `at`. A rule that isn't `armed` only arms
    there.

    `ahead` is True if the price gets there by moving in the position's favor. A rule without a level has neither price
    nor time.
    """

    rule: Reason
    price: Decimal | None
    at: datetime | None
    armed: bool = True
    ahead: bool = False


class PriceTarget(NamedTuple):
    """A price in USD at which a rule takes a profit, and how many shares it then closes, unsigned.

    `word` is the rule's name in composed reasons.
    """

    price: Decimal
    shares: Decimal
    word: str = ""


class ExitRule(Frozen):
    """One exit rule with its settings. Rules of price alone are `PriceRule`s, rules of time alone `TimeRule`s."""

    reason: ClassVar[Reason]
    """The reason of its exits, unique to each kind of rule."""
    column: ClassVar[str]
    """The heading of its column in `tradebot positions`."""
    reads: ClassVar[frozenset[str]] = frozenset()
    """The fields of `ExitInputs` that it reads; no others are fetched for it."""
    needs: ClassVar[tuple[RuleInput, ...]]
    """Its required inputs, in the order in which they are checked."""
    rank: ClassVar[int] = 50
    """Its priority among rules that fire together: the lowest rank gives the decision its reason and its numbers."""
    word: ClassVar[str] = ""
    """Its name in a composed reason; empty for the reason in lower case."""
    numbered: ClassVar[bool] = True
    """Whether the measured value is part of a composed reason."""

    @property
    def gain(self) -> Decimal | None:
        """Return the fixed gain at which the rule closes, as a fraction of the entry price (negative for a loss), or
        None.
        """
        return None

    @property
    def is_stop(self) -> bool:
        """Return True if the rule closes at a fixed loss, given as a fraction or in ticks."""
        return self.gain is not None and self.gain < 0

    def gain_at(self, price: Decimal, tick: Decimal) -> Decimal | None:
        """Return the fixed gain at which the rule closes a position opened at `price`, as a fraction of `price`, or
        None.
        """
        return self.gain

    @property
    def nearest(self) -> Decimal | None:
        """Return the smallest adverse move at which the rule closes the position, as a fraction of a price, or None."""
        return -self.gain if self.gain is not None and self.gain < 0 else None

    @property
    def looks_at_price(self) -> bool:
        """Return True if one wrong quote could make it close a position."""
        return not {RuleInput.QUOTE, RuleInput.MOMENTUM}.isdisjoint(self.needs)

    def judge(self, watched: WatchedPosition, moment: ExitMoment) -> Measure | RuleInput:
        """Evaluate the position at a moment, or return the first input that is unknown."""
        values = list[object]()
        for need in self.needs:
            if need in _KNOWN:
                values.append(_KNOWN[need](watched, moment))
                if values[-1] is None:
                    return need
        return self.measure(watched, *values)

    @abstractmethod
    def measure(self, watched: WatchedPosition, *values: Any, **_: Any) -> Measure | RuleInput:
        """Evaluate the position with the values of `needs`, in that order."""

    def level(self, watched: WatchedPosition) -> StopLevel:
        """Return the price or time at which the rule closes the position, if that can be known in advance."""
        return StopLevel(self.reason, None, None)

    def targets(self, watched: WatchedPosition) -> tuple[PriceTarget, ...]:
        """Return the rule's profit-taking prices, nearest first.

        There are none if the rule isn't armed, or if the price doesn't reach its level by moving in the position's
        favor.
        """
        stop = self.level(watched)
        if stop.price is None or not (stop.armed and stop.ahead):
            return ()
        return (PriceTarget(stop.price, abs(watched.position.quantity)),)

    def part(self, watched: WatchedPosition, measure: Measure) -> ReasonPart:
        """Return the rule's part of the composed reason once it has fired."""
        shown = measure.observed if measure.shown is None else measure.shown
        units = REASONS[self.reason].units or (Unit.SHARE_OF_WHOLE,)
        return amount_part(self.name, shown if self.numbered else None, units[0])

    @property
    def name(self) -> str:
        return self.word or self.reason.lower()

    def contradiction(self, others: "Iterable[ExitRule]") -> str | None:
        """Return why the rule contradicts these other rules, or None if it doesn't."""
        return None


class PriceRule(ExitRule):
    """A rule that depends on the price at which the position could be closed now."""

    needs: ClassVar[tuple[RuleInput, ...]] = (RuleInput.QUOTE,)

    @abstractmethod
    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure | RuleInput:
        """Evaluate the position at `price`, in USD."""

    @abstractmethod
    def level(self, watched: WatchedPosition) -> StopLevel:
        """Return the price at which the rule closes the position."""


class TimeRule(ExitRule):
    """A rule that depends only on the time, and needs no price."""

    needs: ClassVar[tuple[RuleInput, ...]] = (RuleInput.CLOCK,)
    rank = 0

    @abstractmethod
    def measure(self, watched: WatchedPosition, now: datetime) -> Measure:
        """Evaluate the position at `now`."""


def distance(stop: StopLevel, mark: Decimal, direction: int) -> Decimal | None:
    """Return the distance from the price `mark` to the rule's price as a fraction of `mark`; None for a time rule.

    It is positive until the price reaches the rule's price. `direction` is +1 for a long, -1 for a short.
    """
    if stop.price is None:
        return None
    return (direction if stop.ahead else -direction) * (stop.price - mark) / mark
