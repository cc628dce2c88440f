"""Parse which session and pass a person asks about; a clear error if there is none."""

import re
from datetime import date, datetime, timedelta

from commands.shared.light_helpers import clean
from commands.shared.span_options import day_in
from commands.shared.times import CLOCK, MINUTE, YEARS, moment, stamp, when, zone
from commands.why_no_orders.reading import JOB
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.model.trading import SlotClaim
from tradebot.views.explain import NOTHING, Explanation, NoOrdersAnswer, funnel

DAY, MINUTE_LONG = timedelta(days=1), timedelta(minutes=1)
NEAR = timedelta(days=10)


def session_asked(app: App, text: str | None) -> date | None:
    """Return the session that a person typed, or without one that of the newest pass; None if there is no pass.

    OperatorError for what is no date, and for a date that the stored calendar has no session of.
    """
    if text is None:
        newest = app.recorded.cycles(job=JOB, last=1) if app.recorded else ()
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
    known = [session.date for session in around]
    if known and min(known) < day < max(known) and day not in known:
        before, after = max(d for d in known if d < day), min(d for d in known if d > day)
        raise OperatorError(
            f"{day} is not a session of the venue: it is closed on that day",
            f"the sessions around it: --session {before} or --session {after}",
        )
    return day


def time_asked(app: App, session: date, text: str) -> datetime:
    """Return the moment of a session that a person typed, by the venue's clock or with a Z in UTC.

    A minute is asked for until its end, and so is a second. A date may stand before the time. A session that begins on
    the evening before has that evening too. OperatorError for what can't be read.
    """
    if text[4:5] == "-":
        return moment(text) + _rest(text)
    try:
        at = moment(f"{session} {text.zfill(len(text) + 1) if text[1:2] == ':' else text}")
    except OperatorError:
        raise OperatorError(f"--at {word(text)} is not a time of day", "write --at 10:32, or 15:32Z in UTC") from None
    found = app.ledger_view.sessions(session, session)
    at = at - DAY if found and not found[0].contains(at) and found[0].contains(at - DAY) else at
    return at + _rest(text)


def _rest(text: str) -> timedelta:
    """Return how long the minute or second that was typed lasts; of a moment with a fraction, nothing is left."""
    clock = re.sub(r"(Z|[+-]\d\d:?\d\d)$", "", text)
    if "." in clock:
        return timedelta(0)
    return timedelta(seconds=1 if clock.count(":") > 1 else 60, microseconds=-1)


def asked_for(session: date, at: datetime, found: datetime, after: datetime | None) -> str | None:
    """Say which passes are around a time at which none ran; None if one did."""
    if at - found < MINUTE_LONG:
        return None
    rest = f"the next one ran at {when(after)}" if after else f"it is the last one of session {session}"
    return f"No pass ran at {when(at, MINUTE)}. This is the last one before that; {rest}."


def too_early(session: date, at: datetime, first: datetime | None, symbol: str | None) -> OperatorError:
    """Return the error for a time before the first pass of a session."""
    assert first is not None, "a session without passes has its own answer"
    typed = stamp(first, CLOCK) + ("Z" if zone() == "UTC" else "")
    subject = f"{clean(symbol)} " if symbol else ""
    return OperatorError(
        f"no pass of trade-once had run by {when(at, MINUTE)}: the first one of session {session} was at {when(first)}",
        f"tradebot why-no-orders {subject}--session {session} --at {typed}",
    )


def nothing_of(app: App, session: date | None, symbol: str | None = None) -> Explanation:
    """Return that no pass of a session is recorded: what became of those that ran, or the nearest sessions with some.

    Without a session, it is about all passes.
    """
    facts, empty = app.recorded, funnel(())
    before, after = facts.sessions_beside(JOB, session) if facts and session else (None, None)
    if ran := _ran(app, session if before or after else None):
        return Explanation(
            NoOrdersAnswer.BROKEN,
            f"The decisions of past passes are lost: facts.db has none, though trade-once ran in slot {ran.slot} of "
            f"session {ran.session}. The books aren't affected.",
            "Put facts.db back if you have a copy of it. Otherwise the next pass starts a new one, and what is kept of "
            f"earlier ones can be decided again: tradebot replay {ran.session}",
            empty,
        )
    if before is None and after is None:
        return Explanation(NoOrdersAnswer.UNKNOWN, NOTHING, "tradebot trade-once", empty)
    only = "" if before and after else f": the {'last' if before else 'first'} one is of session {before or after}"
    subject = f"{clean(symbol)} " if symbol else ""
    named = " or ".join(f"tradebot why-no-orders {subject}--session {day}" for day in (before, after) if day)
    return Explanation(
        NoOrdersAnswer.UNKNOWN, f"No pass of trade-once is on record in session {session}{only}.", named, empty
    )


def _ran(app: App, session: date | None) -> SlotClaim | None:
    """Return the last slot of a session, or else of the last one, in which a pass ran; None if none is kept of it."""
    books = app.ledger_view
    last = None if session else books.last_claim(JOB)
    day = last.session if last else session
    ran = [one for one in books.slot_claims(day) if one.job == JOB and one.missed_reason is None] if day else []
    try:
        return max(ran, key=lambda one: one.at) if ran and app.passes.passes(day) else None
    except OperatorError:
        return ran[-1]
