"""Write the slots that nobody ran, and tell of them."""

from collections.abc import Sequence
from datetime import datetime

from jobs.duty import DAY, Duty, Missed
from jobs.station import Kind, Line, Station
from tradebot.errors import ExitCode
from tradebot.model.event import EventKind
from tradebot.model.reasons import REASONS, Reason
from tradebot.timetable.slots import Slot

ALL_JOBS = "all"
"""What events of earlier days name in place of a job."""


def tell_missed(duty: Duty, station: Station, missed: Sequence[Missed], now: datetime) -> None:
    """Write the slots that nobody ran; tell of those with the same job and reason together."""
    together: dict[tuple[str | None, Reason], list[Slot]] = {}
    for each in duty.write(missed, now, station.by):
        record = duty.record(each, now, station.mode)
        if record is not None:
            station.record(record)
        job = each.slot.job if now - each.slot.start <= DAY else None
        together.setdefault((job, each.reason), []).append(each.slot)
    for (job, reason), slots in together.items():
        message = f"{_named(slots, now)}: {reason}. {REASONS[reason].meaning}"
        details = {"job": job or ALL_JOBS, "message": message}
        station.events.emit(EventKind.SLOT_MISSED.at(now, details))
        station.tell(Line(now, Kind.MISSED, job, slots[0].name if job else None, message, ExitCode.DONE))


def _named(slots: Sequence[Slot], now: datetime) -> str:
    """Return which slots were missed: how late the only one is, or how many there were, and when."""
    first, last = slots[0], slots[-1]
    if len(slots) == 1:
        return f"missed: it was due {int((now - first.start).total_seconds())} s ago"
    until = f"{last.name}" if first.session == last.session else f"{last.session} {last.name}"
    day = f"{first.session} " if now - first.start > DAY else ""
    return f"missed {len(slots)} slots, {day}{first.name} to {until}"
