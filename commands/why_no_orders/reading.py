"""Read the recorded passes that a query is about."""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from commands.shared.light_helpers import clean, did_you_mean
from commands.shared.span_options import PassSpan, day_in
from commands.shared.times import CLOCK, MINUTE, YEARS, moment, stamp, when, zone
from commands.shared.universe import contract_named
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.model.intent import IntentState
from tradebot.model.record import CycleRecord, EndedPasses, Job, SpanEnds, SymbolOutcomes
from tradebot.model.trading import SlotClaim
from tradebot.views.explain import NOTHING as NOTHING_SEEN
from tradebot.views.explain import (
    Explanation,
    NoOrdersAnswer,
    final_record,
    funnel,
    gate_paths_of,
    of_strategy,
    settled_outcome,
    with_outcomes,
)

JOB = Job.TRADE_ONCE
NOTHING = SymbolOutcomes((), ())


class PassBounds(NamedTuple):
    """Which passes to read: those of a session, those since a time, or the last few (-1 for all)."""

    session: date | None = None
    since: datetime | None = None
    last: int = -1


def bounds_of(facts: SqliteFacts, span: PassSpan, session: date | None = None) -> PassBounds:
    """Return which passes to read for a period or a session; a duration ends at the newest pass."""
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
    """Return the passes of a period or a session with their candidates.

    The candidates can be limited to those of a symbol or a strategy. If the outcome of an order became known later, the
    order is counted with that outcome. Raise OperatorError for an unknown strategy.
    """
    facts = app.existing_facts
    cycles = facts.of_span(JOB, symbol=symbol, **bounds_of(facts, span, session)._asdict()) if facts else ()
    return with_later_outcomes(app, cycles, strategy)


def outcomes_of(
    app: App, span: PassSpan, symbol: str, strategy: str | None = None, *, session: date | None = None
) -> SymbolOutcomes:
    """Return the outcomes of one symbol's candidates in the passes of a period or a session.

    The passes themselves are included without their candidates. If the outcome of an order became known later, the
    order is counted with that outcome. Raise OperatorError for an unknown strategy.
    """
    facts = app.existing_facts
    outcome = facts.outcomes(JOB, symbol, **bounds_of(facts, span, session)._asdict()) if facts else NOTHING
    passes, outcomes = (
        outcome.passes,
        tuple(settled_outcome(end, lambda name: was_found(app, name)) for end in outcome.outcomes),
    )
    if strategy is None:
        return SymbolOutcomes(passes, outcomes)
    of_it = tuple(end for end in outcomes if end.strategy == strategy)
    strategy_name = strategy if of_it else known_strategy(app, strategy, passes)
    return SymbolOutcomes(tuple(of_strategy(strategy_name, passes)), of_it)


def with_later_outcomes(app: App, cycles: Sequence[CycleRecord], strategy: str | None) -> Sequence[CycleRecord]:
    """Return passes whose orders have the outcomes that became known later.

    With `strategy`, only that strategy's candidates are included. Raise OperatorError for an unknown strategy.
    """
    cycles_found = with_outcomes(cycles, lambda name: was_found(app, name))
    return cycles_found if strategy is None else of_strategy(known_strategy(app, strategy, cycles_found), cycles_found)


def ends_of(app: App, span: PassSpan, strategy: str | None = None, session: date | None = None) -> SpanEnds:
    """Return the same passes as `cycles_of`, but with a few representative candidates each, from stored sums."""
    facts = app.existing_facts
    if facts is None:
        return SpanEnds((), (), None)
    candidate = facts.span_ends(JOB, strategy=strategy, **bounds_of(facts, span, session)._asdict())
    whole = with_outcomes([candidate.whole] if candidate.whole else [], lambda name: was_found(app, name))
    sampled_candidates = [
        end._replace(record=final_record(end.record, lambda name: was_found(app, name))) for end in candidate.standing
    ]
    passes: Sequence[CycleRecord] = candidate.passes
    if strategy is not None:
        strategy_name = strategy if sampled_candidates else known_strategy(app, strategy, passes)
        passes, whole = of_strategy(strategy_name, passes), of_strategy(strategy_name, whole)
    return SpanEnds(tuple(passes), tuple(sampled_candidates), whole[0] if whole else None)


def was_found(app: App, client_order_id: str) -> bool:
    """Return True if the venue did get an order whose outcome was unknown when its pass ended."""
    record = app.ledger_view.intent(client_order_id)
    return record is not None and record.state is IntentState.ACKED


def load_refusal_counts(app: App, span: PassSpan, strategy: str | None, session: date | None) -> EndedPasses:
    """Count, by gate and reason, the candidates of a period or session; raise OperatorError for an unknown strategy."""
    facts = app.existing_facts
    if facts is None:
        return EndedPasses(0, None, None, ())
    refusal_group = facts.ended(JOB, strategy=strategy, **bounds_of(facts, span, session)._asdict())
    if strategy is not None and not refusal_group.ends:
        known_strategy(app, strategy, ())
    return refusal_group


def known_strategy(app: App, strategy: str, cycles: Sequence[CycleRecord]) -> str:
    """Return a strategy in use or in these passes; raise OperatorError for any other."""
    strategies = {*app.settings.strategies.in_use(), *(part.strategy for part in funnel(cycles).by_strategy)}
    if strategy not in strategies:
        raise OperatorError(
            f"no strategy is named {word(strategy)}", f"known: {', '.join(sorted(strategies))}; tradebot strategy list"
        )
    return strategy


def has_passes(app: App) -> bool:
    """Return True if any pass of trade-once is recorded."""
    return bool(app.existing_facts and app.existing_facts.cycles(job=JOB, last=1))


def known_symbol(app: App, symbol: str, cycles: Sequence[CycleRecord] = ()) -> str:
    """Return a symbol as the venue spells it; raise OperatorError with the closest names if there are no records of it.

    Symbols that have left the universe are known too, and so are all symbols in these passes.
    """
    universe = app.rules.universe
    name = contract_named(app.driver, universe, symbol)
    if name in universe or gate_paths_of(name, cycles) or (app.existing_facts and app.existing_facts.was_judged(name)):
        return name
    near = did_you_mean(name, universe)
    meant = near or f"it evaluates {', '.join(universe[:5])} …;"
    raise OperatorError(
        f"this bot doesn't evaluate a symbol {word(name)}",
        f"{meant} all symbols: tradebot config show universe",
    )


DAY, MINUTE_LONG = timedelta(days=1), timedelta(minutes=1)
NEAR = timedelta(days=10)


def requested_session(app: App, text: str | None) -> date | None:
    """Return the session that a person typed, by default that of the newest pass; None if there is no pass.

    Raise OperatorError for an invalid date, and for a date without a session in the stored calendar.
    """
    if text is None:
        newest = app.existing_facts.cycles(job=JOB, last=1) if app.existing_facts else ()
        return newest[0].session if newest else None
    day = day_in(text)
    if day is None:
        raise OperatorError(
            f"--session {word(text)} is not a date", "write --session 2026-11-16; tradebot schedule lists sessions"
        )
    if day.year not in YEARS:
        raise OperatorError(
            f"--session {day} is outside the years {YEARS[0]} to {YEARS[-1]}", "check the year; tradebot schedule"
        )
    around = app.ledger_view.sessions(day - NEAR, day + NEAR)
    days = [session.date for session in around]
    if days and min(days) < day < max(days) and day not in days:
        before, after = max(d for d in days if d < day), min(d for d in days if d > day)
        raise OperatorError(
            f"{day} is not a session, because the venue is closed on that day",
            f"the sessions around it: --session {before} or --session {after}",
        )
    return day


def requested_time(app: App, session: date, text: str) -> datetime:
    """Return the moment of a session that a person typed, by the venue's clock or with a Z in UTC.

    A time given to the minute or second means the end of that minute or second. A date may precede the time. A session
    that begins on the evening before includes that evening. Raise OperatorError for an invalid time.
    """
    if text[4:5] == "-":
        return moment(text) + _rest(text)
    try:
        at = moment(f"{session} {text.zfill(len(text) + 1) if text[1:2] == ':' else text}")
    except OperatorError:
        raise OperatorError(f"--at {word(text)} is not a time of day", "write --at 10:32, or 15:32Z in UTC") from None
    sessions = app.ledger_view.sessions(session, session)
    at = at - DAY if sessions and not sessions[0].contains(at) and sessions[0].contains(at - DAY) else at
    return at + _rest(text)


def _rest(text: str) -> timedelta:
    """Return how long the typed minute or second lasts; zero for a time with a fraction of a second."""
    clock = re.sub(r"(Z|[+-]\d\d:?\d\d)$", "", text)
    if "." in clock:
        return timedelta(0)
    return timedelta(seconds=1 if clock.count(":") > 1 else 60, microseconds=-1)


def missing_pass_note(session: date, at: datetime, moment: datetime, after: datetime | None) -> str | None:
    """Return a sentence about the passes before and after a time at which there was none; None if there was one."""
    if at - moment < MINUTE_LONG:
        return None
    rest = f"the next one ran at {when(after)}" if after else f"it is the last one of session {session}"
    return f"No pass ran at {when(at, MINUTE)}. This is the last one before that; {rest}."


def too_early(session: date, at: datetime, first: datetime | None, symbol: str | None) -> OperatorError:
    """Return the error for a time before the first pass of a session."""
    assert first is not None, "a session without passes was refused before"
    typed = stamp(first, CLOCK) + ("Z" if zone() == "UTC" else "")
    subject = f"{clean(symbol)} " if symbol else ""
    return OperatorError(
        f"no pass of trade-once had run by {when(at, MINUTE)}: the first one of session {session} was at {when(first)}",
        f"tradebot why-no-orders {subject}--session {session} --at {typed}",
    )


def nothing_of(app: App, session: date | None, symbol: str | None = None) -> Explanation:
    """Explain a session without recorded passes: what happened to its slots, or which nearby sessions have passes.

    Without a session, the explanation covers all passes.
    """
    facts, empty = app.existing_facts, funnel(())
    before, after = facts.sessions_beside(JOB, session) if facts and session else (None, None)
    if ran := _ran(app, session if before or after else None):
        return Explanation(
            NoOrdersAnswer.BROKEN,
            f"The decisions of past passes are lost: facts.db has none, though trade-once ran in slot {ran.slot} of "
            f"session {ran.session}. The books aren't affected.",
            "Put facts.db back if you have a copy of it. Otherwise the next pass starts a new one, and the stored "
            f"earlier passes can be replayed: tradebot replay {ran.session}",
            empty,
        )
    if before is None and after is None:
        return Explanation(NoOrdersAnswer.UNKNOWN, NOTHING_SEEN, "tradebot trade-once", empty)
    only = "" if before and after else f": the {'last' if before else 'first'} one is from session {before or after}"
    subject = f"{clean(symbol)} " if symbol else ""
    named = " or ".join(f"tradebot why-no-orders {subject}--session {day}" for day in (before, after) if day)
    return Explanation(
        NoOrdersAnswer.UNKNOWN, f"No pass of trade-once is on record in session {session}{only}.", named, empty
    )


def _ran(app: App, session: date | None) -> SlotClaim | None:
    """Return the last slot of a session, or else of the last one, in which a pass ran; None if none is stored."""
    books = app.ledger_view
    last = None if session else books.last_claim(JOB)
    day = last.session if last else session
    ran = [claim for claim in books.slot_claims(day) if claim.job == JOB and claim.missed_reason is None] if day else []
    try:
        return max(ran, key=lambda cycle: cycle.at) if ran and app.passes.passes(day) else None
    except OperatorError:
        return ran[-1]
