"""What is served is closed, is fetched once, and never depends on what came later."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.adapters.bars.market import DIVIDEND, FIRST, HALF, LAST, SPLIT, MadeUpBars, day_bar, sessions
from tests.adapters.bars.test_store import spoil
from tests.kit.rows import NOW
from tests.kit.values import VENUE_DAY
from tradebot.adapters.bars.read_through import RestingBars, StoredBars
from tradebot.adapters.bars.store import DelayedError, SqliteBars
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.errors import TemporaryError
from tradebot.model.series import Series, width_of
from tradebot.model.view import BarNeed

SESSIONS = sessions(FIRST, LAST)
DAYS, FIVES, MINUTES = (BarNeed(timeframe, 5, adjusted=False) for timeframe in ("1Day", "5Min", "1Min"))
WEDNESDAY = SESSIONS[8]
"""2026-01-14."""


@pytest.fixture
def source() -> MadeUpBars:
    return MadeUpBars()


@pytest.fixture
def bars(tmp_path: Path, source: MadeUpBars) -> Iterator[StoredBars]:
    bars = opened(tmp_path, source)
    yield bars
    bars.close()


def opened(folder: Path, source: MadeUpBars) -> StoredBars:
    return StoredBars(lambda: SqliteBars(folder, MemoryEvents(), NOW), lambda: source, sessions, VENUE_DAY)


def after_open(minutes: float) -> datetime:
    return WEDNESDAY.open + timedelta(minutes=minutes)


def starts(series: Series) -> list[datetime]:
    return [series.start_of(place) for place in range(len(series))]


def end_of(series: Series, place: int) -> datetime:
    width, start = width_of(series.timeframe), series.start_of(place)
    if width is None:
        return next(session.close for session in SESSIONS if VENUE_DAY.begins_s(session.date) == start.timestamp())
    return min(start + width, next(session.close for session in SESSIONS if session.open <= start < session.close))


moments = st.integers(0, int((SESSIONS[-1].close - SESSIONS[0].open).total_seconds()) + 7200).map(
    lambda seconds: SESSIONS[0].open + timedelta(seconds=seconds)
)
needs = st.builds(
    BarNeed, st.sampled_from(["1Min", "5Min", "7Min", "1Hour", "2Hour", "1Day"]), st.integers(1, 40), st.booleans()
)


@given(needs, moments)
def test_no_bar_is_served_or_stored_before_it_has_ended(need: BarNeed, until: datetime) -> None:
    source = MadeUpBars()
    source.announced = {"AAPL": (DIVIDEND, SPLIT)}
    with TemporaryDirectory() as folder:
        bars = opened(Path(folder), source)
        found = bars.closed(need, ["AAPL", "THIN"], until)
        stored = {tf: bars.store.get("AAPL", tf, 0, 2**40) for tf in ("1Min", "1Day")}
        bars.close()
    for series in found.values():
        assert len(series) <= need.depth
        assert list(series.starts) == sorted(set(series.starts))
        assert all(end_of(series, place) <= until for place in range(len(series)))
    assert all(each.start_s + 60 <= until.timestamp() for each in stored["1Min"])
    ended = {VENUE_DAY.begins_s(session.date) for session in SESSIONS if session.close <= until}
    assert {each.start_s for each in stored["1Day"]} <= ended


@given(needs, moments)
@settings(max_examples=25)
def test_later_bars_do_not_change_earlier_answers(need: BarNeed, until: datetime) -> None:
    found = []
    for later in (False, True):
        source = MadeUpBars()
        source.announced = {"AAPL": (DIVIDEND, SPLIT)}
        with TemporaryDirectory() as folder:
            bars = opened(Path(folder), source)
            if later:
                bars.closed(BarNeed(need.timeframe, 50), ["AAPL"], SESSIONS[-1].close + timedelta(hours=5))
            found.append(bars.closed(need, ["AAPL"], until))
            bars.close()
    assert found[0] == found[1]


def test_bars_are_aligned_to_the_open_and_a_half_day_cuts_the_last_one_short(bars: StoredBars) -> None:
    half = next(session for session in SESSIONS if session.date == HALF)
    found = bars.closed(BarNeed("1Hour", 4, adjusted=False), ["AAPL"], half.close)["AAPL"]
    assert starts(found) == [half.open + timedelta(hours=hours) for hours in range(4)]
    assert found.volume[-1] == 30 * 100.0
    assert max(found.high) < 500


def test_the_newest_minutes_are_read_alone_unless_they_are_too_few(bars: StoredBars) -> None:
    read, get = list[int](), bars.store.get
    bars.store.get = lambda *asked: read.append(len(found := get(*asked))) or found  # type: ignore[method-assign,func-returns-value]
    late = bars.closed(MINUTES, ["AAPL"], after_open(60))["AAPL"]
    assert (starts(late), read[-1]) == ([after_open(minutes) for minutes in range(55, 60)], 5)
    early = bars.closed(MINUTES, ["AAPL"], after_open(3))["AAPL"]
    assert starts(early)[2:] == [after_open(minutes) for minutes in range(3)]
    assert read[-1] > 300


def test_thin_symbols_get_their_bars_from_farther_back(bars: StoredBars) -> None:
    found = bars.closed(BarNeed("1Min", 390, adjusted=False), ["THIN", "AAPL"], WEDNESDAY.close)
    assert [len(found[symbol]) for symbol in ("THIN", "AAPL")] == [390, 390]
    assert {
        later - earlier for earlier, later in zip(found["THIN"].starts, found["THIN"].starts[1:], strict=False)
    } >= {180}
    assert found["THIN"].start_of(0) < found["AAPL"].start_of(0) == WEDNESDAY.open


def test_answered_spans_are_not_fetched_again(bars: StoredBars, source: MadeUpBars, tmp_path: Path) -> None:
    first = bars.closed(FIVES, ["AAPL", "THIN"], WEDNESDAY.close + timedelta(hours=1))
    assert [symbols for symbols, *_ in source.asked] == [("AAPL", "THIN")]
    source.down = True
    assert bars.closed(FIVES, ["AAPL", "THIN"], WEDNESDAY.close + timedelta(hours=1)) == first
    again = opened(tmp_path, source)
    assert again.closed(FIVES, ["AAPL", "THIN"], WEDNESDAY.close + timedelta(hours=2)) == first
    again.close()


def test_within_a_session_only_the_newest_minutes_are_asked(bars: StoredBars, source: MadeUpBars) -> None:
    for minutes in (60, 60, 65, 70):
        bars.closed(FIVES, ["AAPL", "MSFT"], after_open(minutes))
    asked = [(first, last) for _, _, first, last in source.asked]
    assert asked[1:] == [(after_open(59), after_open(65)), (after_open(64), after_open(70))]


def test_a_gap_is_asked_again_until_it_is_old_and_then_left_alone(bars: StoredBars, source: MadeUpBars) -> None:
    late = int(after_open(58).timestamp())
    source.missing = {late, int(after_open(30).timestamp())}
    assert len(bars.closed(BarNeed("1Min", 60, adjusted=False), ["AAPL"], after_open(60))["AAPL"]) == 60
    source.missing.remove(late)
    found = bars.closed(MINUTES, ["AAPL"], after_open(63))["AAPL"]
    assert starts(found)[0] == after_open(58)
    assert min(first for _, _, first, _ in source.asked[-1:]) == after_open(45)
    source.missing = set()
    found = bars.closed(BarNeed("1Min", 60, adjusted=False), ["AAPL"], after_open(90))["AAPL"]
    assert after_open(30) not in starts(found)


def test_a_daily_bar_is_served_at_the_close_and_fetched_again_when_its_volume_is_complete(
    bars: StoredBars, source: MadeUpBars
) -> None:
    start_s = VENUE_DAY.begins_s(WEDNESDAY.date)
    assert bars.closed(DAYS, ["AAPL"], WEDNESDAY.close - timedelta(seconds=1))["AAPL"].starts[-1] < start_s
    source.changed = {start_s: day_bar(WEDNESDAY)._replace(volume=70.0)}
    assert bars.closed(DAYS, ["AAPL"], WEDNESDAY.close)["AAPL"].volume[-1] == 70.0
    source.changed = {}
    assert bars.closed(DAYS, ["AAPL"], WEDNESDAY.close + timedelta(hours=5))["AAPL"].volume[-1] == 100.0
    source.down = True
    assert len(bars.closed(DAYS, ["AAPL"], WEDNESDAY.close + timedelta(hours=12))["AAPL"]) == 5


def test_adjusted_bars_know_the_actions_of_their_time_only(bars: StoredBars, source: MadeUpBars) -> None:
    source.announced = {"AAPL": (SPLIT, DIVIDEND)}
    need = BarNeed("1Day", 8)
    before, after = SESSIONS[6].close, SESSIONS[7].open + timedelta(minutes=5)
    raw = {s.date: day_bar(s) for s in SESSIONS}
    paid = 1 - DIVIDEND.amount / raw[SESSIONS[3].date].close
    found = bars.closed(need, ["AAPL"], before)["AAPL"]
    assert list(found.close) == [raw[s.date].close * (paid if s.date < DIVIDEND.ex_date else 1) for s in SESSIONS[:7]]
    found = bars.closed(need, ["AAPL"], after)["AAPL"]
    assert found.close[-1] == raw[SESSIONS[6].date].close / 4
    assert found.close[0] == pytest.approx(raw[SESSIONS[0].date].close / 4 * paid)
    assert set(found.volume) == {400.0}
    assert bars.closed(BarNeed("1Day", 8, adjusted=False), ["AAPL"], after)["AAPL"].close[0] == raw[FIRST].close


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, len(SESSIONS) - 1)), min_size=1, max_size=4))
@example([(5, 9), (6, 6), (5, 9)])
@settings(max_examples=20)
def test_adjustment_does_not_depend_on_the_order_of_requests(asked: list[tuple[int, int]]) -> None:
    def found(requests: list[tuple[int, int]]) -> object:
        source = MadeUpBars()
        source.announced = {"AAPL": (DIVIDEND, SPLIT)}
        with TemporaryDirectory() as folder:
            bars = opened(Path(folder), source)
            for depth, place in requests:
                series = bars.closed(BarNeed("1Day", depth), ["AAPL"], SESSIONS[place].close)
            bars.close()
        return series

    assert found(asked) == found(asked[-1:])


def test_a_dividend_among_minutes_is_measured_by_the_day_before_it(bars: StoredBars, source: MadeUpBars) -> None:
    source.announced = {"AAPL": (DIVIDEND,)}
    day = next(session for session in SESSIONS if session.date == DIVIDEND.ex_date)
    found = bars.closed(BarNeed("1Min", 400), ["AAPL"], day.close)["AAPL"]
    raw = bars.closed(BarNeed("1Min", 400, adjusted=False), ["AAPL"], day.close)["AAPL"]
    factors = [each / whole for each, whole in zip(found.close, raw.close, strict=True)]
    assert factors[:10] == pytest.approx([1 - 0.5 / day_bar(SESSIONS[3]).close] * 10)
    assert factors[10:] == [1.0] * 390


def test_actions_are_asked_once_a_day(bars: StoredBars, source: MadeUpBars) -> None:
    for minutes in (5, 10, 24 * 60, 24 * 60 + 5):
        bars.closed(BarNeed("1Day", 5), ["AAPL", "MSFT"], after_open(minutes))
    assert [symbols for symbols, *_ in source.asked_actions] == [("AAPL", "MSFT")] * 2


def test_stored_bars_are_served_when_the_source_does_not_answer(bars: StoredBars, source: MadeUpBars) -> None:
    source.down = True
    with pytest.raises(TemporaryError, match="down"):
        bars.closed(DAYS, ["AAPL"], after_open(5))
    source.down = False
    assert len(bars.closed(DAYS, ["AAPL"], after_open(5))["AAPL"]) == 5


def test_symbols_without_bars_are_absent_and_asked_once(bars: StoredBars, source: MadeUpBars) -> None:
    before = SESSIONS[0].open - timedelta(days=20)
    assert bars.closed(DAYS, ["AAPL"], before) == {}
    asked = len(source.asked)
    assert bars.closed(DAYS, ["AAPL"], before) == {}
    assert len(source.asked) == asked
    assert bars.closed(DAYS, [], before) == {}


def test_a_symbol_that_the_source_refuses_is_asked_again_by_the_next_pass(bars: StoredBars, source: MadeUpBars) -> None:
    source.refused_symbols, source.missing = (
        frozenset({"AAPL"}),
        {VENUE_DAY.begins_s(session.date) for session in SESSIONS},
    )
    assert bars.closed(DAYS, ["AAPL"], after_open(5)) == {}
    source.refused_symbols, source.missing = frozenset(), set()
    assert len(bars.closed(DAYS, ["AAPL"], after_open(10))["AAPL"]) == 5


def test_delayed_source_serves_the_bars_that_it_has(bars: StoredBars, source: MadeUpBars) -> None:
    pages = source.pages

    def only_late(*asked: object) -> object:
        if not source.delay:
            source.delay = timedelta(minutes=16)
            raise DelayedError("only old bars")
        return pages(*asked)  # type: ignore[arg-type]

    source.pages = only_late  # type: ignore[method-assign,assignment]
    assert starts(bars.closed(FIVES, ["AAPL"], after_open(60))["AAPL"])[-1] == after_open(35)


def test_damage_found_during_a_request_is_repaired_within_it(
    bars: StoredBars, source: MadeUpBars, tmp_path: Path
) -> None:
    until = WEDNESDAY.close + timedelta(hours=6)
    first = bars.closed(FIVES, ["AAPL", "MSFT"], until)
    bars.close()
    again = opened(tmp_path, source)
    assert again.store.asked_spans("AAPL", "1Min", source.name)
    spoil(tmp_path / "bars.db")
    assert again.closed(FIVES, ["AAPL", "MSFT"], until) == first
    assert (tmp_path / "bars.db.damaged-1").exists()
    again.close()


def test_a_fetch_counts_what_is_new_and_keeps_each_page(bars: StoredBars, source: MadeUpBars) -> None:
    told: list[int] = []
    until = WEDNESDAY.close + timedelta(hours=6)
    assert bars.fetch("1Day", ["AAPL", "MSFT"], FIRST, until, told.append) == 18
    assert told == [9, 9]
    assert bars.fetch("1Day", ["AAPL", "MSFT"], FIRST, until) == 0
    assert bars.fetch("1Min", ["AAPL"], WEDNESDAY.date, until) == 390
    assert len(source.asked) == 2
    assert datetime.fromtimestamp(bars.store.get("AAPL", "1Min", 0, 2**40)[0].start_s, UTC) == WEDNESDAY.open


def test_sessions_are_read_one_by_one_at_one_moment_and_each_is_fetched_once(
    bars: StoredBars, source: MadeUpBars
) -> None:
    source.announced = {"AAPL": (SPLIT,)}
    until = after_open(90)
    for session in (SESSIONS[2], SESSIONS[5], WEDNESDAY):
        found = bars.between("1Min", ["AAPL", "NONE"], session.date, session.date, until)["AAPL"]
        assert found.start_of(0) == session.open
        assert end_of(found, -1) == min(session.close, until)
        assert found == bars.between("1Min", ["AAPL"], session.date, session.date, until)["AAPL"]
    asked = [first for symbols, timeframe, first, _ in source.asked if symbols == ("AAPL", "NONE")]
    assert asked == [SESSIONS[2].open, SESSIONS[5].open, WEDNESDAY.open]


def test_what_is_read_between_two_dates_is_adjusted_as_at_the_moment_of_reading(
    bars: StoredBars, source: MadeUpBars
) -> None:
    source.announced = {"AAPL": (SPLIT, DIVIDEND)}
    first, last = SESSIONS[0].date, SESSIONS[4].date
    days = bars.between("1Day", ["AAPL"], first, last, WEDNESDAY.close)["AAPL"]
    whole = bars.closed(BarNeed("1Day", 9), ["AAPL"], WEDNESDAY.close)["AAPL"]
    assert list(days.close) == list(whole.close[:5])
    assert max(bars.between("1Min", ["AAPL"], last, last, WEDNESDAY.close)["AAPL"].close) < 110 / 4
    assert bars.between("1Min", ["AAPL"], last, last, SESSIONS[4].open) == {}


def test_bars_that_the_source_does_not_have_yet_are_unknown(bars: StoredBars, source: MadeUpBars) -> None:
    source.delay = timedelta(minutes=15)
    assert bars.known_until(after_open(60)) == after_open(45)
    found = bars.between("1Min", ["AAPL"], WEDNESDAY.date, WEDNESDAY.date, after_open(60))["AAPL"]
    assert end_of(found, -1) == after_open(45)


UNTIL = sessions(FIRST, LAST)[8].close + timedelta(hours=2)


@pytest.mark.parametrize("timeframe", ["1Day", "1Min", "5Min"])
@pytest.mark.parametrize("adjusted", [True, False])
def test_bars_that_were_fetched_are_served_again_without_a_source(
    tmp_path: Path, timeframe: str, adjusted: bool
) -> None:
    source, need = MadeUpBars(), BarNeed(timeframe, 6, adjusted=adjusted)
    source.announced = {"AAPL": (DIVIDEND, SPLIT)}
    kept = StoredBars(lambda: SqliteBars(tmp_path, MemoryEvents(), NOW), lambda: source, sessions, VENUE_DAY)
    then = kept.closed(need, ["AAPL", "MSFT"], UNTIL)
    asked = kept.store.asked_spans("AAPL", "1Day", source.name)
    kept.close()
    resting = RestingBars(lambda: SqliteBars(tmp_path, MemoryEvents(), NOW), sessions, VENUE_DAY)
    assert resting.closed(need, ["AAPL", "MSFT"], UNTIL) == then
    assert len(then["AAPL"]) == 6
    assert "NEW" not in resting.closed(need, ["AAPL", "NEW"], UNTIL + timedelta(days=2))
    assert resting.store.asked_spans("AAPL", "1Day", source.name) == asked, "looking wrote something"
    resting.close()
