"""Judge each component of the bot from its evidence.

A verdict names a next step only if it differs from the usual next step for its subject. It has a freshness only if its
evidence wasn't read just now. Learned policies are judged by whether their models can be used, how old they are, and
whether they act.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from msgspec import Struct

from tradebot.judging import evidence as records
from tradebot.judging.evidence import HealthEvidence, SessionEvidence
from tradebot.judging.judgment import HealthState
from tradebot.model.record import Job, PositionDifference
from tradebot.model.sentences import noun_for, pluralize, span
from tradebot.model.serving import ENDED
from tradebot.model.trading import ReconcileMark, TradingState

NEVER = datetime.min.replace(tzinfo=UTC)


class Freshness(NamedTuple):
    """How fresh evidence is: its time, its age, how long newer evidence has been due, and the delay allowed (in
    seconds).
    """

    at: datetime | None
    age_s: float | None
    late_s: float | None
    budget_s: int | None

    @property
    def is_overdue(self) -> bool:
        return self.late_s is not None and self.budget_s is not None and self.late_s > self.budget_s


UNKNOWABLE = Freshness(None, None, None, None)


def late_s(at: datetime, due: Sequence[datetime], now: datetime) -> float:
    """Return how many seconds ago the first slot after `at` began; 0 if none has begun. `due` is in order."""
    index = bisect_right(due, at)
    return max((now - due[index]).total_seconds(), 0.0) if index < len(due) else 0.0


def by_slots(evidence: HealthEvidence, at: datetime | None, job: Job) -> Freshness:
    """Return the freshness of evidence that each pass of a job renews; it isn't late until a newer slot begins."""
    budget_s = evidence.budgets.slot_s[job]
    if evidence.now is None:
        return Freshness(at, None, None, budget_s)
    age_s = max((evidence.now - at).total_seconds(), 0.0) if at else None
    # Evidence dated later than now says nothing about now.
    ahead = at is not None and at > evidence.now + timedelta(seconds=evidence.budgets.skew_s)
    last = NEVER if at is None or ahead else at
    return Freshness(at, age_s, late_s(last, evidence.due.get(job, ()), evidence.now), budget_s)


def due_by(evidence: HealthEvidence, job: Job) -> datetime | None:
    """Return when a job's first evidence is due; None if no slot of it is known."""
    first = next(iter(evidence.due.get(job, ())), evidence.coming.get(job))
    return first + timedelta(seconds=evidence.budgets.slot_s[job]) if first else None


def by_clock(evidence: HealthEvidence, at: datetime, budget_s: int | None = None) -> Freshness:
    """Return the freshness of continuously renewed evidence by this machine's clock, which may have been set back."""
    age_s = abs((evidence.at - at).total_seconds())
    return Freshness(at, age_s, age_s, budget_s)


MB = 1_000_000

LEAST_INODES = 1_000

"""With fewer free inodes than this, a pass that writes a few files may fail."""

SHOWN = 3

GROWN = 1.1

"""At this multiple of its maximum in the first week, `serve`'s memory counts as growing."""

RESTART = "see tradebot events, then restart serve"

OK, NOT_DUE, DEGRADED, UNKNOWN, FAILED = (
    HealthState.OK,
    HealthState.NOT_DUE,
    HealthState.DEGRADED,
    HealthState.UNKNOWN,
    HealthState.FAILED,
)


class HealthVerdict(Struct, frozen=True):
    """A component's state, with the evidence examined, its age, and the remedy. NOT_DUE also has a due time."""

    state: HealthState
    found: str
    count: int
    fresh: Freshness | None = None
    next: str = ""
    until: datetime | None = None


Judge = Callable[[HealthEvidence, Any], HealthVerdict | None]

"""Judges a component from the evidence examined; None if there was nothing to examine."""


def serve(evidence: HealthEvidence, serve_evidence: records.Serve) -> HealthVerdict:
    """Judge `serve` by its lock and by when its lanes last ran. A bot may also be run without it."""
    note = serve_evidence.note
    if serve_evidence.running and note is not None:
        return _running(evidence, serve_evidence)
    if serve_evidence.running:
        return HealthVerdict(UNKNOWN, "it runs, but recorded no status", 0, UNKNOWABLE, "tradebot status")
    if note is not None and ENDED in note.troubles:
        finding = f"it ended at {note.at:%Y-%m-%d %H:%M:%S} UTC: {note.troubles[ENDED]}"
        return HealthVerdict(FAILED, finding, 1, UNKNOWABLE, "tradebot doctor, then tradebot serve")
    if note is not None and note.lanes:
        # After a requested end, its last note names no lanes.
        finding = (
            f"process {note.pid} ended without recording why; its last status is from {note.at:%Y-%m-%d %H:%M:%S} UTC"
        )
        return HealthVerdict(FAILED, finding, 1, by_clock(evidence, note.at))
    if not serve_evidence.claims:
        return HealthVerdict(UNKNOWN, "it isn't running, and no slot was claimed", 0)
    if serve_evidence.was_last:
        return HealthVerdict(
            DEGRADED, "it was stopped, and nothing else runs the slots that are due", serve_evidence.claims
        )
    return HealthVerdict(
        OK,
        f"it isn't running; other commands ran {pluralize(serve_evidence.claims, 'slot')}, the last was run by "
        f"{serve_evidence.last_by}",
        serve_evidence.claims,
    )


def _running(evidence: HealthEvidence, serve: records.Serve) -> HealthVerdict:
    note, budgets = serve.note, evidence.budgets
    assert note is not None, "it recorded a status"
    wrote = by_clock(evidence, note.at, budgets.note_s)
    who = f"process {note.pid}, since {note.since:%Y-%m-%d %H:%M:%S} UTC"
    if wrote.is_overdue:
        return HealthVerdict(FAILED, f"{who}; it hangs or is stopped", 1, wrote, RESTART)
    if not note.lanes:
        return HealthVerdict(DEGRADED, f"{who}; it is starting or ending", 1, wrote, "tradebot events")
    slowest = max(note.lanes, key=lambda name: abs(evidence.at - note.lanes[name]))
    fresh, count = by_clock(evidence, note.lanes[slowest], budgets.lane_s), len(note.lanes)
    lanes = f"{who}; {pluralize(count, 'lane')}, and {slowest} last ran {fresh.age_s:,.0f} s ago"
    lanes += ", or the clock was set back" if note.lanes[slowest] > evidence.at else ""
    if note.troubles:
        troubles = "; ".join(f"{name}: {trouble}" for name, trouble in note.troubles.items())
        return HealthVerdict(DEGRADED, f"{lanes}; {troubles}", count, fresh, "tradebot events")
    settled, memory = note.settled_bytes, note.memory_bytes
    if settled and memory and memory > GROWN * settled:
        grown = f"it uses {memory / MB:,.0f} MB of memory, and used at most {settled / MB:,.0f} MB in its first week"
        return HealthVerdict(DEGRADED, f"{lanes}; {grown}", count, fresh, RESTART)
    if note.ready_at is None:
        return HealthVerdict(
            DEGRADED, f"{lanes}; books and broker aren't compared yet", count, fresh, "tradebot reconcile"
        )
    return HealthVerdict(OK, lanes, count, fresh, RESTART)


def config(evidence: HealthEvidence, config: records.Config) -> HealthVerdict:
    """Judge the configuration: whether it can be read, and whether it keeps symbols from being bought."""
    finding, bare = f"{pluralize(config.settings, 'setting')} read", config.without_sector
    if config.unread:
        unread = f"the accepted configuration is used instead, and entries are blocked: {config.unread}"
        return HealthVerdict(DEGRADED, unread, config.settings)
    if bare:
        finding += f"; {pluralize(len(bare), 'symbol')} without a sector, so not bought: {', '.join(bare[:SHOWN])}"
        return HealthVerdict(DEGRADED, finding, config.settings, next="Add them to sectors: in your configuration")
    return HealthVerdict(OK, finding, config.settings)


def signals(evidence: HealthEvidence, reply_evidence: records.ReplyEvidence) -> HealthVerdict:
    """Judge the flow source by how its replies differ from its documentation."""
    finding = reply_evidence.broken or f"{pluralize(reply_evidence.replies, 'reply', 'replies')} checked"
    fresh = by_slots(evidence, reply_evidence.at, Job.FETCH_FLOW)
    return HealthVerdict(DEGRADED if reply_evidence.broken else OK, finding, reply_evidence.replies, fresh)


def prices(evidence: HealthEvidence, price_evidence: records.PriceEvidence) -> HealthVerdict:
    """Judge prices: whether the last exit pass had one for each position, and how old they were."""
    missing, age_s, limit_s = price_evidence.without, price_evidence.age_s, evidence.budgets.quote_s
    stale = age_s is not None and age_s > limit_s
    positions = pluralize(price_evidence.positions, "position")
    finding = f"{price_evidence.positions - len(missing):,} of {positions} priced in the last pass"
    finding += f"; none for {', '.join(missing[:SHOWN])}" if missing else ""
    finding += f"; the oldest quote was {span(age_s)} old (limit: {span(limit_s)})" if age_s is not None else ""
    fresh = by_slots(evidence, price_evidence.at, Job.EVALUATE_EXITS)
    return HealthVerdict(DEGRADED if missing or stale else OK, finding, price_evidence.passes, fresh)


def parity(evidence: HealthEvidence, parities: records.ParityEvidence) -> HealthVerdict:
    """Judge how the last session compares with its backtest; a difference without an outside cause is a fault of this
    program.
    """
    ours = f"{pluralize(parities.ours, 'unexplained difference')} in {parities.session}; " if parities.ours else ""
    state, step = (DEGRADED, f"tradebot parity {parities.session}") if parities.ours else (OK, "")
    return HealthVerdict(state, f"{ours}{parities.words}", parities.sessions, UNKNOWABLE, step)


def replay(evidence: HealthEvidence, replays: records.Replays) -> HealthVerdict:
    """Judge whether passes can be replayed: the last ones must have stored records."""
    fresh = by_slots(evidence, replays.at, Job.EVALUATE_EXITS)
    finding = f"{replays.kept:,} of {pluralize(replays.passes, 'pass', 'passes')} kept"
    if replays.lacking:
        last = noun_for(replays.lacking, "the last has", f"the last {replays.lacking:,} have")
        return HealthVerdict(DEGRADED, f"{finding}; {last} no record", replays.passes, fresh)
    return HealthVerdict(OK, finding, replays.passes, fresh)


def books(evidence: HealthEvidence, mark: ReconcileMark) -> HealthVerdict:
    """Judge the books by the last comparison with the broker's."""
    fresh, finding = by_slots(evidence, mark.at, Job.RECONCILE), "books and broker agree"
    if mark.findings:
        keep = noun_for(mark.blocking, "keeps", "keep")
        finding = f"{pluralize(mark.findings, 'finding')}, {mark.blocking} {keep} entries blocked"
    ahead_s = (mark.at - (evidence.now or mark.at)).total_seconds()
    if ahead_s > evidence.budgets.skew_s:
        late = f"the last comparison is dated {ahead_s:,.0f} s after trading time: entries are blocked"
        return HealthVerdict(FAILED, late, 1, fresh)
    return HealthVerdict(DEGRADED if mark.blocking else OK, finding, 1, fresh)


def orders(evidence: HealthEvidence, order_evidence: records.OrderEvidence) -> HealthVerdict:
    """Judge the orders: unknown outcomes, positions without their stop, fills that the books lack, and closes that
    ended early.
    """
    going_on = ", ".join(order_evidence.unfinished[:SHOWN])
    if bare := [*_lost_stops(evidence, order_evidence)]:
        finding = (
            f"no stop rests at the broker for {', '.join(bare[:SHOWN])}, according to data read since the "
            "last exit pass"
        )
        return HealthVerdict(DEGRADED, finding, order_evidence.records, next="tradebot evaluate-exits --force-slot")
    lacking = [*_unbooked_fills(evidence, order_evidence), *_untold(evidence, order_evidence)]
    if lacking and not order_evidence.unresolved:
        finding = f"{'; '.join(lacking)}, so the fills aren't booked yet"
        return HealthVerdict(
            DEGRADED, finding, order_evidence.records, next="tradebot positions, then tradebot reconcile"
        )
    if not order_evidence.unresolved and going_on:
        finding = (
            f"{going_on}; the next exit pass continues with {noun_for(len(order_evidence.unfinished), 'it', 'them')}"
        )
        return HealthVerdict(
            DEGRADED, finding, order_evidence.records, next="tradebot positions, then tradebot evaluate-exits"
        )
    if not order_evidence.unresolved:
        count = pluralize(order_evidence.records, "record")
        return HealthVerdict(OK, f"none of {count} in the books has an unknown outcome", order_evidence.records)
    finding = f"{pluralize(order_evidence.unresolved, 'order')} with an unknown outcome"
    finding += (
        f", the oldest in {order_evidence.oldest}: no order is sent in this symbol" if order_evidence.oldest else ""
    )
    finding += f"; {going_on}" if going_on else ""
    late = (
        (evidence.now - order_evidence.oldest_at).total_seconds() if order_evidence.oldest_at and evidence.now else None
    )
    fresh = Freshness(evidence.at, 0.0, late, evidence.budgets.slot_s[Job.RECONCILE])
    return HealthVerdict(DEGRADED, finding, order_evidence.records, fresh)


def _lost_stops(evidence: HealthEvidence, order_evidence: records.OrderEvidence) -> Iterator[str]:
    """Yield symbols whose stop ended since the last exit pass, which still saw it or had reported its absence."""
    cycles = evidence.past.cycles if isinstance(evidence.past, SessionEvidence) else ()
    exits = [cycle for cycle in cycles if cycle.job is Job.EVALUATE_EXITS and cycle.gaps is not None]
    if exits:
        symbols = {gap.symbol for gap in exits[-1].gaps or ()}
        yield from (
            symbol for symbol, at in order_evidence.bare.items() if at <= exits[-1].at and symbol not in symbols
        )


def _unbooked_fills(evidence: HealthEvidence, order_evidence: records.OrderEvidence) -> Iterator[str]:
    """Yield fills of orders that the broker's list of fills lacks, and for how long."""
    if order_evidence.unbooked:
        lack = _lack_text(evidence, order_evidence.unbooked_at, noun_for(len(order_evidence.unbooked), "it", "them"))
        yield f"{', '.join(order_evidence.unbooked[:SHOWN])}: the broker's list of fills {lack}"


def _untold(evidence: HealthEvidence, order_evidence: records.OrderEvidence) -> Iterator[str]:
    """Yield positions that our entries explain, although the broker reports nothing about those entries."""
    for difference in positions_that_differ(evidence.past) if isinstance(evidence.past, SessionEvidence) else ():
        if difference.symbol in order_evidence.entering and abs(difference.broker) > abs(difference.books):
            lacked = _lack_text(evidence, order_evidence.entering[difference.symbol], "our order there")
            yield f"{difference.words}; the broker's history {lacked}"


def _lack_text(evidence: HealthEvidence, at: datetime | None, what: str) -> str:
    since = f" for {span((evidence.now - at).total_seconds())}" if at and evidence.now else ""
    return f"has lacked {what}{since}" if since else f"lacks {what}"


def positions_that_differ(past: SessionEvidence) -> Sequence[PositionDifference]:
    """Return the positions that differed between books and broker in the last exit pass, unless they were compared
    since.
    """
    read = (cycle for cycle in past.cycles if cycle.job is Job.EVALUATE_EXITS and cycle.job_decision is None)
    last = max(read, key=lambda difference: difference.at, default=None)
    return () if last is None or (past.compared and past.compared.at >= last.at) else last.differing


def ledger(evidence: HealthEvidence, ledger_evidence: records.LedgerEvidence) -> HealthVerdict:
    """Judge the ledger: if it could be read, it is intact."""
    return HealthVerdict(
        OK, f"intact, of this account; {pluralize(ledger_evidence.sealed, 'record')}", ledger_evidence.pages
    )


def journal(evidence: HealthEvidence, ledger_evidence: records.LedgerEvidence) -> HealthVerdict:
    """Judge the journal: if it could be read, it is intact and belongs to the ledger."""
    return HealthVerdict(
        OK, f"intact up to record {ledger_evidence.sealed}, the last one in the ledger", ledger_evidence.sealed
    )


def calendar(evidence: HealthEvidence, calendar_evidence: records.CalendarEvidence) -> HealthVerdict:
    """Judge the stored calendar by its last date, and by whether it equals the broker's."""
    finding = f"{pluralize(calendar_evidence.sessions, 'session')} ahead, until {calendar_evidence.until}"
    if calendar_evidence.differs:
        return HealthVerdict(FAILED, calendar_evidence.differs, calendar_evidence.sessions, next="tradebot doctor")
    remaining = (calendar_evidence.until - (evidence.now or evidence.at).date()).days
    if remaining < evidence.budgets.calendar_days:
        return HealthVerdict(
            DEGRADED,
            f"{finding}: {pluralize(remaining, 'day')} left. After that no slot is due",
            calendar_evidence.sessions,
        )
    special = f"; today the broker's own hours apply: {calendar_evidence.unusual}" if calendar_evidence.unusual else ""
    return HealthVerdict(OK, f"{finding}{special}", calendar_evidence.sessions)


def disk(evidence: HealthEvidence, disk: records.Disk) -> HealthVerdict:
    """Judge the disk by its free space, and by whether its file system is suitable for a bot's folder."""
    inodes = disk.free_inodes
    finding = f"{disk.free_bytes / MB:,.0f} of {disk.total_bytes / MB:,.0f} MB free"
    finding += (f" on {disk.kind}" if disk.kind else "") + ("" if inodes is None else f", {inodes:,} inodes")
    if disk.free_bytes < disk.needed_bytes or (inodes is not None and inodes < LEAST_INODES):
        remedy = f"free disk space: {disk.needed_bytes / MB:,.0f} MB are needed; tradebot status --stores"
        return HealthVerdict(FAILED, finding, 1, next=remedy)
    if disk.unfit:
        return HealthVerdict(FAILED if disk.fatal else DEGRADED, f"{finding}, {disk.unfit}", 1)
    return HealthVerdict(OK, finding, 1)


def storage(evidence: HealthEvidence, storage: records.Storage) -> HealthVerdict:
    """Judge the size of files that only a person deletes."""
    size = sum(each.bytes for each in storage.stores)
    sizes = ", ".join(f"{each.name} {each.bytes / MB:,.0f}" for each in storage.stores)
    finding = f"{size / MB:,.0f} MB (limit: {storage.tell_bytes / MB:,.0f} MB) in files that only you delete: {sizes}"
    remedy = f"{storage.stores[0].shrink}, or raise storage.tell_mb"
    return HealthVerdict(DEGRADED if size > storage.tell_bytes else OK, finding, len(storage.stores), next=remedy)


def backup(evidence: HealthEvidence, backups: records.BackupEvidence) -> HealthVerdict:
    """Judge backups by whether the last ended session has one, and whether all are unchanged since they were made."""
    newest, since, budget_s = backups.newest_at, backups.due_since, evidence.budgets.backup_s
    age_s = by_clock(evidence, newest).age_s if newest else None
    late = max(((evidence.now or evidence.at) - since).total_seconds(), 0.0) if since else 0.0
    done = backups.due is None or (backups.newest is not None and backups.newest >= backups.due)
    fresh = Freshness(newest, age_s, 0.0 if done else late, budget_s)
    if backups.damaged:
        finding = f"{len(backups.damaged)} of {backups.kept} can't be restored: {backups.damaged[0]}"
        return HealthVerdict(FAILED, finding, backups.kept, fresh)
    if backups.failed and not done:
        finding = f"{pluralize(backups.kept, 'backup')} kept; {backups.failed}"
        return HealthVerdict(DEGRADED, finding, backups.kept, fresh, "tradebot events; then tradebot backup --session")
    if backups.not_copied:
        finding = (
            f"{pluralize(backups.kept, 'backup')} kept; the last was not copied off the machine: {backups.not_copied}"
        )
        return HealthVerdict(DEGRADED, finding, backups.kept, fresh, "tradebot backup --session")
    if not backups.kept:
        after = since or backups.coming
        first = after + timedelta(seconds=budget_s) if after and not fresh.is_overdue else None
        return HealthVerdict(NOT_DUE if first else UNKNOWN, "there is none yet", 0, fresh, until=first)
    last = f", the last of session {backups.newest}" if backups.newest else ""
    archived = f"; {_archive_text(evidence, backups.archived_at)}" if backups.archived_at else ""
    return HealthVerdict(OK, f"{pluralize(backups.kept, 'backup')} kept{last}{archived}", backups.kept, fresh)


def _archive_text(evidence: HealthEvidence, at: datetime) -> str:
    hours = int(max(((evidence.now or evidence.at) - at).total_seconds(), 0.0) // 3600)
    return f"last archived {pluralize(hours, 'hour')} ago"


def chores(evidence: HealthEvidence, chores_evidence: records.ChoresEvidence) -> HealthVerdict:
    """Judge each chore by its last run; after a failure, it is OK only once it has run successfully again."""
    count, bad = len(chores_evidence.runs), [run for run in chores_evidence.runs if not run.well]
    if not chores_evidence.lines and not count:
        return HealthVerdict(HealthState.SKIPPED, "the timetable has no chores", 0)
    if not count and not chores_evidence.due:
        return HealthVerdict(NOT_DUE, "no chore was due yet", 0, until=chores_evidence.coming)
    finding = f"{count - len(bad):,} of {pluralize(chores_evidence.lines, 'chore')} succeeded"
    if not bad:
        return HealthVerdict(OK if count else UNKNOWN, finding, count)
    failed = (f"{run.chore} at {run.at:%Y-%m-%d %H:%M} UTC: {run.outcome}" for run in bad[:SHOWN])
    again = f"tradebot events; then tradebot schedule run {bad[0].chore} --again"
    return HealthVerdict(DEGRADED, f"{finding}; {'; '.join(failed)}", count, next=again)


def judge_stream(evidence: HealthEvidence, stream_evidence: records.Stream) -> HealthVerdict:
    """Judge the stream by when its lane last checked it, and by whether it was lost."""
    fresh = by_clock(evidence, stream_evidence.at, evidence.budgets.lane_s)
    return HealthVerdict(DEGRADED if stream_evidence.lost else OK, stream_evidence.lost or "connected", 1, fresh)


def notices(evidence: HealthEvidence, notice_evidence: records.NoticeEvidence) -> HealthVerdict:
    """Judge notices by what couldn't be sent, and by channels without an address."""
    if notice_evidence.given_up or notice_evidence.waiting:
        late, lost = pluralize(notice_evidence.waiting, "notice"), pluralize(notice_evidence.given_up, "notice")
        finding = f"{late} not sent yet, {lost} given up: {notice_evidence.problem}"
        return HealthVerdict(FAILED if notice_evidence.given_up else DEGRADED, finding, notice_evidence.channels)
    if notice_evidence.unaddressed:
        finding = f"no address for {', '.join(notice_evidence.unaddressed)}"
        return HealthVerdict(DEGRADED, finding, notice_evidence.channels, next="tradebot notify list")
    return HealthVerdict(OK, "everything was sent", notice_evidence.channels)


def chat(evidence: HealthEvidence, chat: records.Chat) -> HealthVerdict:
    """Judge whether the paired person can reach the bot, above all to halt it."""
    if not chat.paired:
        return HealthVerdict(OK, "on, but nobody is paired: tradebot chat pair", 1)
    if not chat.listening:
        return HealthVerdict(
            DEGRADED, "the bot doesn't read the chat, so a message can't halt the bot", 1, next="tradebot serve"
        )
    if chat.trouble:
        return HealthVerdict(DEGRADED, f"it can't be read: {chat.trouble}", 1)
    return HealthVerdict(OK, "paired, and the bot listens", 1)


def halts(evidence: HealthEvidence, halt_evidence: records.Halts) -> HealthVerdict:
    """Judge halts by the trading state in force; a halt without a record was lost."""
    state = halt_evidence.state
    finding = (
        f"{state.state}"
        + (f" by {state.who}" if state.who else "")
        + (f": {halt_evidence.why}" if halt_evidence.why else "")
    )
    if state.state is TradingState.ACTIVE and not halt_evidence.hidden:
        return HealthVerdict(OK, finding, 1)
    by_itself = bool(state.causes or halt_evidence.hidden) or state.at is None
    finding += "".join(f"; the bot had also halted itself: {why}" for why in halt_evidence.hidden)
    return HealthVerdict(FAILED if by_itself else DEGRADED, finding, 1)


class ModelSeen(Struct, frozen=True):
    """A strategy's model: its creation time, or why it can't be used; and its maximum age in days."""

    strategy: str
    id: str
    made_at: datetime | None
    most_days: int
    refused: str = ""


class ModelsSeen(Struct, frozen=True):
    """The models of all policies in use, and what replaced them in the last entry pass."""

    models: tuple[ModelSeen, ...]
    instead: tuple[str, ...] = ()


def judge_models(evidence: HealthEvidence, models_seen: ModelsSeen) -> HealthVerdict:
    """Judge models by whether they can be used, whether they acted in the last entry pass, and their age."""
    count = len(models_seen.models)
    wrong = [*_wrong(evidence, models_seen)]
    if wrong:
        return HealthVerdict(DEGRADED, "; ".join(wrong[:SHOWN]), count)
    oldest = max((_days(evidence, model.made_at) for model in models_seen.models if model.made_at), default=0)
    return HealthVerdict(
        OK,
        f"{pluralize(count, 'model')} unchanged since signing, the oldest made {pluralize(oldest, 'day')} ago",
        count,
    )


def _wrong(evidence: HealthEvidence, models_seen: ModelsSeen) -> Iterator[str]:
    yield from (f"{model.strategy}: {model.refused}" for model in models_seen.models if model.refused)
    yield from models_seen.instead
    for each in models_seen.models:
        if each.made_at and (days := _days(evidence, each.made_at)) > each.most_days:
            age = f"{pluralize(days, 'day')} ago; at most {each.most_days} are allowed"
            yield f"{each.strategy}: {each.id} was made {age}"


def _days(evidence: HealthEvidence, made_at: datetime) -> int:
    """Return how many days ago a model was made, in trading time if known."""
    return max(((evidence.now or evidence.at) - made_at).days, 0)
