"""Look for decisions that know the future: play the market again, cut off at a moment, and compare what came before.

A cut market has no bar, corporate action or rate of later. Whatever is decided differently up to the moment of the cut
was decided with something that wasn't known then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.adapters.memory.recorder import Level
from tradebot.app.backtest.cut import cut
from tradebot.app.backtest.opened_files import OpenedFiles
from tradebot.app.backtest.run import begin
from tradebot.exchange.times import from_datetime
from tradebot.model.record import Job
from tradebot.timetable.slots import slots

if TYPE_CHECKING:
    from datetime import datetime

    from tradebot.app.backtest.market import OpenedMarket
    from tradebot.app.backtest.run import Run
    from tradebot.model.record import CycleRecord, SessionEnd
    from tradebot.ports.strategy import Strategy

MARKET = "the market"

Strategies = Callable[[], AbstractContextManager[Sequence["Strategy"]]]
"""Yields newly made strategies, which remember nothing from another run."""


class Peek(Struct, frozen=True):
    """The first thing that differs, and when it was decided or happened, in trading time.

    `strategy` is who decided it. `known` says it as it was with the whole market, and `unknown` as it was in the market
    that was cut off at `cut_at`; `cut_at` is None if it wasn't found by cutting.
    """

    strategy: str
    what: str
    at: datetime
    known: str
    unknown: str
    cut_at: datetime | None


class Checked(Struct, frozen=True):
    """What a check for look-ahead found.

    The market was cut off at `cuts` of `of_cuts` possible moments, and so many decisions, orders, fills and ends of
    sessions were compared.
    """

    cuts: int
    of_cuts: int
    compared: int
    peeks: tuple[Peek, ...]


def moments(run: Run) -> tuple[datetime, ...]:
    """Return when a market can be cut off: at each decision of a run, and in each session at the last entry slot."""
    decided = {cycle.at for cycle in run.made.facts.cycles(job=Job.TRADE_ONCE) if cycle.candidates}
    times = run.plan.settings.timetable[Job.TRADE_ONCE]
    entries = (slots(Job.TRADE_ONCE, times, session) for session in run.made.sessions)
    last = (of_one[-1].start for of_one in entries if of_one)
    return tuple(sorted(decided | {*last} | {run.made.sessions[0].open}))


def spread(found: Sequence[datetime], count: int) -> Sequence[datetime]:
    """Return some of the moments, as far apart as possible, the last one included; all of them if there are few."""
    if count >= len(found):
        return found
    return [found[(place + 1) * len(found) // count - 1] for place in range(count)]


def check(
    run: Run, market: OpenedMarket, strategies: Strategies, cuts: int, watch: Callable[[int, int], None]
) -> Checked:
    """Return what differs in a market that is cut off, at the first moment at which anything does.

    The run has to be complete, and to have recorded every decision.
    """
    assert run.plan.level is Level.FULL, "decisions are compared, so they must have been recorded"
    possible = moments(run)
    chosen, compared, found = spread(possible, cuts), 0, [*_of_the_market(run)]
    done = 0
    with OpenedFiles() as files:
        for done, at in enumerate(chosen, 1):
            with ExitStack() as stack:
                with files.noticed("loading"):
                    fresh = stack.enter_context(strategies())
                again = begin(run.plan, files.watched(fresh, at), cut(market, from_datetime(at)), flow_from=market)
                while again.made.now() < at and not again.is_complete:
                    again.step()
            whole, part = _known(run, at), _known(again, at)
            compared += len(whole)
            watch(done, len(chosen))
            if whole != part:
                found.append(_first(whole, part, at))
                break
    began_at = run.made.sessions[0].open
    found += [
        Peek(who, f"file {name}", began_at, "it opens the file", "nothing cuts off what a file holds", None)
        for who, name in files.found
    ]
    return Checked(done, len(possible), compared, tuple(found))


def _of_the_market(run: Run) -> Iterator[Peek]:
    """Yield what the market itself shows too early."""
    if run.plan.spec.day_prices == "close" and run.plan.spec.source == "daily":
        at = run.made.sessions[0].open
        yield Peek(MARKET, "day_prices: close", at, "the close is shown after the first minute", "it isn't known", None)


Fact = tuple["datetime", str, str, str]
"""When something happened, what it is, which one it is, and who decided it."""


def _known(run: Run, until: datetime) -> Mapping[Fact, str]:
    """Return everything that a run decided and did up to a moment, in order of time."""
    facts = dict(_decided(run, until)) | dict(_done(run, until)) | dict(_ended(run.ends, until))
    return {fact: facts[fact] for fact in sorted(facts)}


def _decided(run: Run, until: datetime) -> Iterator[tuple[Fact, str]]:
    for job in (Job.TRADE_ONCE, Job.EVALUATE_EXITS):
        for cycle in run.made.facts.cycles(job=job):
            if cycle.at <= until:
                yield from _of_pass(cycle)


def _of_pass(cycle: CycleRecord) -> Iterator[tuple[Fact, str]]:
    for place, one in enumerate(cycle.candidates):
        yield (cycle.at, "decision", f"{one.candidate.symbol} {place}", one.candidate.strategy), repr(one)
    for place, refusal in enumerate(cycle.refused_strategies):
        yield (cycle.at, "decision", f"{refusal.symbol or ''} refused {place}", refusal.strategy), repr(refusal)


def _done(run: Run, until: datetime) -> Iterator[tuple[Fact, str]]:
    ledger = run.made.ledger
    for record in ledger.intents():
        intent = record.intent
        if intent.at <= until:
            yield (intent.at, "order", intent.client_order_id, intent.key.strategy), repr(intent)
    for owned in ledger.fills():
        if owned.fill.at <= until:
            yield (owned.fill.at, "fill", owned.fill.activity_id, owned.strategy), repr(owned.fill)


def _ended(ends: Sequence[SessionEnd], until: datetime) -> Iterator[tuple[Fact, str]]:
    for end in ends:
        if end.equity_at is not None and end.equity_at <= until:
            yield (end.equity_at, "equity", end.session.isoformat(), "the account"), f"{end.equity:f} USD"


def _first(whole: Mapping[Fact, str], part: Mapping[Fact, str], cut_at: datetime) -> Peek:
    """Return the first difference; of several at one moment, a decision comes before what follows from it."""
    order = ("decision", "order", "fill", "equity")
    differing = [fact for fact in {**whole, **part} if whole.get(fact) != part.get(fact)]
    at, what, which, strategy = min(differing, key=lambda fact: (fact[0], order.index(fact[1]), fact))
    known, unknown = (side.get((at, what, which, strategy), "nothing") for side in (whole, part))
    return Peek(strategy, f"{what} {which}", at, known, unknown, cut_at)
