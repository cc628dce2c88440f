"""Sessions beside their backtests in words: what fills cost beside what was assumed, and how many decisions differ."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.kit.values import NOW, there
from tradebot.model.parity import DayParity, DifferenceType, ParityCause, ParityDifference, group_by_cause
from tradebot.model.record import Job
from tradebot.views.parity import day_in_words, in_words, over_time

FIRST = date(2026, 11, 16)


def differing(what: DifferenceType, cause: ParityCause, cost: str = "0") -> ParityDifference:
    about = Job.TRADE_ONCE, "open+2m", "flow", "AAPL", cause, "sent", "nothing"
    return ParityDifference(what, NOW, *about, Decimal(cost))


def day(number: int = 0, worse: str = "0", *found: ParityDifference, assumed: str = "2") -> DayParity:
    numbers = Decimal(worse), Decimal(10_000), Decimal(assumed)
    return DayParity(FIRST + timedelta(number), "1", True, 5, 40, 6, 4, group_by_cause(found), found, *numbers)


LATE = differing(DifferenceType.DECISION, ParityCause.LATE_DATA)
OURS = differing(DifferenceType.ORDER, ParityCause.OURS, "12.5")


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ([day()], "the last session: fills as assumed, no decision differs"),
        (
            [day(0, "4.1"), day(1, "2.1", LATE)],
            "the last 2 sessions: fills 3.1 bps worse than assumed, 1 decision differs",
        ),
        ([day(0, "-5", LATE, LATE)], "the last session: fills 5.0 bps better than assumed, 2 decisions differ"),
        ([day(0, "0", OURS)], "the last session: fills as assumed, no decision differs, 1 unexplained difference"),
        ([DayParity(FIRST, "1", True, 5, 40, 0, 0)], "the last session: no fills to compare, no decision differs"),
    ],
)
def test_figure_over_time_in_words(days: Sequence[DayParity], words: str) -> None:
    assert in_words(there(over_time(days))) == words


@pytest.mark.parametrize(("worse", "slippage"), [("3", "5.00"), ("-1", "1.00"), ("-9", "0.00")])
def test_measured_slippage_is_what_was_assumed_and_what_fills_were_worse(worse: str, slippage: str) -> None:
    assert str(there(over_time([day(0, worse)])).slippage_bps) == slippage


def test_session_in_words_says_what_differs_why_and_what_it_cost() -> None:
    assert over_time([]) is None
    assert (
        day_in_words(day())
        == "The backtest of the session does the same: 40 decisions, 6 order requests, 4 filled orders"
    )
    said = day_in_words(day(0, "0", LATE, OURS))
    assert said == "The backtest of the session differs in 1 decision, 1 order (late_data, ours), which cost 12.50 USD"
    assert day(0, "0", LATE, OURS).ours == 1
