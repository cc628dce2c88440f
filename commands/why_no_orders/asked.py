"""Read which session and which pass a person asks about, and say clearly if there is nothing of it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from commands.shared.plain import clean
from commands.shared.times import moment
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.model.record import CycleRecord, Job
from tradebot.views.explain import Explanation, Verdict, funnel

JOB = Job.TRADE_ONCE
DAY = timedelta(days=1)
NEAR = timedelta(days=10)


def session_asked(app: App, text: str | None) -> date | None:
    """Return the session that a person typed, or without one that of the newest pass; None if there is no pass.

    OperatorError for what is no date, and for a date that the stored calendar has no session of.
    """
    if text is None:
        newest = app.recorded.cycles(job=JOB, last=1) if app.recorded else ()
        return newest[0].session if newest else None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise OperatorError(
            f"--session {word(text)} is not a date", "write --session 2026-11-16; tradebot schedule lists sessions"
        ) from None
    around = app.ledger_view.sessions(max(day, date.min + NEAR) - NEAR, min(day, date.max - NEAR) + NEAR)
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

    A date may stand before it. A session that begins on the evening before has that evening too. OperatorError for
    what can't be read.
    """
    if text[4:5] == "-":
        return moment(text)
    try:
        at = moment(f"{session} {text}")
    except OperatorError:
        raise OperatorError(f"--at {word(text)} is not a time of day", "write --at 10:32, or 15:32Z in UTC") from None
    found = app.ledger_view.sessions(session, session)
    return at - DAY if found and not found[0].contains(at) and found[0].contains(at - DAY) else at


def in_force(cycles: Sequence[CycleRecord], session: date, at: datetime) -> CycleRecord:
    """Return the last pass at or before a moment; OperatorError that names the first one if there is none yet."""
    from commands.shared.times import SECOND, when

    found = [cycle for cycle in cycles if cycle.at <= at]
    if found:
        return found[-1]
    first = f"the first pass of session {session} was at {when(cycles[0].at, SECOND)}"
    raise OperatorError(
        f"no pass of trade-once had run by {when(at, SECOND)}: {first}", f"--session {session} sums all of them up"
    )


def nothing_of(app: App, facts: SqliteFacts | None, session: date | None) -> Explanation:
    """Return that no pass of a session is recorded, with the nearest sessions of which some are."""
    empty = funnel(())
    if facts is None or session is None:
        return Explanation(
            Verdict.UNKNOWN, "Nothing is on record: trade-once hasn't run.", "tradebot trade-once", empty
        )
    beside = [day for day in facts.sessions_beside(JOB, session) if day]
    kept = "tradebot config show storage tells how long passes are kept"
    named = " or ".join(f"tradebot why-no-orders --session {day}" for day in beside) or clean(kept)
    return Explanation(Verdict.UNKNOWN, f"No pass of trade-once is on record in session {session}.", named, empty)
