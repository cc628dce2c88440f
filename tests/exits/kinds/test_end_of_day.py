"""The day ends so long before the session's close, half days included."""

from datetime import timedelta

import pytest

from tests.builders import SESSION, held
from tradebot.exits.kind import Measure, Moment
from tradebot.exits.kinds.end_of_day import EndOfDay
from tradebot.model.values import replace


@pytest.mark.parametrize(("before", "closes"), [(601, False), (600, True), (1, True)])
@pytest.mark.parametrize("half_day_h", [0, 3])
def test_the_day_ends_so_long_before_the_close_of_this_session(before: int, closes: bool, half_day_h: int) -> None:
    session = replace(SESSION, close=SESSION.close - timedelta(hours=half_day_h))
    answer = EndOfDay(before_close_s=600).judge(
        held(), Moment(session.close - timedelta(seconds=before), None, session)
    )
    assert (isinstance(answer, Measure), answer[:3]) == (True, (closes, before, 600))
