"""How old facts may be before they say nothing about now."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from tradebot.model.kind import NEW_YORK, AnyKind


def still_counts(kind: AnyKind, moment: datetime | date, now: datetime) -> bool:
    """Return True if a fact is not older than its kind's freshness limit. A date is as old as its end in New York."""
    if kind.max_age_s is None:
        return True
    if isinstance(moment, datetime):
        return (now - moment).total_seconds() <= kind.max_age_s
    return _since_end_of(moment, now) <= kind.max_age_s


@lru_cache(maxsize=64)
def _since_end_of(day: date, now: datetime) -> float:
    """Return how many seconds ago a New York date ended; most symbols' facts are of the same few dates."""
    return (now - datetime.combine(day + timedelta(days=1), time(), NEW_YORK).astimezone(UTC)).total_seconds()
