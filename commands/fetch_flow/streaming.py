"""`tradebot fetch-flow --stream`: receive alerts as they are published, and count them."""

import time
from datetime import date, datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict

from commands.shared.ask_strategies import under_pass_lock
from commands.shared.calendar import require
from commands.shared.light_helpers import clean
from commands.shared.pass_reports import both_clocks
from commands.shared.skipped_passes import refused_report
from commands.shared.span_options import seconds_in
from commands.shared.times import CLOCK, stamp, zone
from commands.shared.verb_options import Report, identity
from jobs.slot_claims import SlotRefused
from tradebot.app.streaming import follow_stream, may_stream, trading_time
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.timetable.sessions import session_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.desk.streaming import Follower
    from tradebot.model.bar import Session

LOOK_S = 0.5
"""Real seconds between two checks for received rows."""


class FlowStreamed(Struct, frozen=True):
    """The rows received over the stream from `at` to `until`.

    `received` counts all rows. `others` of them are about symbols outside the universe, `bad` ones are unreadable, and
    `lost` ones weren't read in time. `new` counts facts that weren't stored before; `filled` of them came from the REST
    API, in `calls` calls. `missed` counts alerts that should have come over the stream. `complete` is False if alerts
    may be missing now.
    """

    at: datetime
    until: datetime
    session: date
    symbols: int
    joined: int
    received: int
    others: int
    bad: int
    lost: int
    new: int
    filled: int
    calls: int
    missed: int
    complete: bool


def run(app: "App", *, lasting: str | None) -> Report:
    """Stream alerts for a while, by default until the session has ended; exit 5 if the stream was never joined."""
    most_s = _seconds(lasting)
    under_pass_lock(app, "fetch-flow", lambda: _prepare(app))
    began = (now := trading_time(app))()
    session = session_of(app.ledger, began, app.day)
    if session is None or not may_stream(session, began):
        closed = Decision(Gate.JOB, Verdict.FAIL, Reason.MARKET_CLOSED)
        return refused_report(app, "fetch-flow", SlotRefused(closed))
    with follow_stream(app) as follower:
        until = _follow(follower, session, now, most_s)
        complete = follower.finish(session, now)
    counts = asdict(follower.so_far)
    data = FlowStreamed(began, until, session.date, follower.symbols, complete=complete, **counts)
    code = ExitCode.DONE if data.joined else ExitCode.UNAVAILABLE
    return Report("fetch-flow", data, _render, code, identity(app))


def _seconds(lasting: str | None) -> float:
    limit_s = float("inf") if lasting is None else seconds_in(lasting)
    if limit_s is None:
        raise OperatorError(f"can't read {clean(lasting or '')[:20]!r} as a duration", "write 90s, 5m, 2h or 1d")
    return limit_s


def _prepare(app: "App") -> None:
    """Check that the clocks agree, because stored alerts keep their date, and store the calendar if it is missing."""
    clocks = both_clocks(app, Job.FETCH_FLOW, dry_run=True)
    require(clocks.clock, clocks.second, app.settings)
    app.ensure_calendar(clocks.now)


def _follow(follower: "Follower", session: "Session", now: "Callable[[], datetime]", most_s: float) -> datetime:
    ends_s = time.monotonic() + most_s
    while True:
        at = now()
        follower.look(session, now)
        left_s = ends_s - time.monotonic()
        if left_s <= 0 or not may_stream(session, at):
            return at
        time.sleep(min(LOOK_S, left_s))


def _render(console: "Console", data: FlowStreamed) -> None:
    span = f"{stamp(data.at, CLOCK)} to {stamp(data.until, CLOCK)} {zone()}"
    facts, symbols = pluralize(data.new, "new fact"), pluralize(data.symbols, "symbol")
    console.print(f"Alerts of session {data.session} from {span}: {facts} about {symbols}")
    if not data.joined:
        console.print("  [red]The stream couldn't be opened.[/red] Next: tradebot events")
        return
    parts = f"{data.others:,} about other symbols, {data.bad:,} unreadable, {data.lost:,} lost"
    console.print(f"  stream: {pluralize(data.received, 'row')} ({parts}), joined {pluralize(data.joined, 'time')}")
    console.print(f"  REST API: {pluralize(data.calls, 'call')}, which added {pluralize(data.filled, 'fact')}")
    if data.missed:
        console.print(f"  [yellow]{pluralize(data.missed, 'alert')} should have come over the stream.[/yellow]")
    if not data.complete:
        console.print("  [yellow]Some alerts may be missing.[/yellow] Next: tradebot fetch-flow --endpoint flow_alerts")
