"""What recorded passes say about health, about the flow quota, and about equity over a session."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from tradebot.limits import Limits
from tradebot.model.contract import Drift
from tradebot.model.decision import Gate, Verdict
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import ReconcileMark
from tradebot.text import counted, noun
from tradebot.views.plots import thinned

EXITS_LATE_S = 300
"""How late exits may be, with open positions in an open session, before health warns about them."""
PLOTTED = 60

State = Literal["ok", "warn", "unknown"]


@dataclass(frozen=True, slots=True)
class FlowQuota:
    """The flow source's last report of our calls; None for whatever it didn't report."""

    at: datetime
    used_today: int | None
    daily_limit: int | None
    left_today: int | None


@dataclass(frozen=True, slots=True)
class Check:
    """One part of health: what was checked and found. If nothing was checked it is unknown, never ok."""

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


def quota(passes: Sequence[CycleRecord]) -> FlowQuota | None:
    """Return the quota that the source reported to the newest pass of fetch-flow."""
    for cycle in reversed(passes):
        reported = cycle.quota
        if reported is not None and reported.used_today is not None:
            left = None if reported.daily_limit is None else max(reported.daily_limit - reported.used_today, 0)
            return FlowQuota(cycle.at, reported.used_today, reported.daily_limit, left)
    return None


def equity(passes: Sequence[CycleRecord]) -> Equity | None:
    """Return the equity of the newest session in which a pass saw the account."""
    seen = [cycle for cycle in passes if cycle.equity is not None]
    values = [cycle.equity for cycle in seen if cycle.session == seen[-1].session and cycle.equity is not None]
    if not values:
        return None
    plot = thinned(values, PLOTTED)
    return Equity(seen[-1].session, len(values), values[0], values[-1], min(values), max(values), plot)


def health(
    passes: Sequence[CycleRecord],
    now: datetime | None,
    mark: ReconcileMark | None,
    limits: Limits,
    *,
    is_open: bool,
    positions: int,
    unresolved: int,
    broken: Sequence[Drift] = (),
) -> tuple[Check, ...]:
    """Judge health from records alone; ages count only while a session is open.

    `positions` is the number of positions that exits watch, `unresolved` the number of orders whose outcome is unknown.
    `broken` are the differences, in too many rows, between what the flow source sends and what it documents.
    """
    fetched, looked = _last_whole(passes, Job.FETCH_FLOW), _last_whole(passes, Job.EVALUATE_EXITS)
    return (
        _books(mark, now, limits.max_reconcile_age_s, is_open=is_open),
        _age("flow", fetched, now, limits.max_flow_age_s, is_open=is_open),
        *([_age("exits", looked, now, EXITS_LATE_S, is_open=is_open)] if positions else []),
        *[Check("signals", "warn", f"{drift}: tradebot signals") for drift in broken[:1]],
        *_strategies(passes),
        _outcomes(unresolved),
    )


def _strategies(passes: Sequence[CycleRecord]) -> Iterator[Check]:
    """Yield a warning for each strategy whose answer the last pass of entries refused as a whole."""
    last = next((cycle for cycle in reversed(passes) if cycle.job is Job.TRADE_ONCE), None)
    refused = last.refused_strategies if last else ()
    for refusal in [each for each in refused if each.decision.gate is Gate.STRATEGY]:
        found = f"{refusal.strategy} is BROKEN ({refusal.decision.reason}): tradebot strategy list"
        yield Check("strategy", "warn", found)


def _last_whole(passes: Sequence[CycleRecord], job: Job) -> datetime | None:
    """Return when a job last finished; a pass that was cut short or failed may not have looked at everything."""
    ends = ((cycle.at, cycle.job_decision) for cycle in passes if cycle.job is job)
    return max((at for at, end in ends if end is None or end.verdict is not Verdict.UNKNOWN), default=None)


def _books(mark: ReconcileMark | None, now: datetime | None, most_s: int, *, is_open: bool) -> Check:
    if mark is not None and mark.blocking:
        keep = f"{counted(mark.blocking, 'finding')} {noun(mark.blocking, 'keeps', 'keep')} entries closed"
        return Check("books", "warn", f"{keep}: tradebot reconcile")
    return _age("books", mark.at if mark else None, now, most_s, is_open=is_open)


def _age(name: str, at: datetime | None, now: datetime | None, most_s: int, *, is_open: bool) -> Check:
    if at is None or now is None:
        return Check(name, "unknown", "never checked" if name == "books" else "not checked in the last day")
    age_s = (now - at).total_seconds()
    late = is_open and age_s > most_s
    return Check(name, "warn" if late else "ok", f"{age_s:,.0f} s old" + (f" against {most_s:,}" if late else ""))


def _outcomes(unresolved: int) -> Check:
    found = (
        f"{unresolved} with an unknown outcome: tradebot reconcile" if unresolved else "none with an unknown outcome"
    )
    return Check("orders", "warn" if unresolved else "ok", found)
