"""The check of stored bars: nothing is found in sound bars, and each flaw is found where it was put."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.values import VENUE_DAY
from tradebot.auditing.bar_findings import BarFinding, Flaw, KnownSplit, RawBar, RawSeries
from tradebot.auditing.bars import check, find_misplaced
from tradebot.model.bar import Session
from tradebot.model.struct_tools import replace

# Made-up bars in which nothing is wrong, for tests that break one thing.

NEW_YORK = ZoneInfo("America/New_York")
MONDAY = date(2026, 3, 2)
"""Summer time begins at the end of this week."""


def weekdays(count: int, first: date = MONDAY) -> list[Session]:
    days = (first + timedelta(days=7 * (place // 5) + place % 5) for place in range(count))
    return [Session(day, _at(day, time(9, 30)), _at(day, time(16))) for day in days]


def _at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


def minutes(sessions: Sequence[Session], seed: int = 1, *, filled: float = 1.0, extended: bool = False) -> list[RawBar]:
    """Return minute bars of a random walk; of the extended hours, a tenth of the minutes have a few shares traded."""
    chance, price, bars = random.Random(seed), 100.0, []  # noqa: S311 -- made-up prices
    for session in sessions:
        opens, closes = int(session.open.timestamp()), int(session.close.timestamp())
        first, last = (opens - 19_800, closes + 14_400) if extended else (opens, closes)
        for start_s in range(first, last, 60):
            inside = opens <= start_s < closes
            price *= 1 + chance.gauss(0, 0.0005)
            if start_s == opens or chance.random() < (filled if inside else 0.1):
                bars.append(_bar(start_s, price, chance, 1000 if inside else 20))
    return bars


def daily(sessions: Sequence[Session], seed: int = 1) -> list[RawBar]:
    chance, price, bars = random.Random(seed), 100.0, []  # noqa: S311 -- made-up prices
    for session in sessions:
        price *= 1 + chance.gauss(0, 0.005)
        bars.append(_bar(VENUE_DAY.begins_s(session.date), price, chance, 1_000_000))
    return bars


def _bar(start_s: int, price: float, chance: random.Random, volume: int) -> RawBar:
    close = price * (1 + chance.gauss(0, 0.0002))
    return RawBar(
        start_s, price, max(price, close) * 1.0001, min(price, close) * 0.9999, close, volume * chance.uniform(0.5, 2)
    )


def of_minutes(bars: Sequence[RawBar], symbol: str = "AAPL") -> RawSeries:
    return RawSeries(symbol, "1Min", bars)


def of_days(bars: Sequence[RawBar], symbol: str = "AAPL") -> RawSeries:
    return RawSeries(symbol, "1Day", bars)


LATER = datetime(2030, 1, 1, tzinfo=UTC)
SESSIONS = weekdays(10)
DAYS = daily(SESSIONS)
MINUTES = minutes(SESSIONS[:5])
seeds = st.integers(0, 2**32)


def found(*every: RawSeries, sessions: list[Session] = SESSIONS, now: datetime = LATER) -> list[BarFinding]:
    return list(check(every, sessions, now, VENUE_DAY).findings)


def flaws(*every: RawSeries, now: datetime = LATER) -> list[Flaw]:
    return [each.flaw for each in found(*every, now=now)]


@settings(max_examples=10)
@given(seeds, st.sampled_from([1.0, 0.98, 0.3]), st.booleans())
def test_sound_bars_have_no_findings(seed: int, filled: float, extended: bool) -> None:
    thin_or_not = minutes(SESSIONS[:3], seed, filled=filled, extended=extended)
    result = check([of_minutes(thin_or_not), of_days(daily(SESSIONS, seed), "MSFT")], SESSIONS, LATER, VENUE_DAY)
    assert result.findings == ()
    assert [(row.symbol, row.sessions, row.liquid) for row in result.looked_at] == [
        ("AAPL", 3, filled > 0.9),
        ("MSFT", 10, None),
    ]


@settings(max_examples=15)
@given(seeds, st.sampled_from([1, -1, 4, 5, -5, 9, 13, -8]), st.booleans(), st.sampled_from([1.0, 0.3]))
def test_bars_of_another_zone_are_found_with_the_hours_they_are_off(
    seed: int, hours: int, extended: bool, filled: float
) -> None:
    moved = [
        bar._replace(start_s=bar.start_s + 3600 * hours)
        for bar in minutes(SESSIONS[:5], seed, filled=filled, extended=extended)
    ]
    (finding,) = found(of_minutes(moved))
    assert (finding.flaw, finding.observed, finding.count) == (Flaw.WRONG_ZONE, hours, len(moved))


def test_one_week_in_another_zone_is_found_alone() -> None:
    three = weekdays(15)
    change_s = VENUE_DAY.begins_s(three[10].date)
    moved = [bar._replace(start_s=bar.start_s + 3600 * (bar.start_s > change_s)) for bar in minutes(three)]
    (finding,) = found(of_minutes(moved), sessions=three)
    assert (finding.flaw, finding.observed, finding.count) == (Flaw.WRONG_ZONE, 1, 5 * 390)
    assert finding.at == three[10].open + timedelta(hours=1)


def test_a_day_of_heavy_trading_after_hours_is_in_its_own_zone() -> None:
    bars = minutes(SESSIONS[:1], extended=True)
    closes_s = int(SESSIONS[0].close.timestamp())
    loud = [bar._replace(volume=300_000) if closes_s <= bar.start_s < closes_s + 1800 else bar for bar in bars]
    assert flaws(of_minutes(loud)) == []


def test_the_morning_of_a_session_that_has_not_ended_is_in_its_own_zone() -> None:
    (today,) = weekdays(1)
    now = today.open + timedelta(minutes=45)
    morning = [bar for bar in minutes([today], extended=True) if bar.start_s < now.timestamp() - 60]
    early = [b._replace(volume=900_000) if b.start_s < today.open.timestamp() else b for b in morning]
    assert flaws(of_minutes(early), now=now) == []


def test_bars_stamped_at_their_end_are_found() -> None:
    ends = [bar._replace(start_s=bar.start_s + 60) for bar in MINUTES]
    (finding,) = found(of_minutes(ends))
    assert (finding.flaw, finding.count) == (Flaw.END_STAMP, 5)


def test_a_thin_symbol_with_a_bar_of_the_closing_auction_is_not_called_stamped_at_its_end() -> None:
    thin = [bar for bar in minutes(SESSIONS[:5], filled=0.3) if bar.start_s not in _opens()]
    auctions = [thin[0]._replace(start_s=int(session.close.timestamp())) for session in SESSIONS[:5]]
    assert flaws(of_minutes(sorted([*thin, *auctions]))) == []


def test_one_full_session_of_a_thin_symbol_is_not_called_stamped_at_its_end() -> None:
    thin = [bar for bar in minutes(SESSIONS[:4], filled=0.3) if bar.start_s not in _opens()]
    full = [bar._replace(start_s=bar.start_s + 60) for bar in minutes(SESSIONS[4:5])]
    assert flaws(of_minutes([*thin, *full])) == []


def _opens() -> set[int]:
    return {int(session.open.timestamp()) for session in SESSIONS}


@pytest.mark.parametrize("make", [of_days, of_minutes])
@given(st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=8)
def test_sessions_without_a_bar_are_one_finding_for_each_run(
    make: Callable[[list[RawBar]], RawSeries], first: int, count: int
) -> None:
    last = min(first + count, 9)
    lost = {session.date for session in SESSIONS[first:last]}
    bars = DAYS if make is of_days else minutes(SESSIONS, filled=0.1)
    kept = [bar for bar in bars if datetime.fromtimestamp(bar.start_s, UTC).date() not in lost]
    gaps = [each for each in found(make(kept)) if each.flaw is Flaw.GAP]
    assert [each.count for each in gaps] == ([last - first] if last > first else [])


@given(st.integers(0, 4), st.integers(1, 300), st.integers(3, 60))
@settings(max_examples=8)
def test_a_run_of_missing_minutes_is_a_hole_of_a_liquid_symbol(day: int, minute: int, count: int) -> None:
    first_s = int(SESSIONS[day].open.timestamp()) + 60 * minute
    kept = [bar for bar in MINUTES if not first_s <= bar.start_s < first_s + 60 * count]
    (finding,) = found(of_minutes(kept))
    assert (finding.flaw, finding.count) == (Flaw.HOLE, count)
    assert finding.at == datetime.fromtimestamp(first_s, UTC)


def test_one_missing_minute_is_chance_unless_other_liquid_symbols_lack_it_too() -> None:
    lost_s = MINUTES[500].start_s
    alone = [of_minutes([bar for bar in MINUTES if bar.start_s != lost_s])]
    assert flaws(*alone, of_minutes(MINUTES, "B"), of_minutes(MINUTES, "C")) == []
    lacking = [replace(alone[0], symbol=name) for name in ("A", "B", "C")]
    assert flaws(*lacking[:2], of_minutes(MINUTES, "C")) == []
    assert flaws(*lacking) == [Flaw.HOLE] * 3


def test_missing_minutes_of_a_thin_symbol_are_counted_only() -> None:
    result = check([of_minutes(minutes(SESSIONS[:2], filled=0.3))], SESSIONS, LATER, VENUE_DAY)
    (row,) = result.looked_at
    assert (result.findings, row.liquid) == ((), False)
    assert row.missing is not None
    assert 400 < row.missing < 700


@given(st.sampled_from([1.5, 2.0, 3.0, 7.0, 20.0, 0.5, 0.1]), st.integers(1, 9), seeds)
@settings(max_examples=15)
def test_a_split_that_is_not_on_record_is_found_with_its_ratio(ratio: float, place: int, seed: int) -> None:
    # Volume that swings by more than the check allows would hide the split.
    sound = [bar._replace(volume=min(bar.volume, 1_200_000)) for bar in daily(SESSIONS, seed)]
    bars = [*sound[:place], *(_split(bar, ratio) for bar in sound[place:])]
    (finding,) = found(of_days(bars))
    assert finding.flaw is Flaw.UNADJUSTED_SPLIT
    assert finding.expected == pytest.approx(ratio, rel=0.05)
    assert finding.at == datetime.fromtimestamp(bars[place].start_s, UTC)
    known = (KnownSplit(bars[place].start_s, ratio),)
    assert flaws(replace(of_days(bars), splits=known)) == []
    assert flaws(replace(of_days(sound), splits=known)) == [Flaw.ALREADY_ADJUSTED]


def _split(bar: RawBar, ratio: float) -> RawBar:
    return _times(bar, 1 / ratio)._replace(volume=bar.volume * ratio)


def _times(bar: RawBar, factor: float) -> RawBar:
    return bar._replace(**{name: getattr(bar, name) * factor for name in ("open", "high", "low", "close")})


def test_a_split_is_found_in_minutes_too() -> None:
    first_s = int(SESSIONS[2].open.timestamp())
    bars = [_split(bar, 7) if bar.start_s >= first_s else bar for bar in MINUTES]
    (finding,) = found(of_minutes(bars))
    assert (finding.flaw, finding.expected, finding.at) == (Flaw.UNADJUSTED_SPLIT, 7, SESSIONS[2].open)
    assert flaws(replace(of_minutes(bars), splits=(KnownSplit(VENUE_DAY.begins_s(SESSIONS[2].date), 7.0),))) == []


@pytest.mark.parametrize("of", [of_days, of_minutes])
@pytest.mark.parametrize("factor", [100, 0.01, 11.3])
def test_change_of_scale_that_no_action_explains_is_found(of: Callable[..., RawSeries], factor: float) -> None:
    every = DAYS if of is of_days else MINUTES
    place = len(every) // 2 + 1
    bars = [*every[:place], *(_times(bar, factor) for bar in every[place:])]
    findings = [one for one in found(of(bars)) if one.flaw is not Flaw.UNADJUSTED_SPLIT]
    assert [(one.flaw, one.at) for one in findings] == [(Flaw.SCALE, datetime.fromtimestamp(bars[place].start_s, UTC))]
    known = (KnownSplit(bars[place].start_s, 1 / factor),)
    assert Flaw.SCALE not in flaws(replace(of(bars), splits=known))


def test_bars_that_can_not_be_the_symbols_own_are_one_finding_for_each_reason() -> None:
    reasons = {DAYS[2].start_s: "late", DAYS[4].start_s: "late", DAYS[5].start_s: "odd"}
    result = check([of_days(DAYS)], SESSIONS, LATER, VENUE_DAY, lambda symbol, bar: reasons.get(bar.start_s, ""))
    assert [(one.flaw, one.count, one.found) for one in result.findings] == [
        (Flaw.NOT_ITS_CONTRACT, 2, "2 bars: late"),
        (Flaw.NOT_ITS_CONTRACT, 1, "1 bar: odd"),
    ]


def test_a_price_that_halves_on_many_times_the_volume_is_news_and_no_split() -> None:
    crash = [*DAYS[:5], *(_split(bar, 2)._replace(volume=bar.volume * 30) for bar in DAYS[5:])]
    assert flaws(of_days(crash)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"close": float("nan")}, "not a number"),
        ({"volume": float("inf")}, "not a number"),
        ({"low": 0.0}, "price zero or negative"),
        ({"open": -1.0}, "price zero or negative"),
        ({"high": 1.0}, "high below low"),
        ({"open": 1000.0}, "open or close outside low and high"),
        ({"volume": -5.0}, "negative volume"),
    ],
)
def test_impossible_numbers_are_found(change: dict[str, Any], words: str) -> None:
    bars = [*DAYS[:4], DAYS[4]._replace(**change), *DAYS[5:]]
    (finding,) = found(of_days(bars))
    assert finding.flaw is Flaw.BAD_PRICE
    assert finding.found.startswith(words)
    assert finding.at == datetime.fromtimestamp(DAYS[4].start_s, UTC)


@pytest.mark.parametrize("factor", [1.4, 0.6])
def test_a_close_that_jumps_and_comes_back_is_a_spike(factor: float) -> None:
    odd = _times(DAYS[4], factor)
    (finding,) = found(of_days([*DAYS[:4], odd, *DAYS[5:]]))
    assert (finding.flaw, finding.observed) == (Flaw.SPIKE, odd.close)
    falls_further = [_times(bar, 0.62)._replace(volume=bar.volume * 9) for bar in DAYS[5:]]
    assert flaws(of_days([*DAYS[:4], _times(DAYS[4], 1.4), *falls_further])) == []
    stays = [_times(bar, factor)._replace(volume=bar.volume * 9) for bar in DAYS[4:]]
    assert flaws(of_days([*DAYS[:4], *stays])) == []


def test_a_high_far_above_its_bar_is_a_spike_of_minutes_and_may_be_real_in_a_day() -> None:
    assert flaws(of_minutes([*MINUTES[:9], MINUTES[9]._replace(high=150.0), *MINUTES[10:]])) == [Flaw.SPIKE]
    assert flaws(of_days([*DAYS[:4], DAYS[4]._replace(high=DAYS[4].high * 1.5), *DAYS[5:]])) == []


def test_daily_dates_that_are_all_a_day_early_are_one_finding() -> None:
    early = [
        bar._replace(start_s=VENUE_DAY.begins_s(SESSIONS[place].date - timedelta(days=1)))
        for place, bar in enumerate(DAYS)
    ]
    long = weekdays(60)
    more = [
        bar._replace(start_s=VENUE_DAY.begins_s(s.date - timedelta(days=1)))
        for s, bar in zip(long, daily(long), strict=True)
    ]
    assert {each.flaw for each in found(of_days(early))} == {Flaw.NO_SESSION, Flaw.GAP}, "two Sundays may be chance"
    (finding,) = found(of_days(more), sessions=long)
    assert (finding.flaw, finding.observed, finding.count) == (Flaw.WRONG_ZONE, -24, 60)
    with_one_right = [*more[:14], more[14]._replace(start_s=VENUE_DAY.begins_s(long[14].date)), *more[15:]]
    nearly_all = found(of_days(with_one_right), sessions=long)
    assert [each.flaw for each in nearly_all] == [Flaw.WRONG_ZONE], "one of them may fit by chance"


def test_a_bar_on_a_weekend_or_at_another_time_of_day_is_found() -> None:
    saturday = DAYS[4]._replace(start_s=DAYS[4].start_s + 86_400)
    assert flaws(of_days([*DAYS[:5], saturday, *DAYS[5:]])) == [Flaw.NO_SESSION]
    at_close = DAYS[4]._replace(start_s=int(SESSIONS[4].close.timestamp()))
    (at_four, gap) = found(of_days([*DAYS[:4], at_close, *DAYS[5:]]))
    assert (at_four.found, gap.flaw) == ("starts at 16:00 in New York, not at midnight", Flaw.GAP)
    night = MINUTES[400]._replace(start_s=MINUTES[400].start_s - 9 * 3600)
    assert flaws(of_minutes(sorted([*MINUTES, night]))) == [Flaw.NO_SESSION]


def test_a_bar_that_is_there_twice_is_found() -> None:
    assert flaws(of_minutes([*MINUTES[:9], MINUTES[8], *MINUTES[9:]])) == [Flaw.DUPLICATE]
    noon = DAYS[3]._replace(start_s=DAYS[3].start_s + 12 * 3600)
    assert Flaw.DUPLICATE in flaws(of_days([*DAYS[:4], noon, *DAYS[4:]]))


def test_bars_that_cannot_be_complete_yet_are_found() -> None:
    last = SESSIONS[-1]
    assert flaws(of_days(DAYS), now=last.close) == []
    assert flaws(of_days(DAYS), now=last.close - timedelta(seconds=1)) == [Flaw.NOT_CLOSED]
    end = SESSIONS[4].close
    assert flaws(of_minutes(MINUTES), now=end) == []
    (finding,) = found(of_minutes(MINUTES), now=end - timedelta(seconds=90))
    assert (finding.flaw, finding.count) == (Flaw.NOT_CLOSED, 2)


def test_nothing_stored_is_a_finding() -> None:
    assert flaws(of_days([])) == [Flaw.NOTHING_STORED]


def test_findings_are_ranked_and_counted_by_series() -> None:
    result = check([of_days([*DAYS[:4], *DAYS[6:]]), of_days([], "ZZZ")], SESSIONS, LATER, VENUE_DAY)
    assert [each.flaw for each in result.findings] == [Flaw.NOTHING_STORED, Flaw.GAP]
    assert [(row.symbol, row.findings) for row in result.looked_at] == [("AAPL", 1), ("ZZZ", 1)]


def test_bars_without_a_session_can_be_left_out_unless_all_are_moved() -> None:
    saturday = DAYS[4]._replace(start_s=DAYS[4].start_s + 86_400)
    assert find_misplaced([of_days([*DAYS[:5], saturday, *DAYS[5:]])], SESSIONS, VENUE_DAY) == (
        (),
        [("AAPL", saturday.start_s)],
    )
    moved = [bar._replace(start_s=bar.start_s + 5 * 3600) for bar in MINUTES]
    refused, _ = find_misplaced([of_minutes(moved)], SESSIONS, VENUE_DAY)
    assert [each.flaw for each in refused] == [Flaw.WRONG_ZONE]
