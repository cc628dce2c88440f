"""Which other values of timing, sizes and exits closed trades can tell about, and what each would have changed.

Only what was recorded is used: what a trade earned, when it was opened and closed, and the best and worst price that
passes saw. So values on one side alone can be tried: a nearer stop or target would have been reached by what was seen,
but nobody knows what would have followed a farther one. A trade that wouldn't have been made counts as zero; what would
have been bought instead isn't known.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec import Struct

from tradebot.lab.learn.altered import Knob, Other
from tradebot.lab.learn.values import Item, TradeOutcome, plain
from tradebot.model.instrument import notional
from tradebot.timetable.job_times import MINUTE_S, Edge, JobTimes, TimePart
from tradebot.views.trades.trade_row import rule_of

NEARER = tuple(map(Decimal, ("0.9", "0.75", "0.5", "0.35")))
"""The parts of a stop's or a target's distance that are tried."""
SMALLER = tuple(map(Decimal, ("0.75", "0.5")))
"""The parts of an order's size that are tried."""
LATER_S = (1800, 3600, 5400, 7200)
"""How much later than now the first entries of a session are tried, and how much earlier the last ones."""
PLACES = Decimal("0.0001")
ZERO = Decimal(0)
STOPPED = "stop_loss"
"""The rule in the reasons of a trade that its stop closed."""


class ExitAt(Struct, frozen=True):
    """A stop or target that trades can be judged by: its setting, its place in a list of rules, and its distance."""

    setting: str
    fraction: Decimal
    part: str = ""


def stop(strategy: str, at: ExitAt, outcomes: Sequence[TradeOutcome]) -> Knob:
    """Return a stop with nearer ones. The worst price seen says whether such a stop had closed a trade before.

    It is assumed to fill as far beyond its price as the stops that were hit did on average.
    """
    beyond = [-_gain(one) - at.fraction for one in outcomes if STOPPED in map(rule_of, one.trade.reasons)]
    slip = max(sum(beyond, ZERO) / len(beyond), ZERO) if beyond else ZERO

    def better(one: TradeOutcome, fraction: Decimal) -> float:
        worst = one.trade.worst
        return _closed_at(one, -fraction - slip) if worst and worst.fraction <= -fraction else 0.0

    return _exit(Item.EXITS, strategy, at, outcomes, better)


def target(strategy: str, at: ExitAt, outcomes: Sequence[TradeOutcome]) -> Knob:
    """Return a profit target with nearer ones."""

    def better(one: TradeOutcome, fraction: Decimal) -> float:
        best = one.trade.best
        return _closed_at(one, fraction) if best and best.fraction >= fraction else 0.0

    return _exit(Item.TARGETS, strategy, at, outcomes, better)


def _exit(
    item: Item,
    strategy: str,
    at: ExitAt,
    outcomes: Sequence[TradeOutcome],
    better: Callable[[TradeOutcome, Decimal], float],
) -> Knob:
    tried = dict.fromkeys((at.fraction * share).quantize(PLACES, ROUND_CEILING) for share in NEARER)
    others = [Other(plain(each), [better(one, each) for one in outcomes]) for each in tried if each < at.fraction]
    return Knob(item, strategy, at.setting, plain(at.fraction), outcomes, others, at.part)


def _gain(one: TradeOutcome) -> Decimal:
    """Return what a trade gained before fees, as a fraction of what was paid."""
    trade = one.trade
    return trade.gross_usd / notional(trade.quantity, trade.entry_price, trade.multiplier)


def _closed_at(one: TradeOutcome, fraction: Decimal) -> float:
    """Return how much better a trade would have ended at a gain, with the fees that it had."""
    trade = one.trade
    gross = notional(trade.quantity, trade.entry_price, trade.multiplier) * fraction
    return float(gross + trade.fees_usd - trade.net_usd)


class HeldFor(Struct, frozen=True):
    """A limit on holding time: its setting, its place in a list of rules, and the seconds."""

    setting: str
    after_s: int
    part: str = ""


LeftAfter = Callable[[TradeOutcome, int], float | None]
"""How much better a trade would have ended if it had been closed so many seconds after its entry; None if unknown."""
NO_PRICES = "Another time can't be tried: no prices of that time are known."


def shorter(after_s: int) -> Sequence[int]:
    """Return shorter times that are tried instead of one, in seconds."""
    tried = dict.fromkeys(int(after_s * share) // MINUTE_S * MINUTE_S for share in NEARER)
    return [each for each in tried if MINUTE_S <= each < after_s]


def time_exit(strategy: str, at: HeldFor, outcomes: Sequence[TradeOutcome], left: LeftAfter | None) -> Knob:
    """Return the longest time that positions are held with shorter ones; a trade without a price then is as it was."""
    others = [Other(str(each), [left(one, each) or 0.0 for one in outcomes]) for each in shorter(at.after_s) if left]
    untold = "" if left else NO_PRICES
    return Knob(Item.EXITS, strategy, at.setting, str(at.after_s), outcomes, others, at.part, untold)


def size(strategy: str, setting: str, fraction: Decimal, outcomes: Sequence[TradeOutcome]) -> Knob:
    """Return the size of orders with smaller ones, with which every trade earns or loses as much less."""
    others = [
        Other(plain((fraction * share).quantize(PLACES, ROUND_FLOOR)), [float(share - 1) * one.net for one in outcomes])
        for share in SMALLER
    ]
    return Knob(Item.SIZING, strategy, setting, plain(fraction), outcomes, others)


def times(setting: str, entries: JobTimes, outcomes: Sequence[TradeOutcome]) -> Knob:
    """Return the times of entries with others that begin later in the session, or end earlier."""
    known = [one for one in outcomes if one.since_open_s is not None]
    part, *more = entries.parts
    if more or part.every_s is None or not part.start.of_open or part.end.of_open:
        untold = "They aren't one series from the open until the close, so no other times are tried."
        return Knob(Item.TIMING, "", setting, str(entries), known, (), untold=untold)
    return Knob(Item.TIMING, "", setting, str(entries), known, [*_later(part, known), *_earlier(part, known)])


def _later(part: TimePart, outcomes: Sequence[TradeOutcome]) -> Iterator[Other]:
    for more_s in LATER_S:
        start = Edge(of_open=True, offset_s=part.start.offset_s + more_s)
        left_out = [one.since_open_s is not None and one.since_open_s < start.offset_s for one in outcomes]
        yield without(_written(part, start, part.end), outcomes, left_out)


def _earlier(part: TimePart, outcomes: Sequence[TradeOutcome]) -> Iterator[Other]:
    for more_s in LATER_S:
        end = Edge(of_open=False, offset_s=part.end.offset_s - more_s)
        left_out = [one.before_close_s is not None and one.before_close_s <= -end.offset_s for one in outcomes]
        yield without(_written(part, part.start, end), outcomes, left_out)


def _written(part: TimePart, start: Edge, end: Edge) -> str:
    return f"every {(part.every_s or 0) // MINUTE_S}m from {start} until {end}"


def without(value: str, outcomes: Sequence[TradeOutcome], left_out: Sequence[bool]) -> Other:
    """Return a value with which these trades wouldn't have been made."""
    return Other(value, [-one.net if out else 0.0 for one, out in zip(outcomes, left_out, strict=True)])
