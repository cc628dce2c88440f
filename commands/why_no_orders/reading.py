"""Read the recorded passes that a person asks about."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from commands.shared.light_helpers import did_you_mean
from commands.shared.span_options import PassSpan
from commands.shared.universe import contract_named
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.model.intent import IntentState
from tradebot.model.record import CycleRecord, EndedPasses, Job, SpanEnds, SymbolOutcomes
from tradebot.views.explain import final_record, funnel, of_strategy, settled_outcome, way_of, with_outcomes

JOB = Job.TRADE_ONCE
NOTHING = SymbolOutcomes((), ())


class PassBounds(NamedTuple):
    """The passes to read: those of a session, those since a time, or the last few; -1 means all."""

    session: date | None = None
    since: datetime | None = None
    last: int = -1


def bounds_of(facts: SqliteFacts, span: PassSpan, session: date | None = None) -> PassBounds:
    """Return which passes a span or a session names; a time to cover ends with the newest pass."""
    if session is not None:
        return PassBounds(session)
    newest = facts.cycles(job=JOB, last=1) if span.session or span.since_s is not None else ()
    if not newest:
        return PassBounds(last=span.last)
    if span.since_s is None:
        return PassBounds(newest[0].session)
    return PassBounds(since=newest[0].at - timedelta(seconds=span.since_s))


def cycles_of(
    app: App, span: PassSpan, strategy: str | None = None, *, session: date | None = None, symbol: str | None = None
) -> Sequence[CycleRecord]:
    """Return the passes of a span or a session, with everything in them or only a symbol or what one strategy wanted.

    An order whose outcome has become known since counts by that outcome. OperatorError for an unknown strategy.
    """
    facts = app.recorded
    found = facts.of_span(JOB, symbol=symbol, **bounds_of(facts, span, session)._asdict()) if facts else ()
    return only(app, found, strategy)


def outcomes_of(
    app: App, span: PassSpan, symbol: str, strategy: str | None = None, *, session: date | None = None
) -> SymbolOutcomes:
    """Return the passes of a span or a session without candidates, and what became of a symbol's.

    An order whose outcome has become known since counts by that outcome. OperatorError for an unknown strategy.
    """
    facts = app.recorded
    seen = facts.outcomes(JOB, symbol, **bounds_of(facts, span, session)._asdict()) if facts else NOTHING
    passes, outcomes = (
        seen.passes,
        tuple(settled_outcome(one, lambda name: was_found(app, name)) for one in seen.outcomes),
    )
    if strategy is None:
        return SymbolOutcomes(passes, outcomes)
    of_it = tuple(one for one in outcomes if one.strategy == strategy)
    known = strategy if of_it else known_strategy(app, strategy, passes)
    return SymbolOutcomes(tuple(of_strategy(known, passes)), of_it)


def only(app: App, cycles: Sequence[CycleRecord], strategy: str | None) -> Sequence[CycleRecord]:
    """Return passes with the outcomes that have become known since, and only what a strategy wanted, if one is named.

    OperatorError for an unknown strategy.
    """
    found = with_outcomes(cycles, lambda name: was_found(app, name))
    return found if strategy is None else of_strategy(known_strategy(app, strategy, found), found)


def ends_of(app: App, span: PassSpan, strategy: str | None = None, session: date | None = None) -> SpanEnds:
    """Return what `cycles_of` does, with a few candidates that stand for all: the sums of the passes are read."""
    facts = app.recorded
    if facts is None:
        return SpanEnds((), (), None)
    seen = facts.span_ends(JOB, strategy=strategy, **bounds_of(facts, span, session)._asdict())
    whole = with_outcomes([seen.whole] if seen.whole else [], lambda name: was_found(app, name))
    standing = [
        one._replace(record=final_record(one.record, lambda name: was_found(app, name))) for one in seen.standing
    ]
    passes: Sequence[CycleRecord] = seen.passes
    if strategy is not None:
        known = strategy if standing else known_strategy(app, strategy, passes)
        passes, whole = of_strategy(known, passes), of_strategy(known, whole)
    return SpanEnds(tuple(passes), tuple(standing), whole[0] if whole else None)


def was_found(app: App, client_order_id: str) -> bool:
    """Return True if the venue turned out to have an order whose outcome wasn't known when its pass ended."""
    record = app.ledger_view.intent(client_order_id)
    return record is not None and record.state is IntentState.ACKED


def load_refusal_counts(app: App, span: PassSpan, strategy: str | None, session: date | None) -> EndedPasses:
    """Return where the candidates of a span or a session ended; OperatorError for an unknown strategy."""
    facts = app.recorded
    if facts is None:
        return EndedPasses(0, None, None, ())
    seen = facts.ended(JOB, strategy=strategy, **bounds_of(facts, span, session)._asdict())
    if strategy is not None and not seen.ends:
        known_strategy(app, strategy, ())
    return seen


def known_strategy(app: App, strategy: str, cycles: Sequence[CycleRecord]) -> str:
    """Return a strategy in use or in these passes; OperatorError for any other."""
    known = {*app.settings.strategies.in_use(), *(part.strategy for part in funnel(cycles).by_strategy)}
    if strategy not in known:
        raise OperatorError(
            f"no strategy is named {word(strategy)}", f"known: {', '.join(sorted(known))}; tradebot strategy list"
        )
    return strategy


def has_passes(app: App) -> bool:
    """Return True if any pass of trade-once is recorded."""
    return bool(app.recorded and app.recorded.cycles(job=JOB, last=1))


def known_symbol(app: App, symbol: str, cycles: Sequence[CycleRecord] = ()) -> str:
    """Return a symbol as the venue spells it; OperatorError with the closest ones if nobody ever looked at it.

    One that has left the universe can still be shown, and one of these passes.
    """
    universe = app.rules.universe
    name = contract_named(app.door, universe, symbol)
    if name in universe or way_of(name, cycles) or (app.recorded and app.recorded.was_judged(name)):
        return name
    near = did_you_mean(name, universe)
    meant = near or f"it looks at {', '.join(universe[:5])} …;"
    raise OperatorError(
        f"this bot doesn't look at a symbol {word(name)}",
        f"{meant} all symbols: tradebot config show universe",
    )
