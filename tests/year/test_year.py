"""A simulated year of slots: whatever happens, each is acted on at most once, and none is missed without a reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.kit.core.sessions import globex
from tests.kit.values import ACCOUNT, NOW
from tests.suite.tiers import in_campaigns, sized
from tests.year.bot import CHORES, DAY, EVERY_M, MINUTE, Key
from tests.year.year import Player, Year, YearTrouble, drawn, judge, table
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.model.bar import Session
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import SlotClaim
from tradebot.model.venue_day import VenueDay
from tradebot.venues.ibkr.capabilities import IBKR
from tradebot.venues.ibkr.contracts import CURRENCY, EQUITY, METALS

FIRST, LAST = sized(date(2026, 10, 30), date(2026, 1, 2)), date(2026, 12, 31)
GLOBEX = sized(
    [(EQUITY, date(2026, 11, 25), date(2026, 11, 27))],
    [(calendar, date(2026, 1, 2), LAST) for calendar in (EQUITY, METALS, CURRENCY)],
)
"""The calendars of Globex, each with its own early closes, and the span of each one's year."""
HOURLY = dict.fromkeys((Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE), 120)
HALF_DAY = date(2026, 11, 27)
SEED = 2026


@pytest.mark.sampled
def test_quiet_year_runs_every_slot_once() -> None:
    year = Player(drawn(SEED, FIRST, LAST)).play()
    judge(year)
    counts = table(year)
    assert counts["run by serve"] == counts["slots"] == sum(act.key in year.planned for act in year.outside.acts)
    assert (counts["sessions"], counts["starts of serve"]) == (sized(43, 251), 1)
    hours = Counter((session.close - session.open) // MINUTE for session in year.sessions)
    assert hours == {390: sized(41, 249), 210: 2}, "half days"
    assert {session.open.hour for session in year.sessions} == {13, 14}, "both sides of daylight saving"
    sundays = {name: [act.at for act in year.outside.acts if act.key[0] == name] for name in ("spring", "fall")}
    assert not in_campaigns() or date(2026, 3, 8) in {at.date() for at in sundays["spring"]}, "02:30 didn't come"
    assert [at.hour for at in sundays["fall"] if at.date() == date(2026, 11, 1)] == [5], "01:30 came twice, it didn't"


@pytest.mark.sampled
def test_troubled_year_repeats_no_slot_and_misses_none_silently() -> None:
    year = Player(drawn(SEED, FIRST, LAST, kills=sized(30, 150), troubles=sized(30, 150))).play()
    judge(year)
    counts = table(year)
    assert {event.trouble for event in year.events} == set(YearTrouble)
    assert counts["kills"] > sized(20, 60)
    assert {str(Reason.ASLEEP), str(Reason.NOT_RUNNING), str(Reason.PASS_FAILED)} <= counts.keys()


def test_two_daemons_and_cron_act_on_each_slot_once() -> None:
    first, last = date(2026, 3, 2), date(2026, 3, 20)
    year = Player(drawn(SEED, first, last, kills=20, races=60, troubles=5, second_daemon=True, cron=True)).play()
    judge(year)
    counts = table(year)
    assert min(counts["run by serve"], counts["run by cron"]) > 200


def test_venue_that_never_closes_has_slots_on_every_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.year.year.us_sessions", around_the_clock)
    friday, monday = date(2026, 3, 6), date(2026, 3, 9)
    year = Player(drawn(SEED, friday, monday, kills=10, races=10, cron=True)).play()
    judge(year)
    per_day = Counter(session for job, session, _ in year.planned if job == Job.EVALUATE_EXITS)
    assert per_day == dict.fromkeys((friday + days * DAY for days in range(4)), 24 * 60 // 15)


@pytest.mark.sampled
@pytest.mark.parametrize("lanes", sized([True], [True, False]))
def test_sessions_that_begin_in_the_evening_have_each_slot_once(monkeypatch: pytest.MonkeyPatch, lanes: bool) -> None:
    evening = VenueDay("America/New_York", timedelta(hours=-6), timedelta(hours=23))
    monkeypatch.setattr("tests.year.bot.VENUE_DAY", evening)
    for module in ("year", "bot"):
        monkeypatch.setattr(f"tests.year.{module}.us_sessions", globex)
    # There is no trading before such a session.
    monkeypatch.delitem(CHORES, "morning")
    friday, last = date(2026, 11, 20), sized(date(2026, 11, 27), date(2026, 12, 2))
    kills, races, troubles = sized((10, 15, 3), (20, 40, 5))
    plan = drawn(SEED, friday, last, kills=kills, races=races, troubles=troubles, lanes=lanes, cron=sized(False, True))
    year = Player(plan).play()
    judge(year)
    passes = [act for act in year.outside.acts if act.key[0] == Job.EVALUATE_EXITS]
    # Thanksgiving's trading belongs to the day after, Sunday evening's to Monday, and an evening's break to nobody.
    dates = {act.key[1] for act in passes if act.at.date() in (date(2026, 11, 26), date(2026, 11, 22))}
    assert dates == {date(2026, 11, 27), date(2026, 11, 23)}
    assert {act.at.date() for act in passes if act.at.hour == 22} == {date(2026, 11, 26)}


@pytest.mark.sampled
@pytest.mark.parametrize(("calendar", "first", "last"), GLOBEX)
def test_year_of_globex_has_each_slot_once_through_daylight_saving_and_early_closes(
    monkeypatch: pytest.MonkeyPatch, calendar: str, first: date, last: date
) -> None:
    monkeypatch.setattr("tests.year.bot.VENUE_DAY", IBKR.day)
    for module in ("year", "bot"):
        monkeypatch.setattr(
            f"tests.year.{module}.us_sessions", lambda begin, end: exchange_sessions(begin, end, calendar)
        )
    # There is no trading before such a session.
    monkeypatch.delitem(CHORES, "morning")
    for job, every in HOURLY.items():
        monkeypatch.setitem(EVERY_M, job, every)
    kills, races, troubles = sized((5, 5, 2), (100, 100, 60))
    year = Player(drawn(SEED, first, last, kills=kills, races=races, troubles=troubles, lanes=True)).play()
    judge(year)
    told = exchange_sessions(first, last, calendar)
    hours = Counter((session.close - session.open) for session in told)
    early = len(told) - hours[IBKR.day.lasts]
    assert early in sized(range(1, 3), range(2, 20)), "early closes"
    assert {session.open.hour for session in told} >= sized({23}, {22, 23}), "both sides of daylight saving"
    passes = Counter(session for job, session, _ in year.planned if job == Job.EVALUATE_EXITS)
    assert set(passes) == {session.date for session in year.sessions}


def around_the_clock(first: date, last: date) -> Sequence[Session]:
    """Return a session for each day, from midnight to midnight."""
    midnights = [datetime.combine(first + days * DAY, time(), UTC) for days in range((last - first).days + 1)]
    return [Session(midnight.date(), midnight, midnight + DAY) for midnight in midnights]


@settings(max_examples=max(settings().max_examples // 25, 1))
@given(
    seed=st.integers(0, 2**32),
    first=st.dates(date(2026, 1, 2), date(2027, 11, 1)),
    lanes=st.booleans(),
    second=st.booleans(),
    cron=st.booleans(),
)
@example(seed=1490, first=date(2026, 2, 1), lanes=False, second=True, cron=True)
def test_week_accounts_for_every_slot_despite_all(
    seed: int, first: date, lanes: bool, second: bool, cron: bool
) -> None:
    judge(
        Player(
            drawn(
                seed, first, first + 6 * DAY,
                kills=6, races=15, troubles=4, lanes=lanes, second_daemon=second, cron=cron,
            )
        ).play()
    )  # fmt: skip


@pytest.mark.sampled
def test_half_day_ends_the_same_after_any_kill() -> None:
    """Kill `serve` before or after each write of a half day: only an entry that had begun stays without its order."""
    quiet = _half_day(kills=())
    for number in range(1, quiet.outside.writes + 1, sized(7, 1)):
        # After a write is before the next one, except that time may pass between two.
        kill = number if number % 2 else -number
        killed = _half_day(kills=(kill,))
        judge(killed)
        assert killed.outside.killed == 1
        claimed = [claim for claim in _claimed(killed) if " again " not in claim[0][0]]
        assert {*claimed} == {*_claimed(quiet)}, f"killed at {kill}"
        lost = {act.key for act in quiet.outside.acts} - {act.key for act in killed.outside.acts}
        assert len(lost) <= 1, f"killed at {kill}: {lost}"
        assert {key[0] for key in lost} <= {Job.TRADE_ONCE, *ONLY_LOOK}, f"killed at {kill}: {lost}"


ONLY_LOOK = {Job.FETCH_FLOW, Job.SCORE, Job.RECONCILE}
"""A comparison also runs at each start, and facts that weren't fetched are old, which gates see."""


def _half_day(kills: Iterable[int]) -> Year:
    year = drawn(SEED, HALF_DAY, HALF_DAY, lanes=True)
    year.outside.kills = frozenset(kills)
    return Player(year).play()


def _claimed(year: Year) -> set[tuple[Key, Reason | None]]:
    claims = year.outside.ledger.slot_claims(HALF_DAY)
    return {
        ((claim.job, claim.session, claim.slot), claim.missed_reason)
        for claim in claims
        # A comparison at the start has no slot, or an extra one.
        if "#" not in claim.slot and not claim.slot.startswith("at ")
    }


def test_sqlite_books_do_the_same_as_memory_books(tmp_path: Path) -> None:
    first, last = date(2026, 3, 5), date(2026, 3, 10)
    tables = []
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        for ledger in (MemoryLedger(ACCOUNT), books):
            year = drawn(7, first, last, kills=10, troubles=3, cron=True, ledger=ledger)
            judge(Player(year).play())
            tables.append(table(year))
    assert tables[0] == tables[1]


class ForgetfulBooks(MemoryLedger):
    """Books in which nothing is written about slots that nobody ran."""

    def miss_slots(self, slots: Iterable[Key], by: str, at: datetime) -> Sequence[SlotClaim]:
        return [SlotClaim(*key, by, at, won=False) for key in slots]


def test_judge_catches_books_that_forget_missed_slots() -> None:
    year = drawn(5, date(2026, 3, 2), date(2026, 3, 13), troubles=6, ledger=ForgetfulBooks(ACCOUNT))
    with pytest.raises(AssertionError, match="silently missed"):
        judge(Player(year).play())


@pytest.mark.parametrize("kills", [0, 1])
def test_judge_catches_a_repeated_act(kills: int) -> None:
    year = _half_day(kills=())
    entry = next(act for act in year.outside.acts if act.key[0] == Job.TRADE_ONCE)
    year.outside.acts.append(entry._replace(kills=kills))
    with pytest.raises(AssertionError, match="acted on 2 times"):
        judge(year)


def test_judge_catches_an_entry_late_or_outside_its_session() -> None:
    for late, what in ((2 * MINUTE, "late"), (-1 * MINUTE, "early"), (8 * 60 * MINUTE, "late")):
        year = _half_day(kills=())
        acts = year.outside.acts
        acts[:] = [act._replace(at=act.at + late) if act.key[0] == Job.TRADE_ONCE else act for act in acts]
        with pytest.raises(AssertionError, match=what):
            judge(year)
