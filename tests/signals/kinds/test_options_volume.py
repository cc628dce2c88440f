"""Options volume: the premium of a usual day, from finished sessions only."""

from datetime import UTC, date, datetime, timedelta
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import DAY, NOW
from tradebot.signals.kinds.options_volume import KIND, SESSIONS, OptionsVolumeFacts

ROW = {
    "date": DAY.isoformat(),
    "call_premium": "208699280",
    "put_premium": "125472872.5",
    "bullish_premium": "152015294",
    "bearish_premium": "138449839",
}

usual = st.tuples(st.dates(), st.floats(0, 1e12), st.booleans())
by_day = st.lists(usual, min_size=1, max_size=30, unique_by=lambda session: session[0])


def test_premium_of_a_session_sums_calls_and_puts_and_is_done_after_the_close() -> None:
    before, after = NOW, datetime(2026, 11, 16, 21, 15, tzinfo=UTC)
    leans = [KIND.lean(KIND.parse(ROW, "AAPL", at)) for at in (before, after, NOW + timedelta(days=1))]
    assert leans == [(DAY, 334172152.5, done) for done in (False, True, True)]


def test_unfinished_session_does_not_count_as_usual() -> None:
    assert KIND.condense([(DAY, 9e9, False)]) == OptionsVolumeFacts(0.0, 0)


@given(sessions=by_day, chance=st.randoms())
def test_usual_premium_is_the_median_of_the_last_finished_sessions(
    sessions: list[tuple[date, float, bool]], chance: object
) -> None:
    facts = KIND.condense(sessions)
    done = sorted(session for session in sessions if session[2])[-SESSIONS:]
    assert facts.sessions == len(done)
    assert facts.trailing_premium_usd == (median(premium_usd for _, premium_usd, _ in done) if done else 0)
    shuffled = sessions.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert KIND.condense(shuffled) == facts


def test_only_the_last_twenty_finished_sessions_count() -> None:
    sessions = [(DAY - timedelta(days=age), float(age), age > 0) for age in range(30)]
    assert KIND.condense(sessions) == OptionsVolumeFacts(10.5, SESSIONS)
