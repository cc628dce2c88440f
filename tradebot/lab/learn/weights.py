"""Learn the weights of signals: how often each component was right about a trade's outcome, and a step of its weight.

A component calls a trade right if it pointed the way of the trade and that earned something, or against it and that
lost. Its names are those that the score and the trades have: there is no other list of them. A weight's multiplier is
of the weight that the books began with. Only trades that were entered with the weight in force count, so a step is
judged by new trades, and the same outcomes never make two steps.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import isclose
from statistics import fmean
from typing import NamedTuple

from msgspec import Struct

from tradebot.lab.learn.values import LEAST, Item, Proposal, TradeOutcome, more_needed, plain
from tradebot.lab.performance.statistics import Interval, wilson
from tradebot.model.candidate import Component
from tradebot.model.text import pluralize
from tradebot.views.trades.trade_row import LONG

NEUTRAL, LOWEST, HIGHEST, STEP = 1.0, 0.25, 2.5, 0.05
"""The multiplier that changes nothing, its bounds, and how far one step moves it."""
GOOD, BAD = 0.55, 0.45
"""Above which share of right calls a weight goes up, and below which it goes down."""
EVEN, REVERTS, OFTEN = (0.48, 0.52), 0.10, 60
"""With a recent share between these two and more than so many calls, a multiplier returns toward neutral by a tenth."""
ALPHA = 0.15
"""How much the newest call counts in the moving averages."""
SHARE = "share of calls that were right"


class ComponentCall(NamedTuple):
    """What one component said about one trade: whether that was right, and what following it earned, as a fraction."""

    at: datetime
    right: bool
    gain: float


class ComponentRecord(Struct, frozen=True):
    """How a component has done: its calls, the share of right ones with Wilson's interval, and what it did lately.

    `lately` and `gain` are exponentially weighted averages over the calls, of being right and of what was earned.
    """

    calls: int
    right: int
    share: Interval
    lately: float
    gain: float


def standing(calls: Sequence[ComponentCall]) -> ComponentRecord:
    """Return how a component has done. Calls of the same moment count alike, whatever their order."""
    right = sum(call.right for call in calls)
    lately, gain = 0.5, 0.0
    by_moment = defaultdict[datetime, list[ComponentCall]](list)
    for call in calls:
        by_moment[call.at].append(call)
    for _, together in sorted(by_moment.items()):
        keeps = (1 - ALPHA) ** len(together)
        lately = _moved(lately, [float(call.right) for call in together], keeps)
        gain = _moved(gain, [call.gain for call in together], keeps)
    share = wilson(right, len(calls)) if calls else Interval(0.5, 0.0, 1.0)
    return ComponentRecord(len(calls), right, share, lately, gain)


def _moved(average: float, values: Sequence[float], keeps: float) -> float:
    return average * keeps + fmean(values) * (1 - keeps)


def step_weight(multiplier: float, of: ComponentRecord) -> float:
    """Return the multiplier after one step, within its bounds; the same one if nothing is proven."""
    if of.calls < LEAST:
        return multiplier
    if of.share.low > GOOD and of.lately > GOOD and of.gain > 0:
        return _bounded(multiplier + STEP)
    if of.share.high < BAD and of.lately < BAD:
        return _bounded(multiplier - STEP)
    if EVEN[0] <= of.lately <= EVEN[1] and of.calls > OFTEN:
        return _bounded(multiplier - REVERTS * (multiplier - NEUTRAL))
    return multiplier


def _bounded(multiplier: float) -> float:
    return min(max(multiplier, LOWEST), HIGHEST)


def proposals(strategy: str, weights: Mapping[str, float], outcomes: Sequence[TradeOutcome]) -> Iterator[Proposal]:
    """Yield what a strategy's trades say about each of its weights."""
    for name, weight in weights.items():
        if weight > 0:
            yield _proposal(strategy, name, weight, outcomes)


def unknown_names(weights: Mapping[str, float], outcomes: Sequence[TradeOutcome]) -> tuple[str, ...]:
    """Return the components of trades that no weight is about, so that nothing is ever dropped without a word."""
    return tuple(sorted({part.name for one in outcomes for part in one.trade.components} - weights.keys()))


def _proposal(strategy: str, name: str, weight: float, outcomes: Sequence[TradeOutcome]) -> Proposal:
    found = [(one, part) for one in outcomes for part in one.trade.components if part.name == name]
    base = found[0][1].weight if found and found[0][1].weight > 0 else weight
    of = standing([*_calls(found, weight)])
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


def _calls(found: Sequence[tuple[TradeOutcome, Component]], weight: float) -> Iterator[ComponentCall]:
    """Yield the calls of trades that were entered with this weight; whoever had no view, or no outcome, made none."""
    for one, part in found:
        if not part.value or not one.net or not isclose(part.weight, weight, rel_tol=1e-9):
            continue
        agreed = (part.value > 0) is (one.trade.side == LONG)
        earned = one.net / one.worth
        yield ComponentCall(one.closed_at, agreed is (earned > 0), earned if agreed else -earned)


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
    return f"{share}: {way}, from {before:.3g} to {after:.3g} times the weight that the books began with."


def _pushes(of: ComponentRecord) -> bool:
    """Return True if the calls ask for a step up or down."""
    return step_weight(NEUTRAL, of) != NEUTRAL
