"""Evaluate what closed trades show about every setting.

Each value is evaluated on the entries that were made, in order. If a value refuses an entry, that entry takes no room
from later entries. The weights of signals are learned from how often each component was right about a trade's outcome.
A component was right if it pointed in the trade's direction and the trade earned something, or against it and the trade
lost. Components have the same names in scores and in trades.

A weight's multiplier is relative to the weight at the time when the books began. Only trades that were entered with the
present weight count. So each step is evaluated on new trades, and the same outcomes never cause two steps.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from heapq import heappop, heappush
from math import isclose
from statistics import fmean
from typing import NamedTuple

from msgspec import Struct

from tradebot.auditing.confidence_intervals import LEVEL, estimate, fewest_sessions
from tradebot.lab.learn import knobs
from tradebot.lab.learn.knobs import (
    ExitAt,
    HoldingTimeLimit,
    LeftAfter,
    TunableSetting,
    missing_of,
    value_without_trades,
)
from tradebot.lab.learn.values import (
    LEAST,
    Item,
    Proposal,
    TradeCounts,
    TradeOutcome,
    counts_of,
    more_needed,
    outcomes_of,
    plain,
)
from tradebot.lab.performance.statistics import Interval, wilson_interval
from tradebot.model.bar import Session
from tradebot.model.candidate import Component
from tradebot.model.limits import Limits, Tighter
from tradebot.model.sentences import pluralize
from tradebot.model.venue_day import VenueDay
from tradebot.timetable.job_times import JobTimes
from tradebot.views.trades.trade_row import LONG, TradeRow

NEUTRAL, LOWEST, HIGHEST, STEP = 1.0, 0.25, 2.5, 0.05

"""The multiplier that changes nothing, its bounds, and how far one step moves it."""

GOOD, BAD = 0.55, 0.45

"""The share of right calls above which a weight goes up, and the share below which it goes down."""

EVEN, REVERTS, OFTEN = (0.48, 0.52), 0.10, 60

"""If the recent share is between EVEN and REVERTS, with more than OFTEN calls, a multiplier returns toward neutral by a
tenth.
"""

ALPHA = 0.15

"""The weight of the newest call in the moving averages."""

SHARE = "share of calls that were right"


class ComponentCall(NamedTuple):
    """What one component said about one trade: whether it was right, and the return of following it, as a fraction."""

    at: datetime
    right: bool
    gain: float


class ComponentRecord(Struct, frozen=True):
    """A component's record: its calls, the fraction of right calls with Wilson's interval, and its recent results.

    Over the calls, `lately` is the exponentially weighted average of being right, and `gain` that of the return.
    """

    calls: int
    right: int
    share: Interval
    lately: float
    gain: float


def component_record(calls: Sequence[ComponentCall]) -> ComponentRecord:
    """Compute a component's record; calls at the same time have the same weight, in any order."""
    right = sum(call.right for call in calls)
    lately, gain = 0.5, 0.0
    by_moment = defaultdict[datetime, list[ComponentCall]](list)
    for call in calls:
        by_moment[call.at].append(call)
    for _, together in sorted(by_moment.items()):
        keeps = (1 - ALPHA) ** len(together)
        lately = _moving_average(lately, [float(call.right) for call in together], keeps)
        gain = _moving_average(gain, [call.gain for call in together], keeps)
    share = wilson_interval(right, len(calls)) if calls else Interval(0.5, 0.0, 1.0)
    return ComponentRecord(len(calls), right, share, lately, gain)


def _moving_average(average: float, values: Sequence[float], keeps: float) -> float:
    return average * keeps + fmean(values) * (1 - keeps)


def step_weight(multiplier: float, of: ComponentRecord) -> float:
    """Return the multiplier after one step, within its bounds; unchanged if nothing is proven."""
    if of.calls < LEAST:
        return multiplier
    if of.share.low > GOOD and of.lately > GOOD and of.gain > 0:
        return _bound_multiplier(multiplier + STEP)
    if of.share.high < BAD and of.lately < BAD:
        return _bound_multiplier(multiplier - STEP)
    if EVEN[0] <= of.lately <= EVEN[1] and of.calls > OFTEN:
        return _bound_multiplier(multiplier - REVERTS * (multiplier - NEUTRAL))
    return multiplier


def _bound_multiplier(multiplier: float) -> float:
    return min(max(multiplier, LOWEST), HIGHEST)


def proposals(strategy: str, weights: Mapping[str, float], outcomes: Sequence[TradeOutcome]) -> Iterator[Proposal]:
    """Yield a proposal for each of a strategy's weights, based on the strategy's trades."""
    for name, weight in weights.items():
        if weight > 0:
            yield _proposal(strategy, name, weight, outcomes)


def unknown_names(weights: Mapping[str, float], outcomes: Sequence[TradeOutcome]) -> tuple[str, ...]:
    """Return the components that appear in trades but have no weight, so that they aren't dropped silently."""
    return tuple(sorted({part.name for outcome in outcomes for part in outcome.trade.components} - weights.keys()))


def _proposal(strategy: str, name: str, weight: float, outcomes: Sequence[TradeOutcome]) -> Proposal:
    parts = [(outcome, part) for outcome in outcomes for part in outcome.trade.components if part.name == name]
    base = parts[0][1].weight if parts and parts[0][1].weight > 0 else weight
    of = component_record([*_calls(parts, weight)])
    before = weight / base
    after = step_weight(before, of)
    proposed = round(base * after, 6)
    return Proposal(
        item=Item.WEIGHTS,
        strategy=strategy,
        setting=f"strategies.{strategy}.weights.{name}",
        value=plain(weight),
        proposed=None if isclose(after, before) or proposed == weight else plain(proposed),
        n=of.calls,
        unit=SHARE,
        observed=of.share.value if of.calls else None,
        low=of.share.low if of.calls else None,
        high=of.share.high if of.calls else None,
        missing=max(LEAST - of.calls, 0),
        missing_sessions=0,
        evidence=_evidence(of, before, after),
    )


def _calls(parts: Sequence[tuple[TradeOutcome, Component]], weight: float) -> Iterator[ComponentCall]:
    """Yield the calls of trades entered with this weight; a component without a view, or a trade without an outcome,
    has none.
    """
    for trade_outcome, part in parts:
        if not part.value or not trade_outcome.net or not isclose(part.weight, weight, rel_tol=1e-9):
            continue
        agreed = (part.value > 0) is (trade_outcome.trade.side == LONG)
        earned = trade_outcome.net / trade_outcome.worth
        yield ComponentCall(trade_outcome.closed_at, agreed is (earned > 0), earned if agreed else -earned)


def _evidence(of: ComponentRecord, before: float, after: float) -> str:
    if of.calls < LEAST:
        more = more_needed(LEAST - of.calls)
        return f"It had a view in {pluralize(of.calls, 'closed trade')} entered with this weight. {more}"
    share = (
        f"Right in {of.right} of {of.calls} trades ({of.share.value:.0%}; 95% interval {of.share.low:.0%} to "
        f"{of.share.high:.0%}), lately in {of.lately:.0%}"
    )
    if isclose(before, after):
        return f"{share}: {'at its bound' if _pushes(of) else 'no step follows'}."
    way = "up" if after > before else "down"
    way = (
        "back toward neutral" if abs(after - NEUTRAL) < abs(before - NEUTRAL) and not _pushes(of) else f"one step {way}"
    )
    return f"{share}: {way}, from {before:.3g} to {after:.3g} times the weight that the books started with."


def _pushes(of: ComponentRecord) -> bool:
    """Return True if the calls suggest a step up or down."""
    return step_weight(NEUTRAL, of) != NEUTRAL


LONGER = (2, 4)

"""The multiples of the cooldown that are evaluated."""

LONGEST_S = 86_400

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)

"""The shares of trades, those with the lowest scores, that the evaluated minimum scores leave out."""

MOST_TRIED = 6

PLACES = Decimal("0.001")

Value = Decimal | int


class OpenedPosition(NamedTuple):
    """A position that a strategy opened in a session, open or closed."""

    trade: TradeRow
    session: date


Admits = Callable[[OpenedPosition], bool]

"""Whether a limit allows an entry, given the earlier entries that it allowed."""


def limit_settings(
    strategy: str, in_force: Limits, entered: Sequence[OpenedPosition], outcomes: Sequence[TradeOutcome]
) -> Iterator[TunableSetting]:
    """Yield a strategy's limits, each with tighter alternatives.

    Open positions count against the limits on positions.
    """
    opened_positions = sorted(entered, key=lambda outcome: (outcome.trade.opened_at, outcome.trade.id))
    for name, tried in _tighter(in_force, opened_positions, outcomes).items():
        value = getattr(in_force, name)
        assert all(is_tighter(name, value, each) for each in tried), "a limit can only get tighter"
        refused = ((each, _refused_trades(opened_positions, _RULES[name](each))) for each in tried)
        others = [
            value_without_trades(plain(each), outcomes, [outcome.trade.id in out for outcome in outcomes])
            for each, out in refused
        ]
        yield TunableSetting(
            Item.LIMITS, strategy, f"strategies.{strategy}.limits.{name}", plain(value), outcomes, others
        )


def is_tighter(name: str, value: Decimal | float, other: Decimal | float) -> bool:
    """Return True if `other` is a tighter value of a limit."""
    higher = Tighter.HIGHER in Limits.model_fields[name].metadata
    return other > value if higher else other < value


def _tighter(
    in_force: Limits, opened_positions: Sequence[OpenedPosition], outcomes: Sequence[TradeOutcome]
) -> Mapping[str, Sequence[Value]]:
    """Return the values of each limit to evaluate."""
    waits = [in_force.cooldown_s * times for times in LONGER]
    return {
        "min_score": [score for score in _scores(outcomes) if in_force.min_score < score <= 1],
        "max_open_positions": _below(in_force.max_open_positions, _most_open(opened_positions)),
        "max_session_entries": _below(in_force.max_session_entries, _most(opened_positions, _session_of)),
        "max_symbol_entries": _below(in_force.max_symbol_entries, _most(opened_positions, _symbol_of)),
        "cooldown_s": [wait for wait in waits if wait <= LONGEST_S],
    }


def _scores(outcomes: Sequence[TradeOutcome]) -> Sequence[Decimal]:
    """Return scores that exclude certain shares of the trades."""
    ranked = sorted(abs(outcome.trade.entry_score) for outcome in outcomes if outcome.trade.entry_score is not None)
    places = dict.fromkeys(int(len(ranked) * share) for share in SHARES if ranked)
    return [*dict.fromkeys(Decimal(str(ranked[index])).quantize(PLACES, ROUND_CEILING) for index in places)]


def _below(limit: int, most: int) -> Sequence[int]:
    """Return a few whole numbers below a limit and below the highest value that occurred, largest first."""
    top = min(limit, most) - 1
    return range(top, 0, -max(-(-top // MOST_TRIED), 1))


def _session_of(opened_position: OpenedPosition) -> object:
    return opened_position.session


def _symbol_of(opened_position: OpenedPosition) -> object:
    return opened_position.session, opened_position.trade.symbol, opened_position.trade.side


def _most(opened_positions: Sequence[OpenedPosition], key: Callable[[OpenedPosition], object]) -> int:
    return max(Counter(map(key, opened_positions)).values(), default=0)


def _most_open(opened_positions: Sequence[OpenedPosition]) -> int:
    """Return how many positions were open at the same time."""
    opens = [(position.trade.opened_at, 1) for position in opened_positions]
    closes = [(position.trade.closed_at, -1) for position in opened_positions if position.trade.closed_at]
    most = now = 0
    for _, change in sorted([*opens, *closes]):
        now += change
        most = max(most, now)
    return most


def _refused_trades(opened_positions: Sequence[OpenedPosition], admits: Admits) -> frozenset[str]:
    """Return the ids of the trades that a limit would have refused."""
    return frozenset([position.trade.id for position in opened_positions if not admits(position)])


def _by_score(least: Value) -> Admits:
    # Compare floats, like the gate.
    return lambda position: position.trade.entry_score is None or abs(position.trade.entry_score) >= float(least)


def _by_open(most: Value) -> Admits:
    ends = list[datetime]()

    def admits(position: OpenedPosition) -> bool:
        while ends and ends[0] <= position.trade.opened_at:
            heappop(ends)
        if len(ends) >= most:
            return False
        heappush(ends, position.trade.closed_at or datetime.max.replace(tzinfo=position.trade.opened_at.tzinfo))
        return True

    return admits


def _by_count(key: Callable[[OpenedPosition], object]) -> Callable[[Value], Admits]:
    def of(most: Value) -> Admits:
        counts = Counter[object]()

        def admits(opened_position: OpenedPosition) -> bool:
            if counts[key(opened_position)] >= most:
                return False
            counts[key(opened_position)] += 1
            return True

        return admits

    return of


def _by_wait(wait_s: Value) -> Admits:
    wait, filled = timedelta(seconds=int(wait_s)), dict[str, datetime]()

    def admits(opened_position: OpenedPosition) -> bool:
        last = filled.get(opened_position.trade.symbol)
        if last is not None and opened_position.trade.opened_at < last + wait:
            return False
        filled[opened_position.trade.symbol] = opened_position.trade.closed_at or opened_position.trade.opened_at
        return True

    return admits


_RULES: Mapping[str, Callable[[Value], Admits]] = {
    "min_score": _by_score,
    "max_open_positions": _by_open,
    "max_session_entries": _by_count(_session_of),
    "max_symbol_entries": _by_count(_symbol_of),
    "cooldown_s": _by_wait,
}


ORDER_SIZE = "max_order_fraction"


class LearnedStrategy(Struct, frozen=True):
    """The configuration of a strategy in use: its weights, if any, and its limits in force.

    `asked_each_time` is True if only the timetable determines when it runs.
    """

    name: str
    weights: Mapping[str, float]
    limits: Limits
    asked_each_time: bool


class WatchedStrategies(Struct, frozen=True):
    """A list of exit rules, and the strategies to whose positions it applies; `owner` is empty for the account's
    rules.
    """

    owner: str
    strategies: frozenset[str]
    stop: ExitAt | None
    target: ExitAt | None
    held: HoldingTimeLimit | None


class LearningMaterial(Struct, frozen=True):
    """The inputs of learning: all selected trades of the books, the calendar, and the settings in force."""

    trades: Sequence[TradeRow]
    sessions: Mapping[date, Session]
    day: VenueDay
    strategies: Sequence[LearnedStrategy]
    watched: Sequence[WatchedStrategies]
    entries: tuple[str, JobTimes] | None

    @property
    def of_use(self) -> Sequence[TradeRow]:
        """Return the trades of strategies that are in use."""
        names = {strategy.name for strategy in self.strategies}
        return [row for row in self.trades if row.strategy in names]

    @property
    def outcomes(self) -> Sequence[TradeOutcome]:
        return outcomes_of(self.of_use, self.sessions, self.day)


class LearnResult(Struct, frozen=True):
    """The result of learning: the counted trades, components without a weight, and the proposals."""

    counts: TradeCounts
    unknown: Mapping[str, Sequence[str]]
    proposals: Sequence[Proposal]


def learn_from_trades(of: LearningMaterial, gain_left: LeftAfter | None) -> LearnResult:
    """Learn from the outcomes; shorter holding times are evaluated only if `gain_left` is given."""
    outcomes = of.outcomes
    by_name = {own.name: [each for each in outcomes if each.trade.strategy == own.name] for own in of.strategies}
    proposals_made = [each for own in of.strategies for each in proposals(own.name, own.weights, by_name[own.name])]
    proposals_made += knobs.proposals([*_knobs(of, outcomes, by_name, gain_left)])
    proposals_made += [conviction(strategy.name, by_name[strategy.name]) for strategy in of.strategies]
    unknown = {own.name: unknown_names(own.weights, by_name[own.name]) for own in of.strategies if own.weights}
    others = len(of.trades) - len(of.of_use)
    counted = counts_of(of.of_use)
    return LearnResult(
        TradeCounts(counted.counted, counted.open, counted.not_ours + others, counted.unknown_fees),
        {name: names for name, names in unknown.items() if names},
        proposals_made,
    )


def _knobs(
    of: LearningMaterial,
    outcomes: Sequence[TradeOutcome],
    by_name: Mapping[str, Sequence[TradeOutcome]],
    gain_left: LeftAfter | None,
) -> Iterator[TunableSetting]:
    if of.entries is not None:
        names = {strategy.name for strategy in of.strategies if strategy.asked_each_time}
        yield knobs.entry_time_setting(
            *of.entries, [outcome for outcome in outcomes if outcome.trade.strategy in names]
        )
    for section in of.strategies:
        fraction = getattr(section.limits, ORDER_SIZE)
        yield knobs.order_size_setting(
            section.name, f"strategies.{section.name}.limits.{ORDER_SIZE}", fraction, by_name[section.name]
        )
    for watched in of.watched:
        yield from _exits(
            watched, [outcome for outcome in outcomes if outcome.trade.strategy in watched.strategies], gain_left
        )
    for section in of.strategies:
        own = (trade for trade in of.of_use if trade.strategy == section.name)
        opened_positions = [OpenedPosition(trade, of.day.date_of(trade.opened_at)) for trade in own]
        yield from limit_settings(section.name, section.limits, opened_positions, by_name[section.name])


def _exits(
    watched: WatchedStrategies, outcomes: Sequence[TradeOutcome], gain_left: LeftAfter | None
) -> Iterator[TunableSetting]:
    if watched.stop:
        yield knobs.stop(watched.owner, watched.stop, outcomes)
    if watched.held:
        yield knobs.time_exit(watched.owner, watched.held, outcomes, gain_left)
    if watched.target:
        yield knobs.target(watched.owner, watched.target, outcomes)


RETURN = "return, as a fraction"

WORTH = 0.001

"""The size of a difference in returns that is worth detecting: 0.1%."""


def conviction(strategy: str, outcomes: Sequence[TradeOutcome]) -> Proposal:
    """Compare the returns of trades with strong scores and with weak scores; no value is ever proposed."""
    scored = [outcome for outcome in outcomes if outcome.trade.entry_score is not None]
    differences = _differences(scored)
    missing, missing_sessions = missing_of(scored)
    missing_sessions = max(missing_sessions, fewest_sessions(1) - len(differences), 0)
    enough = not missing and not missing_sessions
    gain = estimate(differences, 1, WORTH) if enough else None
    if not gain or gain.low is None or gain.high is None or gain.p is None:
        evidence = f"{pluralize(len(scored), 'closed trade')} with a score: "
        evidence += "all alike." if enough else more_needed(missing, missing_sessions)
    else:
        proven = gain.p <= LEVEL
        evidence = (
            f"The half with the stronger scores returned {gain.mean:+.2%} more than the weaker half (95%"
            f" interval {gain.low:+.2%} to {gain.high:+.2%}):"
            f" {'more than chance' if proven else 'no more than chance'}. This changes no setting: the score"
            " decides what is bought, and the limits decide how much."
        )
    return Proposal(
        item=Item.SIZING,
        strategy=strategy,
        setting=None,
        value=None,
        proposed=None,
        n=len(scored),
        unit=RETURN,
        observed=gain.mean if gain else None,
        low=gain.low if gain else None,
        high=gain.high if gain else None,
        missing=missing,
        missing_sessions=missing_sessions,
        evidence=evidence,
    )


def _differences(scored: Sequence[TradeOutcome]) -> list[float]:
    """Return, for each session with both kinds, by how much the stronger scores returned more."""
    ranked = sorted(abs(outcome.trade.entry_score or 0.0) for outcome in scored)
    middle = ranked[len(ranked) // 2] if ranked else 0.0
    strong, weak = defaultdict[date, list[float]](list), defaultdict[date, list[float]](list)
    for scored_outcome in scored:
        (strong if abs(scored_outcome.trade.entry_score or 0.0) >= middle else weak)[scored_outcome.session].append(
            scored_outcome.net / scored_outcome.worth
        )
    return [fmean(strong[day]) - fmean(weak[day]) for day in sorted(strong.keys() & weak.keys())]
