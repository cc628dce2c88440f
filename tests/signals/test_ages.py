"""Ages: a fact older than its kind's limit says nothing about now."""

from datetime import UTC, datetime, timedelta

from tests.builders import DAY, NOW, ago
from tradebot.model.values import replace
from tradebot.signals.kinds.iv_rank import KIND
from tradebot.signals.scoring import still_counts

HOUR = replace(KIND, max_age_s=3600)


def test_a_time_counts_until_it_is_older_than_the_limit() -> None:
    assert still_counts(HOUR, ago(3600), NOW)
    assert not still_counts(HOUR, ago(3601), NOW)


def test_a_date_is_as_old_as_its_end_in_new_york() -> None:
    end = datetime(2026, 11, 17, 5, tzinfo=UTC)
    assert still_counts(HOUR, DAY, NOW)
    assert still_counts(HOUR, DAY, end + timedelta(hours=1))
    assert not still_counts(HOUR, DAY, end + timedelta(hours=1, seconds=1))


def test_without_a_limit_everything_counts() -> None:
    assert still_counts(replace(KIND, max_age_s=None), DAY - timedelta(days=4000), NOW)
