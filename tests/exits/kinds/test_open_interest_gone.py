"""Contracts that were closed overnight close the position the next morning, not on the day of the entry."""

from decimal import Decimal

import pytest

from tests.builders import NOW, SESSION
from tests.exits.asked import closes, known
from tradebot.exits.kinds.open_interest_gone import OpenInterestGone

D = Decimal


@pytest.mark.parametrize(("kept", "said"), [("0.499", True), ("0.5", False)])
def test_open_interest_that_is_gone_the_next_morning_closes_a_position(kept: str, said: bool) -> None:
    rule, day = OpenInterestGone(min_kept_fraction=D("0.5")), (NOW - SESSION.open).total_seconds()
    assert closes(rule, known(age_s=day + 1, open_interest_kept=D(kept))) is said
    assert not closes(rule, known(age_s=day, open_interest_kept=D(kept)))
    assert not closes(rule, known(age_s=day))
