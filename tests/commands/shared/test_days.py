"""The options --from and --to."""

from datetime import date

import pytest

from commands.shared.days import days_of
from tradebot.errors import OperatorError
from tradebot.views.performance.days import EVER, Days


def test_days_parse_as_written() -> None:
    assert days_of(None, None) == EVER
    assert days_of("2026-11-16", "2026-11-16") == Days(date(2026, 11, 16), date(2026, 11, 16))


@pytest.mark.parametrize(
    ("first", "last", "message", "hint"),
    [
        ("monday", None, "--from monday is not a date", "write --from 2026-11-16"),
        (None, "2026-13-01", "--to 2026-13-01 is not a date", "write --to 2026-11-16"),
        (
            "2026-11-17",
            "2026-11-16",
            "--from 2026-11-17 is after --to 2026-11-16",
            "write --from 2026-11-16 --to 2026-11-17",
        ),
    ],
)
def test_bad_span_is_refused(first: str | None, last: str | None, message: str, hint: str) -> None:
    with pytest.raises(OperatorError) as refused:
        days_of(first, last)
    assert (str(refused.value), refused.value.hint) == (message, hint)
