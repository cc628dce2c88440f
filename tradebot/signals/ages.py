"""How old facts may be before they say nothing about now."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from tradebot.model.kind import NEW_YORK, AnyKind


def still_counts(kind: AnyKind, moment: datetime | date, now: datetime) -> bool:
    """Return True if a fact is not older than its kind's freshness limit. A date is as old as its end in New York."""
    if kind.max_age_s is None:
        return True
    until = moment if isinstance(moment, datetime) else _end_of(moment)
    return (now - until).total_seconds() <= kind.max_age_s


@lru_cache(maxsize=512)
def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), NEW_YORK).astimezone(UTC)
