"""What `tradebot status` tells beside what is held: health, what comes next, the quota, the equity of the session."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from commands.shared.drawing import thinned
from tradebot.text import counted, noun

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.model.record import CycleRecord, Job
    from tradebot.model.trading import ReconcileMark

REACH = timedelta(days=7)
EXITS_LATE_S = 300
"""With positions and an open session, exits that have not been looked at for so long are told as late."""
PLOTTED = 60

State = Literal["ok", "warn", "unknown"]


@dataclass(frozen=True, slots=True)
class NextSlot:
    """The next due time of a job by the timetable and the stored calendar."""

    job: str
    session: date
    slot: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FlowQuota:
    """What the flow source last said of our calls; None where it did not say."""

    at: datetime
    used_today: int | None
    daily_limit: int | None
    left_today: int | None


@dataclass(frozen=True, slots=True)
class Check:
    """One part of health: what was looked at and found. Nothing looked at is unknown, never ok."""

    name: str
    state: State
    found: str


@dataclass(frozen=True, slots=True)
class Equity:
    """The account's equity in USD over the passes of the last session; `plot` holds at most sixty of them."""

    session: date
    passes: int
    first_usd: Decimal
    last_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    plot: tuple[Decimal, ...]


def next_slots(app: "App", now: datetime | None) -> tuple[NextSlot, ...]:
    """Return each job's next slot after `now`, in the order of the chain; none where no calendar is stored yet."""
    from jobs.timetable import CHAIN, slots

    if now is None:
        return ()
    sessions = app.ledger_view.sessions(now.date() - timedelta(days=1), now.date() + REACH)
    found: list[NextSlot] = []
    for job in CHAIN:
        coming = (slot for session in sessions for slot in slots(job, app.settings.timetable[job], session))
        due = next((slot for slot in coming if slot.start > now), None)
        if due is not None:
            found.append(NextSlot(job.value, due.session, due.name, due.start))
    return tuple(found)


def recent(app: "App", now: datetime | None) -> "Sequence[CycleRecord]":
    """Return the passes of the last day before the last recorded one, without their candidates."""
    if app.recorded is None or now is None:
        return ()
    return app.recorded.passes(now - timedelta(days=1))


def quota(passes: "Sequence[CycleRecord]") -> FlowQuota | None:
    """Return the quota that the newest pass of fetching was told."""
    for cycle in reversed(passes):
        told = cycle.quota
        if told is not None and told.used_today is not None:
            left = None if told.daily_limit is None else max(told.daily_limit - told.used_today, 0)
            return FlowQuota(cycle.at, told.used_today, told.daily_limit, left)
    return None


def equity(passes: "Sequence[CycleRecord]") -> Equity | None:
    """Return the equity of the newest session in which a pass saw the account."""
    seen = [cycle for cycle in passes if cycle.equity is not None]
    values = [cycle.equity for cycle in seen if cycle.session == seen[-1].session and cycle.equity is not None]
    if not values:
        return None
    plot = thinned(values, PLOTTED)
    return Equity(seen[-1].session, len(values), values[0], values[-1], min(values), max(values), plot)


def health(
    app: "App", now: datetime | None, mark: "ReconcileMark | None", passes: "Sequence[CycleRecord]", held: int
) -> tuple[Check, ...]:
    """Return what can be told of health from records alone; ages count while a session is open."""
    from tradebot.model.record import Job
    from tradebot.timetable.sessions import session_of

    limits = app.settings.limits
    session = session_of(app.ledger_view, now) if now else None
    is_open = bool(session and now and session.contains(now))
    fetched, looked = _last_whole(passes, Job.FETCH_FLOW), _last_whole(passes, Job.EVALUATE_EXITS)
    return (
        _books(mark, now, limits.max_reconcile_age_s, is_open=is_open),
        _age("flow", fetched, now, limits.max_flow_age_s, is_open=is_open),
        *([_age("exits", looked, now, EXITS_LATE_S, is_open=is_open)] if held else []),
        *_strategies(passes),
        *_fates(app),
    )


def _strategies(passes: "Sequence[CycleRecord]") -> "Iterator[Check]":
    """Yield a warning for each strategy whose answer the last pass of entries refused as a whole."""
    from tradebot.model.record import Job

    last = next((cycle for cycle in reversed(passes) if cycle.job is Job.TRADE_ONCE), None)
    for refusal in last.refused_strategies if last else ():
        found = f"{refusal.strategy} is BROKEN ({refusal.decision.reason}): tradebot strategy list"
        yield Check("strategy", "warn", found)


def _last_whole(passes: "Sequence[CycleRecord]", job: "Job") -> datetime | None:
    """Return when a job last came to its end; a pass that was cut short or failed looked at nothing for certain."""
    from tradebot.model.decision import Verdict

    ends = ((cycle.at, cycle.job_decision) for cycle in passes if cycle.job is job)
    return max((at for at, end in ends if end is None or end.verdict is not Verdict.UNKNOWN), default=None)


def _books(mark: "ReconcileMark | None", now: datetime | None, most_s: int, *, is_open: bool) -> Check:
    if mark is not None and mark.blocking:
        keep = f"{counted(mark.blocking, 'finding')} {noun(mark.blocking, 'keeps', 'keep')} entries shut"
        return Check("books", "warn", f"{keep}: tradebot reconcile")
    return _age("books", mark.at if mark else None, now, most_s, is_open=is_open)


def _age(name: str, at: datetime | None, now: datetime | None, most_s: int, *, is_open: bool) -> Check:
    if at is None or now is None:
        return Check(name, "unknown", "never looked at" if name == "books" else "not looked at in the last day")
    age_s = (now - at).total_seconds()
    late = is_open and age_s > most_s
    return Check(name, "warn" if late else "ok", f"{age_s:,.0f} s old" + (f" against {most_s:,}" if late else ""))


def _fates(app: "App") -> Iterator[Check]:
    unsure = len(app.ledger_view.intents(unresolved=True))
    found = f"{unsure} of unknown fate: tradebot reconcile" if unsure else "none of unknown fate"
    yield Check("orders", "warn" if unsure else "ok", found)
