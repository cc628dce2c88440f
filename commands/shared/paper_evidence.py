"""Count what a bot on paper has shown, for venues that ask for it before real money: from its books and its events."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.events import worth_seeing
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.record import Job

GAP = timedelta(minutes=5)
"""The longest time between two passes that reached the venue in which the connection counts as unbroken."""
CRASHES = frozenset({EventKind.JOB_FAULT, EventKind.CEILING_REACHED, EventKind.LANE_STALLED})
CRASH_HALTS = frozenset({Reason.PASS_FAULT, Reason.CRASH_LOOP})
ALWAYS = datetime.max.replace(tzinfo=UTC)


class PaperEvidence(NamedTuple):
    """For how long passes have reached the venue since the last crash, the longest time unbroken, and that crash."""

    connected: timedelta
    unbroken: timedelta
    crashed_at: datetime | None


def load_paper_evidence(folder: Path, ledger: SqliteLedger) -> PaperEvidence:
    """Return what a bot's books and events show; a pass claims its slot only once the venue has told its time."""
    began = ledger.books_opened_at()
    if began is None:
        return PaperEvidence(timedelta(), timedelta(), None)
    crashed_at = max(_crashes(folder, ledger, began), default=None)
    spans = [timedelta()]
    for before, after in pairwise(_reached(ledger, max(began, crashed_at or began))):
        if after - before > GAP:
            spans.append(timedelta())
        spans[-1] += after - before if after - before <= GAP else timedelta()
    return PaperEvidence(sum(spans, timedelta()), max(spans), crashed_at)


def _reached(ledger: SqliteLedger, since: datetime) -> list[datetime]:
    days, jobs = ledger.sessions(since.date() - timedelta(days=1), ALWAYS.date()), set(Job)
    claims = (one for day in days for one in ledger.slot_claims(day.date))
    return sorted(one.at for one in claims if one.missed_reason is None and one.job in jobs and one.at >= since)


def _crashes(folder: Path, ledger: SqliteLedger, began: datetime) -> Iterator[datetime]:
    _, events = worth_seeing(folder / EVENTS, [(began, ALWAYS)], CRASHES)
    yield from (event.timestamp for event in events if event.event_type in {kind.event_type for kind in CRASHES})
    yield from (one.at for one in ledger.states_since(began, ALWAYS) if one.at and one.causes & CRASH_HALTS)
