"""Answer about a past session, one of its passes, all passes of a span for one symbol, or the last dry run."""

from collections.abc import Sequence
from datetime import date, timedelta

from commands.shared.days import UNITS, Span
from commands.shared.surface import Report
from commands.shared.times import when
from commands.why_no_orders.asked import JOB, in_force, nothing_of, session_asked, time_asked
from commands.why_no_orders.by_pass import show as show_span
from commands.why_no_orders.report import (
    explained,
    known_strategy,
    known_symbol,
    left_out_of,
    show,
    show_symbol,
    was_found,
    way_in,
)
from tradebot.adapters.state.dry_run import read_dry_run
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.reasons import REASONS, Cause
from tradebot.model.record import CycleRecord, Job
from tradebot.model.values import replace
from tradebot.views.explain import Verdict, of_strategy, way_of, with_outcomes
from tradebot.views.symbol_span import symbol_span
from tradebot.views.why_no_orders import PLAY_AGAIN, Why, unsent


def run_session(app: App, symbol: str | None, session: str | None, at: str | None, strategy: str | None) -> Report:
    """Explain a session, or the pass of it that was in force at a time; exit 0 if an order was sent, otherwise 10."""
    day = session_asked(app, session)
    facts = app.recorded
    cycles: Sequence[CycleRecord] = (
        facts.of_span(JOB, session=day, symbol=None if at else symbol) if facts and day else ()
    )
    cycles = _of(app, cycles, strategy)
    if not cycles or day is None:
        return _answered(_without_passes(app, day))
    name = known_symbol(app, symbol) if symbol and not way_of(symbol.upper(), cycles) else symbol and symbol.upper()
    if at is not None:
        one = in_force(cycles, day, time_asked(app, day, at))
        return _one(app, name, one, changed=one is cycles[-1])
    if name is None:
        return _answered(_of_whole_session(explained(app, cycles)))
    return _spanned(app, name, cycles, day)


def run_span(app: App, symbol: str, span: Span, strategy: str | None) -> Report:
    """Sum up what became of a symbol in all passes of a span."""
    facts, newest = app.recorded, app.recorded.cycles(job=JOB, last=1) if app.recorded else ()
    name = known_symbol(app, symbol)
    cycles: Sequence[CycleRecord] = ()
    if facts and newest:
        since = newest[0].at - timedelta(seconds=span.since_s or UNITS["d"]) if span.since_s else None
        session = newest[0].session if span.session else None
        last = -1 if since or session else span.last
        cycles = facts.of_span(JOB, session=session, since=since, last=last, symbol=name)
    return _spanned(app, name, _of(app, cycles, strategy), None)


def dry_pass(app: App) -> tuple[CycleRecord, str] | None:
    """Return the last dry run, or else the last pass that only scored, and a sentence that says so; None without."""
    kept = read_dry_run(app.folder.path)
    if kept is not None:
        told = f"This was a dry run at {when(kept.at)}: nothing was sent, and nothing of it is in the books."
        return unsent(kept), told
    scored = app.recorded.cycles(job=Job.SCORE, last=1) if app.recorded else ()
    if not scored:
        return None
    told = f"This was only scored at {when(scored[0].at)}: no gate was asked, and nothing was sent."
    return unsent(scored[0]), told


def run_dry(app: App, symbol: str | None, strategy: str | None) -> Report:
    """Explain the last dry run; OperatorError if there was none."""
    found = dry_pass(app)
    if found is None:
        raise OperatorError("no dry run is on record", "tradebot trade-once --dry-run")
    cycle, told = found
    (cycle,) = _of(app, (cycle,), strategy)
    name = known_symbol(app, symbol) if symbol and not way_of(symbol.upper(), (cycle,)) else symbol and symbol.upper()
    return _one(app, name, cycle, told)


def _of(app: App, cycles: Sequence[CycleRecord], strategy: str | None) -> Sequence[CycleRecord]:
    found = with_outcomes(cycles, lambda name: was_found(app, name))
    return found if strategy is None else of_strategy(known_strategy(app, strategy, found), found)


def _one(app: App, name: str | None, cycle: CycleRecord, dry: str | None = None, *, changed: bool = True) -> Report:
    if name is None:
        why = replace(explained(app, (cycle,)), dry=dry)
        return _answered(why if changed else replace(why, now=None))
    way = replace(way_in(app, name, (cycle,), way_of(name, (cycle,))), dry=dry)
    way = way if changed else replace(way, now=None)
    code = ExitCode.DONE if way.at is not None and way.reason is None else ExitCode.FINDINGS
    return Report("why-no-orders", way, lambda console, _: show_symbol(console, way), code)


def _spanned(app: App, name: str, cycles: Sequence[CycleRecord], session: date | None) -> Report:
    data, lacking = symbol_span(name, cycles, session), left_out_of(app)
    if lacking:
        data = replace(data, left_out=lacking)
        data = data if data.orders else replace(data, sentence=lacking, remedy=PLAY_AGAIN)
    return Report("why-no-orders", data, show_span, ExitCode.DONE if data.orders else ExitCode.FINDINGS)


def _without_passes(app: App, session: date | None) -> Why:
    why = replace(explained(app, (), session), explanation=nothing_of(app, app.recorded, session))
    return _of_whole_session(why)


def _of_whole_session(why: Why) -> Why:
    """Return the answer about a whole session: slots that nobody ran, because something is broken, outrank the rest."""
    lost = next((row for row in why.missed if row.job == JOB and REASONS[row.reason].cause is Cause.BROKEN), None)
    answer = why.explanation
    if lost is None or answer.verdict is Verdict.BROKEN:
        return why
    slots = f"{lost.count} slots" if lost.count > 1 else "1 slot"
    said = f"{answer.sentence} Nobody ran {slots} of {lost.job}: {lost.reason}."
    return replace(
        why, explanation=replace(answer, verdict=Verdict.BROKEN, sentence=said, remedy=REASONS[lost.reason].remedy)
    )


def _answered(why: Why) -> Report:
    code = ExitCode.DONE if why.explanation.verdict is Verdict.TRADED else ExitCode.FINDINGS
    return Report("why-no-orders", why, show, code)
