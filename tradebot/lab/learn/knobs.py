"""Evaluate alternative values of timing, sizes and exits on closed trades.

Only recorded data is used: a trade's profit, its opening and closing time, and the best and worst price that passes
saw. So only tighter values can be evaluated: the data shows whether a nearer stop or target would have been reached,
but not what would have happened with a farther one. If a value prevents a trade, that trade counts as zero, because
nobody knows what would have replaced it. All values are evaluated on the same trades, so results are corrected for the
number of values: if none makes any difference, one is still proposed by chance, but at most once in 20 times. A session
counts once, because its trades move together.

A symbol and side that gates refused in every pass of a session count as one refused trade, for the gate that refused it
first. Its result is measured from the open of the bar after that refusal, because nobody could have traded at the price
at which the decision was made.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec import Struct

from tradebot.auditing.confidence_intervals import (
    LEVEL,
    Estimate,
    correct_for_multiple_tests,
    estimate,
    fewest_sessions,
)
from tradebot.auditing.outcomes import HOUR_S, STAKE_USD, SessionReturns
from tradebot.lab.learn.values import LEAST, Item, Proposal, TradeOutcome, more_needed, plain
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.instrument import notional
from tradebot.model.record import EntryOutcome
from tradebot.model.sentences import pluralize
from tradebot.timetable.job_times import MINUTE_S, Edge, JobTimes, TimePart
from tradebot.views.trades.trade_row import rule_of

PER_SESSION = "USD per session"

WORTH = 1.0

"""The effect in USD for which an estimate states the needed number of sessions; unused here."""


class AlternativeValue(Struct, frozen=True):
    """Another value for a setting, as the user would type it, and by how much it would improve each outcome, in USD."""

    value: str
    better: Sequence[float]


class TunableSetting(Struct, frozen=True):
    """A setting with its value, the outcomes that it affected, and other values that can be evaluated on these
    outcomes.

    `part` identifies the rule in a list of exit rules. `untold` says why there are no other values.
    """

    item: Item
    strategy: str
    setting: str
    value: str
    outcomes: Sequence[TradeOutcome]
    others: Sequence[AlternativeValue]
    part: str = ""
    untold: str = ""


class _Tried(Struct, frozen=True):
    other: AlternativeValue
    changed: int
    found: Estimate


def proposals(knobs: Sequence[TunableSetting]) -> Iterator[Proposal]:
    """Yield a proposal for each setting; it has another value only if that would have earned more, beyond chance."""
    tried = [[_try_value(knob, other) for other in knob.others] if _enough(knob) else [] for knob in knobs]
    chances = [trial.found.p for each in tried for trial in each]
    proven, tests = iter(correct_for_multiple_tests(chances)), sum(each is not None for each in chances)
    for knob, each in zip(knobs, tried, strict=True):
        yield _proposal(knob, [(tried, next(proven)) for tried in each], tests)


def by_session(outcomes: Sequence[TradeOutcome], values: Sequence[float]) -> list[float]:
    """Return the sum of the values in each session that has outcomes, in order."""
    sums = dict[date, float]()
    for trade_outcome, value in sorted(zip(outcomes, values, strict=True), key=lambda pair: pair[0].session):
        sums[trade_outcome.session] = sums.get(trade_outcome.session, 0.0) + value
    return list(sums.values())


def missing_of(outcomes: Sequence[TradeOutcome]) -> tuple[int, int]:
    """Return how many more closed trades, and how many more sessions with closed trades, an evaluation needs."""
    sessions = len({outcome.session for outcome in outcomes})
    return max(LEAST - len(outcomes), 0), max(fewest_sessions(1) - sessions, 0)


def _enough(knob: TunableSetting) -> bool:
    return missing_of(knob.outcomes) == (0, 0)


def _try_value(knob: TunableSetting, other: AlternativeValue) -> _Tried:
    measured = estimate(by_session(knob.outcomes, other.better), 1, WORTH)
    return _Tried(other, sum(bool(each) for each in other.better), measured)


def _proposal(knob: TunableSetting, tried: Sequence[tuple[_Tried, float | None]], tests: int) -> Proposal:
    missing, missing_sessions = missing_of(knob.outcomes)
    proven = [trial for trial, p in tried if p is not None and p <= LEVEL and trial.found.mean > 0]
    measured = [trial for trial, p in tried if p is not None]
    better = [tried for tried in measured if tried.found.mean > 0]
    best = max(proven or better or measured, key=lambda trial: trial.found.low or 0.0, default=None)
    if missing or missing_sessions:
        evidence = f"{pluralize(len(knob.outcomes), 'closed trade')}: {more_needed(missing, missing_sessions)}"
    elif best is None:
        evidence = knob.untold or "No other value would have changed any of these trades."
    else:
        evidence = _evidence(best, tests, proven=bool(proven))
    return Proposal(
        item=knob.item,
        strategy=knob.strategy,
        setting=knob.setting,
        value=knob.value,
        proposed=best.other.value if best and proven else None,
        n=len(knob.outcomes),
        unit=PER_SESSION,
        observed=best.found.mean if best else None,
        low=best.found.low if best else None,
        high=best.found.high if best else None,
        missing=missing,
        missing_sessions=missing_sessions,
        evidence=evidence,
        part=knob.part,
    )


def _evidence(best: _Tried, tests: int, *, proven: bool) -> str:
    estimate = best.found
    interval = f"95% interval {estimate.low:+,.2f} to {estimate.high:+,.2f}"
    changed = f"{pluralize(best.changed, 'trade')} would have ended differently"
    what = f"{changed}, which makes {estimate.mean:+,.2f} USD a session ({interval})."
    if proven:
        return f"With {best.other.value}, {what}"
    if estimate.mean <= 0:
        return f"No other value that was tried would have earned more. With {best.other.value}, {what}"
    return (
        f"Chance alone may explain the best of the {pluralize(tests, 'value')} tried in all. With"
        f" {best.other.value}, {what}"
    )


HELD_S = 4 * HOUR_S

Key = tuple[str, Gate]

"""A strategy, and a gate that refused its trades."""


class Blocked:
    """Accumulates what blocked trades would have earned, session by session."""

    def __init__(self) -> None:
        self._usd = defaultdict[Key, list[float]](list)
        self._trades = defaultdict[Key, int](int)

    @property
    def keys(self) -> Collection[Key]:
        return self._usd.keys()

    def add(self, day: SessionReturns, judged: Sequence[EntryOutcome]) -> None:
        """Add the blocked trades of one session; trades without known prices aren't counted."""
        sums = defaultdict[Key, list[float]](list)
        for entry_outcome in _first_refusals(judged):
            gained = day.return_after(entry_outcome.symbol, entry_outcome.at, HELD_S)
            if gained is not None and entry_outcome.gate is not None:
                sums[entry_outcome.strategy, entry_outcome.gate].append(entry_outcome.side.sign * gained * STAKE_USD)
        for key, session_usd in sums.items():
            self._usd[key].append(sum(session_usd))
            self._trades[key] += len(session_usd)

    def proposals(self, settings: Mapping[Key, str], values: Mapping[Key, str]) -> Iterator[Proposal]:
        """Yield a proposal for each gate that shows what its refusals cost or saved."""
        keys = sorted(self._usd, key=lambda key: (key[0], -self._trades[key], key[1]))
        estimates = {key: estimate(self._usd[key], 1, WORTH) for key in keys if self._enough(key)}
        chances = dict(zip(estimates, correct_for_multiple_tests([each.p for each in estimates.values()]), strict=True))
        for key in keys:
            of, chance = estimates.get(key), chances.get(key)
            sessions = len(self._usd[key])
            yield Proposal(
                item=Item.BLOCKED,
                strategy=key[0],
                setting=settings.get(key),
                value=values.get(key),
                proposed=None,
                n=self._trades[key],
                unit=PER_SESSION,
                observed=of.mean if of else None,
                low=of.low if of else None,
                high=of.high if of else None,
                missing=max(LEAST - self._trades[key], 0),
                missing_sessions=max(fewest_sessions(1) - sessions, 0),
                evidence=self._evidence(key, proven=chance is not None and chance <= LEVEL),
                part=key[1].value,
            )

    def _enough(self, key: Key) -> bool:
        return self._trades[key] >= LEAST and len(self._usd[key]) >= fewest_sessions(1)

    def _evidence(self, key: Key, *, proven: bool) -> str:
        trades, usd = self._trades[key], self._usd[key]
        total = sum(usd)
        did = "earned" if total >= 0 else "lost"
        what = (
            f"Refused {pluralize(trades, 'trade')} in {pluralize(len(usd), 'session')}; with {STAKE_USD:,} USD "
            f"in each, "
            f"they would have {did} {abs(total):,.2f} USD before costs"
        )
        if not self._enough(key):
            more = max(LEAST - trades, 0), max(fewest_sessions(1) - len(usd), 0)
            parts = [f"{pluralize(more[0], 'more blocked trade')}"] if more[0] else []
            parts += [f"{pluralize(more[1], 'more session')} with refusals"] if more[1] else []
            return f"{what}. A conclusion takes {' and '.join(parts)}."
        if not proven:
            return f"{what}: that can't be distinguished from chance."
        if total < 0:
            return f"{what}: refusing them saved money."
        return (
            f"{what}: refusing them cost money. Learning never loosens a limit; tradebot why-no-orders --what-if shows "
            "what another value would let through."
        )


def _first_refusals(judged: Sequence[EntryOutcome]) -> Sequence[EntryOutcome]:
    """Return the first refusal of each trade that no pass of the session let through."""
    first, sent = dict[tuple[str, str, Side], EntryOutcome](), set[tuple[str, str, Side]]()
    for entry_outcome in judged:
        if not entry_outcome.was_gated or entry_outcome.score == 0:
            continue
        key = entry_outcome.strategy, entry_outcome.symbol, entry_outcome.side
        if entry_outcome.gate is None:
            sent.add(key)
        else:
            first.setdefault(key, entry_outcome)
    return [outcome for key, outcome in first.items() if key not in sent]


NEARER = tuple(map(Decimal, ("0.9", "0.75", "0.5", "0.35")))

"""The fractions of a stop's or target's distance that are evaluated."""

SMALLER = tuple(map(Decimal, ("0.75", "0.5")))

"""The fractions of an order's size that are evaluated."""

LATER_S = (1800, 3600, 5400, 7200)

"""By how much later first entries and earlier last entries of a session are evaluated, in seconds."""

PLACES = Decimal("0.0001")

ZERO = Decimal(0)

STOPPED = "stop_loss"

"""The rule in the exit reasons of a trade that its stop closed."""


class ExitAt(Struct, frozen=True):
    """A stop or target to evaluate: its setting, its position in a list of rules, and its distance."""

    setting: str
    fraction: Decimal
    part: str = ""


def stop(strategy: str, at: ExitAt, outcomes: Sequence[TradeOutcome]) -> TunableSetting:
    """Describe a stop and its nearer alternatives.

    The worst price shows whether a nearer stop would have closed a trade. Such a stop is assumed to fill as far beyond
    its price as the stops that were triggered did on average.
    """
    beyond = [-_gain(outcome) - at.fraction for outcome in outcomes if STOPPED in map(rule_of, outcome.trade.reasons)]
    slip = max(sum(beyond, ZERO) / len(beyond), ZERO) if beyond else ZERO

    def better(trade_outcome: TradeOutcome, fraction: Decimal) -> float:
        worst = trade_outcome.trade.worst
        return _closed_at(trade_outcome, -fraction - slip) if worst and worst.fraction <= -fraction else 0.0

    return _exit(Item.EXITS, strategy, at, outcomes, better)


def target(strategy: str, at: ExitAt, outcomes: Sequence[TradeOutcome]) -> TunableSetting:
    """Describe a profit target and its nearer alternatives."""

    def better(trade_outcome: TradeOutcome, fraction: Decimal) -> float:
        best = trade_outcome.trade.best
        return _closed_at(trade_outcome, fraction) if best and best.fraction >= fraction else 0.0

    return _exit(Item.TARGETS, strategy, at, outcomes, better)


def _exit(
    item: Item,
    strategy: str,
    at: ExitAt,
    outcomes: Sequence[TradeOutcome],
    better: Callable[[TradeOutcome, Decimal], float],
) -> TunableSetting:
    tried = dict.fromkeys((at.fraction * share).quantize(PLACES, ROUND_CEILING) for share in NEARER)
    others = [
        AlternativeValue(plain(each), [better(outcome, each) for outcome in outcomes])
        for each in tried
        if each < at.fraction
    ]
    return TunableSetting(item, strategy, at.setting, plain(at.fraction), outcomes, others, at.part)


def _gain(trade_outcome: TradeOutcome) -> Decimal:
    """Return what a trade gained before fees, as a fraction of what was paid."""
    trade = trade_outcome.trade
    return trade.gross_usd / notional(trade.quantity, trade.entry_price, trade.multiplier)


def _closed_at(trade_outcome: TradeOutcome, fraction: Decimal) -> float:
    """Return how much better a trade would have ended at a gain, with its actual fees."""
    trade = trade_outcome.trade
    gross = notional(trade.quantity, trade.entry_price, trade.multiplier) * fraction
    return float(gross + trade.fees_usd - trade.net_usd)


class HoldingTimeLimit(Struct, frozen=True):
    """A limit on holding time: its setting, its position in a list of rules, and its seconds."""

    setting: str
    after_s: int
    part: str = ""


LeftAfter = Callable[[TradeOutcome, int], float | None]

"""The improvement of a trade's result if it had been closed this many seconds after its entry; None if unknown."""

NO_PRICES = "No other time could be tried, because no prices of those times are known."


def shorter_holding_times(after_s: int) -> Sequence[int]:
    """Return shorter holding times to evaluate, in seconds."""
    tried = dict.fromkeys(int(after_s * share) // MINUTE_S * MINUTE_S for share in NEARER)
    return [each for each in tried if MINUTE_S <= each < after_s]


def time_exit(
    strategy: str, at: HoldingTimeLimit, outcomes: Sequence[TradeOutcome], gain_left: LeftAfter | None
) -> TunableSetting:
    """Describe the longest holding time and shorter alternatives.

    If a trade's price at the shorter time isn't known, its result stays unchanged.
    """
    others = [
        AlternativeValue(str(each), [gain_left(outcome, each) or 0.0 for outcome in outcomes])
        for each in shorter_holding_times(at.after_s)
        if gain_left
    ]
    untold = "" if gain_left else NO_PRICES
    return TunableSetting(Item.EXITS, strategy, at.setting, str(at.after_s), outcomes, others, at.part, untold)


def order_size_setting(
    strategy: str, setting: str, fraction: Decimal, outcomes: Sequence[TradeOutcome]
) -> TunableSetting:
    """Describe the size of orders and smaller alternatives, which scale every trade's profit or loss."""
    others = [
        AlternativeValue(
            plain((fraction * share).quantize(PLACES, ROUND_FLOOR)),
            [float(share - 1) * outcome.net for outcome in outcomes],
        )
        for share in SMALLER
    ]
    return TunableSetting(Item.SIZING, strategy, setting, plain(fraction), outcomes, others)


def entry_time_setting(setting: str, entries: JobTimes, outcomes: Sequence[TradeOutcome]) -> TunableSetting:
    """Describe the entry times, and alternatives that begin later in the session or end earlier."""
    timed = [outcome for outcome in outcomes if outcome.since_open_s is not None]
    part, *more = entries.parts
    if more or part.every_s is None or not part.start.of_open or part.end.of_open:
        untold = "These times aren't a single series from the open until the close, so no other times are tried."
        return TunableSetting(Item.TIMING, "", setting, str(entries), timed, (), untold=untold)
    return TunableSetting(Item.TIMING, "", setting, str(entries), timed, [*_later(part, timed), *_earlier(part, timed)])


def _later(part: TimePart, outcomes: Sequence[TradeOutcome]) -> Iterator[AlternativeValue]:
    for more_s in LATER_S:
        start = Edge(of_open=True, offset_s=part.start.offset_s + more_s)
        left_out = [outcome.since_open_s is not None and outcome.since_open_s < start.offset_s for outcome in outcomes]
        yield value_without_trades(_times_text(part, start, part.end), outcomes, left_out)


def _earlier(part: TimePart, outcomes: Sequence[TradeOutcome]) -> Iterator[AlternativeValue]:
    for more_s in LATER_S:
        end = Edge(of_open=False, offset_s=part.end.offset_s - more_s)
        left_out = [
            outcome.before_close_s is not None and outcome.before_close_s <= -end.offset_s for outcome in outcomes
        ]
        yield value_without_trades(_times_text(part, part.start, end), outcomes, left_out)


def _times_text(part: TimePart, start: Edge, end: Edge) -> str:
    return f"every {(part.every_s or 0) // MINUTE_S}m from {start} until {end}"


def value_without_trades(value: str, outcomes: Sequence[TradeOutcome], left_out: Sequence[bool]) -> AlternativeValue:
    """Return an alternative value of a setting that would have prevented the trades marked in `left_out`.

    For each of these trades, the improvement is the loss that is avoided, or minus the profit. `outcomes` and
    `left_out` are in the same order.
    """
    return AlternativeValue(
        value, [-outcome.net if out else 0.0 for outcome, out in zip(outcomes, left_out, strict=True)]
    )
