"""Greek exposures: the last session's gamma, on the scale of those before it."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY
from tradebot.signals.kinds.greek_exposure import KIND, GammaFacts, GreekExposure, SessionGex

YESTERDAY = DAY - timedelta(days=1)


def test_a_greek_exposure_is_calls_plus_puts() -> None:
    assert KIND.lean(GreekExposure("d", "AAPL", DAY, Decimal("1.5"), Decimal(-3))) == SessionGex(DAY, -1.5)


def test_the_last_sessions_gamma_is_scaled_by_the_mean_magnitude_of_those_before() -> None:
    earlier = (SessionGex(YESTERDAY, -6.0), SessionGex(YESTERDAY - timedelta(days=1), 2.0))
    assert KIND.condense([SessionGex(DAY, 9.0), *earlier]) == GammaFacts(9.0, 4.0, 2, DAY)


def test_a_first_session_of_gamma_has_no_scale() -> None:
    assert KIND.condense([SessionGex(DAY, 9.0)]) == GammaFacts(9.0, None, 0, DAY)


@given(st.lists(st.builds(SessionGex, st.dates(), st.floats(-1e9, 1e9)), min_size=1, max_size=5), st.randoms())
def test_the_order_in_which_sessions_come_makes_no_difference(sessions: list[SessionGex], chance: object) -> None:
    shuffled = sessions.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert KIND.condense(shuffled) == KIND.condense(sessions)
