"""What runs and what it runs on: jobs and their timetable, market, configuration, data, signals, cycles, events."""

from collections.abc import Iterator

from tradebot.auditing.books import silent
from tradebot.auditing.evidence import Answers, Broker, Evidence, JobRun, Silence
from tradebot.auditing.items import Area, Item, Look, State, judged, left_out, span
from tradebot.model.flow import Endpoint
from tradebot.model.reasons import REASONS, Cause
from tradebot.model.record import Job
from tradebot.text import counted, noun

SERVE = "tradebot serve"
FETCH = "tradebot fetch-flow"
MISSED = 3
"""Slots in a row that a job may miss in an open session before it counts as failed."""
CALENDAR_DAYS = 7


def process(evidence: Evidence) -> Iterator[Item]:
    """Judge who drives the timetable, and how each job keeps to it."""
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
        found = "not running, and no slot was ever claimed: nothing drives the timetable"
        return judged(place, look, evidence.moment.now, State.UNKNOWN, found, SERVE)
    late = [run.job.value for run in evidence.jobs if run.missed >= MISSED]
    if late and evidence.moment.is_open:
        found = f"not running, and nobody else keeps {', '.join(late)} to the timetable"
        return judged(place, look, evidence.moment.now, State.WARN, found, SERVE)
    return judged(place, look, evidence.moment.now, State.OK, "not running; passes come by hand or clock")


def _job(run: JobRun, evidence: Evidence) -> Item:
    place, now, command = (Area.PROCESS, run.job.value), evidence.moment.now, f"tradebot {run.job.value}"
    if run.last_at is None and not run.due:
        return left_out(place, "slots", "none was due yet, and none was filled")
    if run.last_at is None:
        found = f"it never filled a slot; {run.due} {noun(run.due, 'was', 'were')} due in this session"
        return Item(*place, State.UNKNOWN, "slots", run.due, None, None, found, command)
    look = Look("slots and claims", run.due + 1, run.last_at)
    last = f"last {run.last_slot} by {run.by}"
    if not run.missed:
        return judged(place, look, now, State.OK, f"{last}; on time")
    found = f"{last}; {run.missed} of {run.due} slots passed since"
    # A closed session has no slot left to fill by hand.
    command = command if evidence.moment.is_open else SERVE
    lost = evidence.moment.is_open and run.missed >= MISSED
    return judged(place, look, now, State.FAIL if lost else State.WARN, found, command)


def market(evidence: Evidence) -> Item:
    """Judge whether the venue's clock and the stored calendar agree about the session."""
    place, told, moment = (Area.MARKET, "market session"), evidence.broker, evidence.moment
    if isinstance(told, Silence):
        return silent(place, told)
    look, ours = Look("clocks", 2, told.clock.now), moment.is_open
    words = {True: "open", False: "closed"}
    if told.clock.is_open != ours:
        found = f"the venue says {words[told.clock.is_open]}, the calendar {words[ours]}: no order is decided"
        return judged(place, look, moment.now, State.FAIL, found, "tradebot status")
    turn = f"closes {told.clock.next_close:%Y-%m-%d %H:%M}" if ours else f"opens {told.clock.next_open:%Y-%m-%d %H:%M}"
    return judged(place, look, moment.now, State.OK, f"{words[ours]}, {turn} UTC")


def calendar(evidence: Evidence) -> Item:
    """Judge how far the stored calendar reaches: slots and exits are reckoned by it."""
    place, until, now = (Area.MARKET, "calendar"), evidence.calendar_until, evidence.moment.now
    if until is None:
        found = "no session is stored from now on"
        return Item(*place, State.UNKNOWN, "stored sessions", 0, None, None, found, "tradebot reconcile")
    look, days = Look("stored sessions", evidence.sessions), (until - now.date()).days
    state = State.OK if days >= CALENDAR_DAYS else State.WARN
    return judged(place, look, now, state, f"it reaches {until}, {counted(days, 'day')} ahead", "tradebot reconcile")


def configuration(evidence: Evidence) -> Item:
    """Judge what loading lets pass and trading does not: relations hold already, or nothing would have begun."""
    place, rules = (Area.CONFIGURATION, "configuration"), evidence.rules
    look = Look("values", evidence.values)
    bare = [symbol for symbol in rules.universe if symbol not in rules.sectors]
    if bare:
        found = (
            f"{len(bare)} of {len(rules.universe)} symbols have no sector and are never bought: {', '.join(bare[:5])}"
        )
        return judged(place, look, evidence.moment.now, State.WARN, found, "tradebot config show sectors")
    found = f"relations hold; each of {len(rules.universe)} symbols has its sector"
    return judged(place, look, evidence.moment.now, State.OK, found)


def data(evidence: Evidence) -> Iterator[Item]:
    """Judge each flow endpoint: are there answers for all symbols, how old is the oldest, are the rows good."""
    for answers in evidence.data:
        yield _endpoint(answers, evidence)


def _endpoint(answers: Answers, evidence: Evidence) -> Item:
    place, moment, rules = (Area.DATA, answers.endpoint.value), evidence.moment, evidence.rules
    if answers.oldest is None:
        return Item(*place, State.UNKNOWN, "answers", 0, None, None, "it was never asked", FETCH)
    look = Look(f"of {answers.wanted} answers", answers.answered, answers.newest)
    age_s = (moment.market_time - answers.oldest).total_seconds()
    limit_s = _oldest_allowed_s(answers.endpoint, evidence)
    bad = answers.foreign + answers.rejected
    found = f"oldest {span(max(age_s, 0.0))} of {span(limit_s)}; {counted(answers.received, 'row')}, {bad:,} bad"
    late = age_s > limit_s or answers.answered < answers.wanted
    believed = not answers.received or bad / answers.received <= rules.limits.max_foreign_share
    if not believed or (late and moment.is_open and answers.endpoint is Endpoint.FLOW_ALERTS):
        return judged(place, look, moment.now, State.FAIL, f"{found}: entries are shut by it", FETCH)
    return judged(place, look, moment.now, State.WARN if late else State.OK, found, FETCH)


def _oldest_allowed_s(endpoint: Endpoint, evidence: Evidence) -> float:
    """Alerts have a limit of their own; another answer is late when the one that renews it was missed too."""
    if endpoint is Endpoint.FLOW_ALERTS:
        return evidence.rules.limits.max_flow_age_s
    return 2.0 * evidence.rules.poll_s[endpoint]


def quotes(evidence: Evidence) -> Item:
    """Judge the quotes: entries need fresh ones, and exits need any."""
    place, told, moment = (Area.DATA, "quotes"), evidence.broker, evidence.moment
    if isinstance(told, Silence):
        return silent(place, told)
    if not told.quotes and not moment.is_open:
        return left_out(place, "quotes", f"closed, and none of {told.asked_quotes} symbols has a quote")
    if not told.quotes:
        found = f"none of {told.asked_quotes} symbols has a usable quote"
        return Item(*place, State.FAIL, "quotes", 0, None, None, found, "tradebot doctor")
    limit_s = evidence.rules.limits.max_quote_age_s
    stale = [q for q in told.quotes.values() if q.age_s(moment.now) > limit_s]
    absent = told.asked_quotes - len(told.quotes)
    look = Look(f"of {told.asked_quotes} quotes", len(told.quotes), max(q.at for q in told.quotes.values()))
    found = f"{absent} absent, {len(stale)} older than {span(limit_s)}" + _why_absent(told)
    late = moment.is_open and bool(absent or stale)
    return judged(place, look, moment.now, State.WARN if late else State.OK, found, "tradebot doctor")


def _why_absent(told: Broker) -> str:
    first = next(iter(told.rejected_quotes.items()), None)
    return f"; {first[0]}: {first[1]}" if first else ""


def signals(evidence: Evidence) -> Item:
    """Judge the last scores: how many symbols, and how many of them rest on enough data."""
    place, last, moment = (Area.SIGNALS, "last scores"), evidence.score, evidence.moment
    if last is None and not _due(Job.SCORE, evidence):
        return left_out(place, "scores", "no score was due yet")
    if last is None or not last.candidates:
        found = "nothing was scored" if last is None else "the last pass scored no symbol"
        return Item(*place, State.UNKNOWN, "scores", 0, None, None, found, "tradebot score")
    least = evidence.rules.limits.min_coverage
    thin = [r.candidate.symbol for r in last.candidates if (r.candidate.coverage or 0.0) < least]
    found = f"{counted(len(thin), 'score')} with less than {least:.0%} of the data"
    found += f": {', '.join(thin[:5])}" if thin else ""
    look = Look("scores", len(last.candidates), last.at)
    state = State.WARN if len(thin) == len(last.candidates) else State.OK
    return judged(place, look, moment.now, state, found, FETCH)


def cycles(evidence: Evidence) -> Item:
    """Judge the passes of trade-once: in = out + sum of reasons, asserted over the whole span."""
    place, seen = (Area.CYCLES, "passes of trade-once"), evidence.passes
    if not seen.cycles and not _due(Job.TRADE_ONCE, evidence):
        return left_out(place, "passes", "no pass was due yet")
    if not seen.cycles:
        found = "none was recorded in the span"
        return Item(*place, State.UNKNOWN, "passes", 0, None, None, found, f"tradebot {Job.TRADE_ONCE.value}")
    look = Look("passes", len(seen.cycles), seen.cycles[-1].at)
    refused = [cycle.job_decision for cycle in seen.cycles if cycle.job_decision]
    ended = sum(seen.ends.values())
    found = f"{counted(seen.candidates, 'candidate')} = {counted(seen.candidates - ended, 'order')} + {ended:,} refused"
    if not refused:
        return judged(place, look, evidence.moment.now, State.OK, found)
    found = f"{len(refused)} refused as a whole, last by {refused[-1].reason}; {found}"
    broken = any(d.reason and REASONS[d.reason].cause is Cause.BROKEN for d in refused)
    state = State.FAIL if broken else State.OK
    return judged(place, look, evidence.moment.now, state, found, "tradebot why-no-orders --since session")


def _due(job: Job, evidence: Evidence) -> int:
    return sum(run.due for run in evidence.jobs if run.job is job)


def blocks(evidence: Evidence) -> Item:
    """Judge what ended candidates: a rule that blocks is as it should be, a fault of ours or theirs is not."""
    place, seen = (Area.BLOCKS, "reasons of refusal"), evidence.passes
    if not seen.candidates:
        return left_out(place, "candidates", "no candidate in the span")
    look = Look("candidates", seen.candidates, seen.cycles[-1].at if seen.cycles else None)
    ordered = sorted(seen.ends.items(), key=lambda end: -end[1])
    faults = [(reason, count) for reason, count in ordered if REASONS[reason].cause in (Cause.BROKEN, Cause.UNKNOWN)]
    found = ", ".join(f"{count} {reason}" for reason, count in (faults or ordered)[:4]) or "none was refused"
    if not faults:
        return judged(place, look, evidence.moment.now, State.OK, found)
    return judged(place, look, evidence.moment.now, State.WARN, found, "tradebot why-no-orders --since session")


def events(evidence: Evidence) -> Item:
    """Judge the operational events of the last day: answers that differ from what we know, and errors."""
    place, seen = (Area.EVENTS, "recent events"), evidence.events
    if seen is None or not seen.lines:
        return left_out(place, "events", "no event was ever written")
    # Events carry a person's clock, so their age says nothing in trading time.
    look, now = Look("events", seen.lines), evidence.moment.now
    if not seen.counts:
        return judged(place, look, now, State.OK, "none asks for attention")
    found = ", ".join(f"{count} {what}" for what, count in list(seen.counts.items())[:4])
    return judged(place, look, now, State.FAIL if seen.errors else State.WARN, found, "tradebot events")
