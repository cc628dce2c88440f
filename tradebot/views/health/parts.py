"""How each part of the bot is judged, given what was looked at of it."""

from dataclasses import dataclass

from tradebot.model.record import Job
from tradebot.model.trading import ReconcileMark, TradingState
from tradebot.text import counted, noun
from tradebot.views.health.evidence import (
    Backups,
    Broker,
    Calendar,
    Chores,
    Clocks,
    Config,
    Disk,
    Evidence,
    Facts,
    Halts,
    Journal,
    Orders,
    Prices,
    Schedule,
    Serve,
    Signals,
    Storage,
    Strategies,
    Stream,
)
from tradebot.views.health.finding import State
from tradebot.views.health.freshness import Freshness, by_clock, by_slots, just_now

MB = 1_000_000
LEAST_INODES = 1_000
"""With fewer free inodes, a pass that writes a few files may find none."""
SHOWN = 3
UNKNOWABLE = Freshness(None, None, None, None)


@dataclass(frozen=True, slots=True)
class Judged:
    """The state of a part by what was found in it, what to do, how much was looked at, and how fresh it is."""

    state: State
    found: str
    next: str
    count: int
    fresh: Freshness


def serve(evidence: Evidence, seen: Serve) -> Judged:
    """Judge `serve` by its lock and by when its lanes last looked. A bot may well be run without it."""
    note = seen.note
    if seen.running and note is not None:
        return _running(evidence, seen)
    restart, claims = "tradebot serve", counted(seen.claims, "claimed slot")
    if seen.running:
        return Judged(State.UNKNOWN, "it runs, but left no note", "tradebot status", 0, UNKNOWABLE)
    if note is not None and note.lanes:
        # Its last note at an end that was asked for names no lanes.
        found = f"process {note.pid} ended without a word; it wrote last at {note.at:%Y-%m-%d %H:%M:%S} UTC"
        return Judged(State.FAILED, found, restart, 1, by_clock(evidence, note.at))
    fresh = just_now(evidence)
    if not seen.claims:
        return Judged(State.UNKNOWN, "it isn't running, and no slot was claimed", restart, 0, fresh)
    if seen.was_last:
        return Judged(State.DEGRADED, "it was stopped, and nothing else runs what is due", restart, seen.claims, fresh)
    return Judged(State.OK, f"not in use; {claims}, the last by {seen.last_by}", restart, seen.claims, fresh)


def config(evidence: Evidence, seen: Config) -> Judged:
    """Judge the configuration by whether it can be read; otherwise no entries are sent."""
    found = f"{counted(seen.settings, 'setting')} read"
    if seen.unread:
        found = f"the accepted one is used instead, and no entries are sent: {seen.unread}"
    state = State.DEGRADED if seen.unread else State.OK
    return Judged(state, found, "tradebot config check", seen.settings, just_now(evidence))


def _running(evidence: Evidence, seen: Serve) -> Judged:
    note, budgets = seen.note, evidence.budgets
    assert note is not None, "it left a note"
    wrote = by_clock(evidence, note.at, budgets.note_s)
    who = f"process {note.pid}, since {note.since:%Y-%m-%d %H:%M:%S} UTC"
    if wrote.overdue:
        return Judged(State.FAILED, f"{who}; it hangs or is stopped", "tradebot events, then restart it", 1, wrote)
    if not note.lanes:
        return Judged(State.DEGRADED, f"{who}; it is starting or ending", "tradebot events", 1, wrote)
    slowest = min(note.lanes, key=lambda name: note.lanes[name])
    fresh = by_clock(evidence, note.lanes[slowest], budgets.lane_s)
    lanes = f"{who}; {counted(len(note.lanes), 'lane')}, and {slowest} looked last {fresh.age_s:,.0f} s ago"
    if note.troubles:
        troubles = "; ".join(f"{name}: {trouble}" for name, trouble in note.troubles.items())
        return Judged(State.DEGRADED, f"{lanes}; {troubles}", "tradebot events", len(note.lanes), fresh)
    if note.ready_at is None:
        said = f"{lanes}; books and broker aren't compared yet"
        return Judged(State.DEGRADED, said, "tradebot reconcile", len(note.lanes), fresh)
    return Judged(State.OK, lanes, "tradebot events, then restart it", len(note.lanes), fresh)


def signals(evidence: Evidence, seen: Signals) -> Judged:
    """Judge what the flow source sends by how it differs from what it documents."""
    state = State.DEGRADED if seen.broken else State.OK
    found = seen.broken or f"{counted(seen.replies, 'reply', 'replies')} checked"
    return Judged(state, found, "tradebot signals", seen.replies, by_slots(evidence, seen.at, Job.FETCH_FLOW))


def prices(evidence: Evidence, seen: Prices) -> Judged:
    """Judge prices by whether the last pass of exits had one for each position."""
    missing = seen.without
    found = f"{seen.positions - len(missing):,} of {counted(seen.positions, 'position')} priced in the last pass"
    if missing:
        found += f"; none for {', '.join(missing[:SHOWN])}"
    fresh = by_slots(evidence, seen.at, Job.EVALUATE_EXITS)
    return Judged(State.DEGRADED if missing else State.OK, found, "tradebot positions", seen.passes, fresh)


def broker(evidence: Evidence, seen: Broker) -> Judged:
    """Judge the broker by its last answer about the account."""
    fresh = by_slots(evidence, seen.answered_at, Job.EVALUATE_EXITS)
    if seen.failed_at is not None and seen.failed_at >= seen.answered_at:
        return Judged(State.FAILED, seen.why, "tradebot doctor", seen.answers, fresh)
    answers = counted(seen.answers, "answer")
    return Judged(State.OK, f"{answers} about the account", "tradebot doctor", seen.answers, fresh)


def books(evidence: Evidence, seen: ReconcileMark) -> Judged:
    """Judge the books by the last comparison with the broker's."""
    fresh, found = by_slots(evidence, seen.at, Job.RECONCILE), "books and broker agree"
    if seen.findings:
        found = f"{counted(seen.findings, 'finding')}, {seen.blocking} {noun(seen.blocking, 'keeps', 'keep')} entries"
        found += " closed"
    return Judged(State.DEGRADED if seen.blocking else State.OK, found, "tradebot reconcile", 1, fresh)


def orders(evidence: Evidence, seen: Orders) -> Judged:
    """Judge orders by those whose outcome is unknown, and for how long it has been."""
    looked = f"none with an unknown outcome in {counted(seen.records, 'record')} of the books"
    if not seen.unresolved:
        return Judged(State.OK, looked, "tradebot reconcile", seen.records, just_now(evidence))
    found = f"{counted(seen.unresolved, 'order')} with an unknown outcome"
    budget_s = evidence.budgets.slot_s[Job.RECONCILE]
    since, now = seen.oldest_at, evidence.now
    late = (now - since).total_seconds() if since and now else None
    fresh = Freshness(evidence.at, 0.0, late, budget_s)
    return Judged(State.DEGRADED, found, "tradebot reconcile", seen.records, fresh)


def ledger(evidence: Evidence, records: int) -> Judged:
    """Judge the ledger by opening it."""
    found = f"opened and read; {counted(records, 'record')}"
    return Judged(State.OK if records else State.UNKNOWN, found, "tradebot doctor", records, just_now(evidence))


def journal(evidence: Evidence, seen: Journal) -> Judged:
    """Judge the journal by whether it reaches as far as the ledger knows, with the same last record."""
    whole = seen.last > seen.sealed or (seen.last == seen.sealed and seen.same_hash)
    found = f"its last record is {seen.last}; the ledger knows of {seen.sealed}"
    state = State.OK if whole else State.FAILED
    return Judged(state, found, "tradebot journal verify; then tradebot recover", seen.last, just_now(evidence))


def facts(evidence: Evidence, seen: Facts) -> Judged:
    """Judge the store of facts by the last pass that is recorded in it."""
    fresh = by_slots(evidence, seen.at, Job.EVALUATE_EXITS)
    found = f"{counted(seen.passes, 'pass', 'passes')} recorded"
    return Judged(State.OK, found, "tradebot doctor", seen.passes, fresh)


def calendar(evidence: Evidence, seen: Calendar) -> Judged:
    """Judge the stored calendar by how far it reaches, and by whether the broker's is the same."""
    found, fresh = f"{counted(seen.sessions, 'session')} ahead, until {seen.until}", just_now(evidence)
    if seen.differs:
        return Judged(State.FAILED, seen.differs, "tradebot doctor", seen.sessions, fresh)
    left = (seen.until - (evidence.now or evidence.at).date()).days
    if left >= evidence.budgets.calendar_days:
        return Judged(State.OK, found, "tradebot reconcile", seen.sessions, fresh)
    found = f"{found}: {counted(left, 'day')} left"
    return Judged(State.DEGRADED, found, "tradebot reconcile; tradebot schedule check", seen.sessions, fresh)


def clock(evidence: Evidence, seen: Clocks) -> Judged:
    """Judge the clocks by the last pass that compared them."""
    fresh = by_slots(evidence, seen.at, Job.EVALUATE_EXITS)
    found = seen.apart or f"two clocks agreed in {counted(seen.passes, 'pass', 'passes')}"
    return Judged(State.FAILED if seen.apart else State.OK, found, "tradebot doctor", seen.passes, fresh)


def disk(evidence: Evidence, seen: Disk) -> Judged:
    """Judge the disk by what is left on it."""
    inodes = seen.free_inodes
    found = f"{seen.free_bytes / MB:,.0f} of {seen.total_bytes / MB:,.0f} MB free"
    if inodes is not None:
        found += f", {inodes:,} inodes"
    full = seen.free_bytes < seen.needed_bytes or (inodes is not None and inodes < LEAST_INODES)
    remedy = f"make room: {seen.needed_bytes / MB:,.0f} MB are needed; tradebot status --stores"
    return Judged(State.FAILED if full else State.OK, found, remedy, 1, just_now(evidence))


def storage(evidence: Evidence, seen: Storage) -> Judged:
    """Judge what only a person deletes by how large it has become."""
    size, sizes = (
        sum(each.bytes for each in seen.stores),
        (f"{each.name} {each.bytes / MB:,.0f}" for each in seen.stores),
    )
    found = f"{size / MB:,.0f} of {seen.tell_bytes / MB:,.0f} MB that only you delete: {', '.join(sizes)}"
    state = State.DEGRADED if size > seen.tell_bytes else State.OK
    remedy = f"{seen.stores[0].shrink}; or raise storage.tell_mb"
    return Judged(state, found, remedy, len(seen.stores), just_now(evidence))


def strategies(evidence: Evidence, seen: Strategies) -> Judged:
    """Judge the strategies by the last pass of entries that asked them."""
    fresh, count = by_slots(evidence, seen.asked_at, Job.TRADE_ONCE), len(seen.names)
    if not count or seen.asked_at is None:
        said = "not asked yet" if count else "none is in use"
        return Judged(State.UNKNOWN, said, "tradebot strategy list", count, fresh)
    if seen.broken:
        return Judged(State.DEGRADED, "; ".join(seen.broken[:SHOWN]), "tradebot strategy list", count, fresh)
    return Judged(State.OK, f"{', '.join(seen.names[:SHOWN])} answered", "tradebot strategy list", count, fresh)


def backup(evidence: Evidence, seen: Backups) -> Judged:
    """Judge backups by whether the last session that ended has one."""
    newest, since = seen.newest_at, seen.due_since
    age_s = max((evidence.at - newest).total_seconds(), 0.0) if newest else None
    late = max(((evidence.now or evidence.at) - since).total_seconds(), 0.0) if since else 0.0
    done = seen.due is None or (seen.newest is not None and seen.newest >= seen.due)
    fresh = Freshness(newest, age_s, 0.0 if done else late, evidence.budgets.backup_s)
    if not seen.kept:
        found = "there is none yet"
    else:
        found = f"{counted(seen.kept, 'backup')} kept" + (f", the last of session {seen.newest}" if seen.newest else "")
    if seen.failed and not done:
        return Judged(
            State.DEGRADED, f"{found}; {seen.failed}", "tradebot events; then tradebot backup", seen.kept, fresh
        )
    return Judged(State.OK if seen.kept else State.UNKNOWN, found, "tradebot backup", seen.kept, fresh)


def schedule(evidence: Evidence, seen: Schedule) -> Judged:
    """Judge the timetable by the slots of the last session that nobody ran."""
    due = counted(seen.slots, "slot")
    if not seen.slots:
        return Judged(State.UNKNOWN, "no slot was due yet", "tradebot schedule", 0, just_now(evidence))
    if not seen.missed:
        return Judged(State.OK, f"{due} due, none missed", "tradebot schedule", seen.slots, just_now(evidence))
    last = seen.missed[-1]
    found = f"{len(seen.missed):,} of {due} missed; the last was {last.job} {last.slot}: {last.why}"
    return Judged(State.DEGRADED, found, "tradebot why-no-orders", seen.slots, just_now(evidence))


def chores(evidence: Evidence, seen: Chores) -> Judged:
    """Judge each chore by its last run; one that failed isn't well until it has run again."""
    fresh, count = just_now(evidence), len(seen.runs)
    if not count and not (seen.lines and seen.due):
        found = "no chore was due yet" if seen.lines else "the timetable has no chores"
        return Judged(State.OK, found, "tradebot schedule", seen.lines, fresh)
    bad = [run for run in seen.runs if not run.well]
    found = f"{count - len(bad):,} of {counted(seen.lines, 'chore')} did their work"
    if not bad:
        return Judged(State.OK if count else State.UNKNOWN, found, "tradebot schedule", count, fresh)
    failed = (f"{run.chore} at {run.at:%Y-%m-%d %H:%M} UTC: {run.outcome}" for run in bad[:SHOWN])
    again = f"tradebot events; then tradebot schedule run {bad[0].chore} --again"
    return Judged(State.DEGRADED, f"{found}; {'; '.join(failed)}", again, count, fresh)


def stream(evidence: Evidence, seen: Stream) -> Judged:
    """Judge the stream by the last time its lane looked at it, and by whether it was lost."""
    fresh = by_clock(evidence, seen.at, evidence.budgets.lane_s)
    found = seen.lost or "connected"
    return Judged(State.DEGRADED if seen.lost else State.OK, found, "tradebot events", 1, fresh)


def halts(evidence: Evidence, seen: Halts) -> Judged:
    """Judge halts by the trading state in force; one that nobody wrote was lost."""
    state, fresh = seen.state, just_now(evidence)
    said = f"{state.state}" + (f" by {state.who}" if state.who else "") + (f": {seen.why}" if seen.why else "")
    if state.state is TradingState.ACTIVE and not seen.hidden:
        return Judged(State.OK, said, "tradebot unhalt", 1, fresh)
    by_itself = bool(state.causes or seen.hidden) or state.at is None
    said += "".join(f"; the bot had also halted itself: {why}" for why in seen.hidden)
    return Judged(State.FAILED if by_itself else State.DEGRADED, said, "tradebot unhalt", 1, fresh)
