"""How old facts may be before they say nothing about now."""

from datetime import date, datetime, time, timedelta

from tradebot.model.kind import NEW_YORK, AnyKind


def still_counts(kind: AnyKind, moment: datetime | date, now: datetime) -> bool:
    """Return True if a fact is not older than its kind's freshness limit. A date is as old as its end in New York."""
    if kind.max_age_s is None:
        return True
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment + timedelta(days=1), time(), NEW_YORK)
    return now - moment <= timedelta(seconds=kind.max_age_s)
