"""Audit what runs and what it runs on: jobs and timetable, market, configuration, data, signals, passes, events."""

from collections.abc import Iterator

from tradebot.auditing.books import silent
from tradebot.auditing.evidence import Answers, Broker, Evidence, JobRun, Silence
from tradebot.auditing.items import Area, Item, Look, State, judged, left_out, span
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.reasons import REASONS, Cause
from tradebot.model.record import Job
from tradebot.signals.contracts import broken
from tradebot.signals.kinds import kind_of
from tradebot.text import counted

SERVE = "tradebot serve"
FETCH = "tradebot fetch-flow"
SIGNALS = "tradebot signals"
MISSED = 3
"""Slots in a row that a job may miss in an open session before it counts as failed."""
CALENDAR_DAYS = 7


def process(evidence: Evidence) -> Iterator[Item]:
    """Judge who runs the timetable, and how well each job keeps to it."""
    yield _serving(evidence)
    for run in evidence.jobs:
        yield _job(run, evidence)


def _serving(evidence: Evidence) -> Item:
    place = (Area.PROCESS, "serve")
    newest = max((run.last_at for run in evidence.jobs if run.last_at), default=None)
    look = Look("locks and claims", 1 + sum(run.last_at is not None for run in evidence.jobs), newest)
    if evidence.serving:
        return judged(place, look, evidence.moment.now, State.OK, evidence.serving)
    if newest is None:
        found = "not running, and no slot was ever claimed: nothing runs the timetable"
        return judged(place, look, evidence.moment.now, State.UNKNOWN, found, SERVE)
    late = [run.job.value for run in evidence.jobs if run.missed >= MISSED]
    if late and evidence.moment.is_open:
        found = f"not running, and nothing else runs {', '.join(late)} on schedule"
        return judged(place, look, evidence.moment.now, State.WARN, found, SERVE)
    return judged(place, look, evidence.moment.now, State.OK, "not running; passes are started by hand or by cron")


def _job(run: JobRun, evidence: Evidence) -> Item:
    place, now, command = (Area.PROCESS, run.job.value), evidence.moment.now, f"tradebot {run.job.value}"
    if run.last_at is None and not run.due:
        return left_out(place, "slots", "none has been due yet, and none has run")
    if run.last_at is None:
        found = f"it never ran; {counted(run.due, 'slot')} came due in this session"
        return Item(*place, State.UNKNOWN, "slots", run.due, None, None, found, command)
    look = Look("slots and claims", run.due + 1, run.last_at)
    last = f"last {run.last_slot} by {run.by}"
    if not run.missed:
        return judged(place, look, now, State.OK, f"{last}; on time")
    found = f"{last}; {run.missed} of {run.due} slots missed since"
    # A closed session has no slot left to run by hand.
    command = command if evidence.moment.is_open else SERVE
    lost = evidence.moment.is_open and run.missed >= MISSED
    return judged(place, look, now, State.FAIL if lost else State.WARN, found, command)


def market(evidence: Evidence) -> Item:
    """Judge whether the broker's clock and the stored calendar agree about the session."""
    place, broker, moment = (Area.MARKET, "market session"), evidence.broker, evidence.moment
    if isinstance(broker, Silence):
        return silent(place, broker)
    look, ours = Look("clocks", 2, broker.clock.now), moment.is_open
    words = {True: "open", False: "closed"}
    if broker.clock.is_open != ours:
        found = f"the broker says {words[broker.clock.is_open]}, the calendar {words[ours]}: no order is sent"
        return judged(place, look, moment.now, State.FAIL, found, "tradebot status")
    turn = "closes" if ours else "opens"
    turn += f" {broker.clock.next_close if ours else broker.clock.next_open:%Y-%m-%d %H:%M}"
    return judged(place, look, moment.now, State.OK, f"{words[ours]}, {turn} UTC")


def calendar(evidence: Evidence) -> Item:
    """Judge how far ahead the stored calendar reaches, because slots and exits depend on it."""
    place, until, now = (Area.MARKET, "calendar"), evidence.calendar_until, evidence.moment.now
    if until is None:
        found = "no future session is stored"
        return Item(*place, State.UNKNOWN, "stored sessions", 0, None, None, found, "tradebot reconcile")
    look, days = Look("stored sessions", evidence.sessions), (until - now.date()).days
    state = State.OK if days >= CALENDAR_DAYS else State.WARN
    return judged(place, look, now, state, f"it reaches {until}, {counted(days, 'day')} ahead", "tradebot reconcile")


def configuration(evidence: Evidence) -> Item:
    """Judge what loading accepts but trading doesn't. Relations between settings were checked at load."""
    place, rules = (Area.CONFIGURATION, "configuration"), evidence.rules
    look = Look("settings", evidence.settings)
    bare = [symbol for symbol in rules.universe if symbol not in rules.sectors]
    if bare:
        found = f"{len(bare)} of {len(rules.universe)} symbols have no sector; no entry is made: {', '.join(bare[:5])}"
        return judged(place, look, evidence.moment.now, State.WARN, found, "tradebot config show sectors")
    found = f"valid; all {len(rules.universe)} symbols have a sector"
    return judged(place, look, evidence.moment.now, State.OK, found)


def data(evidence: Evidence) -> Iterator[Item]:
    """Judge each flow endpoint: whether all symbols have a reply, how old the oldest is, and whether rows are good."""
    for answers in evidence.data:
        yield _endpoint(answers, evidence)


def _endpoint(answers: Answers, evidence: Evidence) -> Item:
    place, moment, rules = (Area.DATA, answers.endpoint), evidence.moment, evidence.rules
    if answers.oldest is None:
        return Item(*place, State.UNKNOWN, "replies", 0, None, None, "it was never fetched", FETCH)
    look = Look(f"of {answers.wanted} replies", answers.answered, answers.newest)
    age_s = (moment.market_time - answers.oldest).total_seconds()
    limit_s = _oldest_allowed_s(answers.endpoint, evidence)
    bad = answers.foreign + answers.rejected
    found = f"oldest {span(max(age_s, 0.0))} of {span(limit_s)}; {counted(answers.received, 'row')}, {bad:,} bad"
    late = age_s > limit_s or answers.answered < answers.wanted
    believed = not answers.received or bad / answers.received <= rules.tightest.max_foreign_share
    if answers.endpoint == FLOW_ALERTS and (not believed or (late and moment.is_open)):
        return judged(place, look, moment.now, State.FAIL, f"{found}: this closes entries", FETCH)
    if answers.drifts:
        return _drifting(place, look, answers, evidence)
    return judged(place, look, moment.now, State.OK if believed and not late else State.WARN, found, FETCH)


def _drifting(place: tuple[Area, str], look: Look, answers: Answers, evidence: Evidence) -> Item:
    """Judge an endpoint whose rows aren't what the source documents; a broken core signal closes entries."""
    worst, now = answers.drifts[0], evidence.moment.now
    more = f", and {counted(len(answers.drifts) - 1, 'other difference')}" if len(answers.drifts) > 1 else ""
    found = f"{worst.found}{more}, such as {worst.example}"
    if kind_of(answers.endpoint).core and broken(answers.drifts, evidence.rules.tightest.max_foreign_share):
        return judged(place, look, now, State.FAIL, f"{found}: this closes entries", SIGNALS)
    return judged(place, look, now, State.WARN, found, SIGNALS)


def _oldest_allowed_s(endpoint: str, evidence: Evidence) -> float:
    """Return the age limit of an endpoint: alerts have their own; the others may miss one renewal."""
    if endpoint == FLOW_ALERTS:
        return evidence.rules.tightest.max_flow_age_s
    return 2.0 * kind_of(endpoint).interval_s(evidence.rules.poll_s)


def quotes(evidence: Evidence) -> Item:
    """Judge the quotes: entries need fresh ones, exits need any at all."""
    place, broker, moment = (Area.DATA, "quotes"), evidence.broker, evidence.moment
    if isinstance(broker, Silence):
        return silent(place, broker)
    if not broker.quotes and not moment.is_open:
        return left_out(place, "quotes", f"closed, and none of {broker.asked_quotes} symbols has a quote")
    if not broker.quotes:
        found = f"none of {broker.asked_quotes} symbols has a usable quote"
        return Item(*place, State.FAIL, "quotes", 0, None, None, found, "tradebot doctor")
    limit_s = evidence.rules.tightest.max_quote_age_s
    stale = [q for q in broker.quotes.values() if q.age_s(moment.now) > limit_s]
    absent = broker.asked_quotes - len(broker.quotes)
    look = Look(f"of {broker.asked_quotes} quotes", len(broker.quotes), max(q.at for q in broker.quotes.values()))
    found = f"{absent} absent, {len(stale)} older than {span(limit_s)}" + _why_absent(broker)
    late = moment.is_open and bool(absent or stale)
    return judged(place, look, moment.now, State.WARN if late else State.OK, found, "tradebot doctor")


def _why_absent(broker: Broker) -> str:
    first = next(iter(broker.rejected_quotes.items()), None)
    return f"; {first[0]}: {first[1]}" if first else ""


def signals(evidence: Evidence) -> Item:
    """Judge the last scores: how many symbols were scored, and how many on too little data."""
    place, last, moment = (Area.SIGNALS, "last scores"), evidence.score, evidence.moment
    if last is None and not _due(Job.SCORE, evidence):
        return left_out(place, "scores", "no score has been due yet")
    if last is None or not last.candidates:
        found = "nothing was scored" if last is None else "the last pass scored no symbol"
        return Item(*place, State.UNKNOWN, "scores", 0, None, None, found, "tradebot score")
    least = evidence.rules.tightest.min_coverage
    covered = [r.candidate for r in last.candidates if r.candidate.coverage is not None or r.candidate.reads_flow]
    thin = [candidate.symbol for candidate in covered if (candidate.coverage or 0.0) < least]
    found = f"{counted(len(thin), 'symbol')} with less than {least:.0%} of the data" + (
        f": {', '.join(thin[:5])}" if thin else ""
    )
    look = Look("scores", len(last.candidates), last.at)
    state = State.WARN if thin and len(thin) == len(covered) else State.OK
    return judged(place, look, moment.now, state, found, FETCH)


def cycles(evidence: Evidence) -> Item:
    """Judge the passes of trade-once over the span: candidates = orders + refused."""
    place, seen = (Area.CYCLES, "passes of trade-once"), evidence.passes
    if not seen.cycles and not _due(Job.TRADE_ONCE, evidence):
        return left_out(place, "passes", "no pass has been due yet")
    if not seen.cycles:
        found = "none was recorded in this period"
        return Item(*place, State.UNKNOWN, "passes", 0, None, None, found, f"tradebot {Job.TRADE_ONCE.value}")
    look = Look("passes", len(seen.cycles), seen.cycles[-1].at)
    refused = [cycle.job_decision for cycle in seen.cycles if cycle.job_decision]
    ended = sum(seen.ends.values())
    found = f"{counted(seen.candidates, 'candidate')} = {counted(seen.candidates - ended, 'order')} + {ended:,} refused"
    if not refused:
        return judged(place, look, evidence.moment.now, State.OK, found)
    found = f"{len(refused)} refused entirely, last by {refused[-1].reason}; {found}"
    broken = any(d.reason and REASONS[d.reason].cause is Cause.BROKEN for d in refused)
    state = State.FAIL if broken else State.OK
    return judged(place, look, evidence.moment.now, state, found, "tradebot why-no-orders --since session")


def _due(job: Job, evidence: Evidence) -> int:
    return sum(run.due for run in evidence.jobs if run.job is job)


def blocks(evidence: Evidence) -> Item:
    """Judge why candidates were refused: a blocking rule is fine, our own fault or a source's isn't."""
    place, seen = (Area.BLOCKS, "reasons of refusal"), evidence.passes
    if not seen.candidates:
        return left_out(place, "candidates", "no candidate in this period")
    look = Look("candidates", seen.candidates, seen.cycles[-1].at if seen.cycles else None)
    ordered = sorted(seen.ends.items(), key=lambda end: -end[1])
    faults = [(reason, count) for reason, count in ordered if REASONS[reason].cause in (Cause.BROKEN, Cause.UNKNOWN)]
    found = ", ".join(f"{count:,} {reason}" for reason, count in (faults or ordered)[:4]) or "none was refused"
    if not faults:
        return judged(place, look, evidence.moment.now, State.OK, found)
    return judged(place, look, evidence.moment.now, State.WARN, found, "tradebot why-no-orders --since session")


def events(evidence: Evidence) -> Item:
    """Judge the operational events of the last day: replies in an unknown format, and errors."""
    place, seen = (Area.EVENTS, "recent events"), evidence.events
    if seen is None or not seen.lines:
        return left_out(place, "events", "no event was ever written")
    # Events are stamped with wall-clock time, so they have no age in trading time.
    look, now = Look("events", seen.lines), evidence.moment.now
    if not seen.counts:
        return judged(place, look, now, State.OK, "none needs attention")
    found = ", ".join(f"{what} ({counted(count, 'time')})" for what, count in list(seen.counts.items())[:4])
    return judged(place, look, now, State.FAIL if seen.errors else State.WARN, found, "tradebot events")
