"""Put together what closed trades say about every setting that they can tell about."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from msgspec import Struct

from tradebot.lab.learn import altered, knobs, weights
from tradebot.lab.learn.altered import Knob
from tradebot.lab.learn.knobs import ExitAt, HeldFor, LeftAfter
from tradebot.lab.learn.limits import Entered, limits
from tradebot.lab.learn.sizing import conviction
from tradebot.lab.learn.values import Counts, Outcome, Proposal, counts_of, outcomes_of
from tradebot.model.bar import Session
from tradebot.model.limits import Limits
from tradebot.model.venue_day import VenueDay
from tradebot.timetable.job_times import JobTimes
from tradebot.views.trades.trade_row import TradeRow

ORDER_SIZE = "max_order_fraction"


class Strategy(Struct, frozen=True):
    """What the configuration says of a strategy in use: its weights, if it has any, and its limits in force.

    It is `asked_each_time` if the timetable alone says when it is asked.
    """

    name: str
    weights: Mapping[str, float]
    limits: Limits
    asked_each_time: bool


class Watched(Struct, frozen=True):
    """Exit rules, and the strategies whose positions they watch; `owner` is empty for the account's."""

    owner: str
    strategies: frozenset[str]
    stop: ExitAt | None
    target: ExitAt | None
    held: HeldFor | None


class Material(Struct, frozen=True):
    """What is learned from: all trades of the books that are asked about, the calendar, and the settings in force."""

    trades: Sequence[TradeRow]
    sessions: Mapping[date, Session]
    day: VenueDay
    strategies: Sequence[Strategy]
    watched: Sequence[Watched]
    entries: tuple[str, JobTimes] | None

    @property
    def of_use(self) -> Sequence[TradeRow]:
        """Return the trades of strategies that are in use."""
        names = {one.name for one in self.strategies}
        return [one for one in self.trades if one.strategy in names]

    @property
    def outcomes(self) -> Sequence[Outcome]:
        return outcomes_of(self.of_use, self.sessions, self.day)


class Found(Struct, frozen=True):
    """What was learned: the trades that count, components of trades that no weight is about, and the proposals."""

    counts: Counts
    unknown: Mapping[str, Sequence[str]]
    proposals: Sequence[Proposal]


def learned(of: Material, left: LeftAfter | None) -> Found:
    """Return what the outcomes say; without what was `left` at each time, nothing is said about a shorter time."""
    outcomes = of.outcomes
    by_name = {one.name: [each for each in outcomes if each.trade.strategy == one.name] for one in of.strategies}
    found = [each for one in of.strategies for each in weights.proposals(one.name, one.weights, by_name[one.name])]
    found += altered.proposals([*_knobs(of, outcomes, by_name, left)])
    found += [conviction(one.name, by_name[one.name]) for one in of.strategies]
    unknown = {one.name: weights.unknown_names(one.weights, by_name[one.name]) for one in of.strategies if one.weights}
    others = len(of.trades) - len(of.of_use)
    counted = counts_of(of.of_use)
    return Found(
        Counts(counted.counted, counted.open, counted.not_ours + others, counted.unknown_fees),
        {name: names for name, names in unknown.items() if names},
        found,
    )


def _knobs(
    of: Material, outcomes: Sequence[Outcome], by_name: Mapping[str, Sequence[Outcome]], left: LeftAfter | None
) -> Iterator[Knob]:
    if of.entries is not None:
        asked = {one.name for one in of.strategies if one.asked_each_time}
        yield knobs.times(*of.entries, [one for one in outcomes if one.trade.strategy in asked])
    for one in of.strategies:
        fraction = getattr(one.limits, ORDER_SIZE)
        yield knobs.size(one.name, f"strategies.{one.name}.limits.{ORDER_SIZE}", fraction, by_name[one.name])
    for watched in of.watched:
        yield from _exits(watched, [one for one in outcomes if one.trade.strategy in watched.strategies], left)
    for one in of.strategies:
        own = (trade for trade in of.of_use if trade.strategy == one.name)
        made = [Entered(trade, of.day.date_of(trade.opened_at)) for trade in own]
        yield from limits(one.name, one.limits, made, by_name[one.name])


def _exits(watched: Watched, outcomes: Sequence[Outcome], left: LeftAfter | None) -> Iterator[Knob]:
    if watched.stop:
        yield knobs.stop(watched.owner, watched.stop, outcomes)
    if watched.held:
        yield knobs.time_exit(watched.owner, watched.held, outcomes, left)
    if watched.target:
        yield knobs.target(watched.owner, watched.target, outcomes)
