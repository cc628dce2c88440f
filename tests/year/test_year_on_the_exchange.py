"""Chosen sessions by `serve` on the exchange: half days, clock changes and ends of months; campaigns add months."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kit.bot.folder import Bot, log, made
from tests.kit.judge import protection
from tests.kit.values import us_sessions
from tests.suite.tiers import drawn, sized
from tradebot.model.bar import Session
from tradebot.model.record import Job

TIMETABLE = """
timetable:
  {outcomes: null, parity: null, report: null, summary: null, audit: null, backup: null,
   fetch-flow: every 2h from open+2m until close, score: at open+2m, evaluate-exits: every 15m from open+2m until close,
   trade-once: every 2h from open+2m until close-15m, reconcile: every 2h from open+1m until close}
"""
STARTS = {
    "clocks": (date(2026, 10, 30), 2),
    "spring": (date(2026, 3, 6), 4),
    "fall": (date(2026, 10, 29), 4),
    "Thanksgiving": (date(2026, 11, 24), 4),
    "Christmas": (date(2026, 12, 23), 4),
    "summer": (date(2026, 6, 29), 4),
}
"""Twenty sessions: both changes of the clocks, half days, holidays, ends of a month, of a quarter and of a year."""
YEAR = {f"from {first}": (first, 20) for first in (date(2026, 1, 2) + timedelta(days=28 * n) for n in range(13))}

NAMES = drawn("months", ["clocks"], [*YEAR], 1) + sized([], [*STARTS][1:])


class Ran(NamedTuple):
    """One pass that `serve` told of."""

    job: str
    slot: str
    at: datetime


@pytest.mark.sampled
@pytest.mark.parametrize("name", NAMES)
def test_serve_orders_only_within_sessions_and_runs_each_slot_once(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_FLOW_AGE_S", "14400")
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_RECONCILE_AGE_S", "14400")
    first, count = {**STARTS, **YEAR}[name]
    sessions = us_sessions(first, first + timedelta(days=45))[:count]
    flags = ("--symbols", "AAPL", "--start", first.isoformat(), "--sessions", str(count))
    with made(tmp_path / "state", *flags, settings=TIMETABLE) as path:
        bot = Bot(path, capsys)
        process = bot.process("serve", "--speed", "1000000", "--json")
        out, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
        ran = list(passes(out))
        events = log(bot.url)
        judge(ran, events, sessions)
        (number,) = {event["account"] for event in events if event["event"] == "fill"}
        assert list(protection.broken(events, number, path, protection.sessions_of(path / "exchange"))) == []


def passes(out: str) -> Iterator[Ran]:
    """Yield the passes that have a slot."""
    for line in out.splitlines():
        data = json.loads(line)["data"]
        if data["slot"] is not None:
            assert data["kind"] == "ran", data
            yield Ran(data["job"], data["slot"], datetime.fromisoformat(data["at"]))


def judge(ran: Sequence[Ran], events: Sequence[dict[str, Any]], sessions: Sequence[Session]) -> None:
    """Compare what ran with the sessions, and ask the exchange when its orders came."""
    by_day = Counter((each.at.date(), each.job, each.slot) for each in ran)
    assert set(by_day.values()) == {1}
    hours = {session.date: session for session in sessions}
    assert {day for day, _, _ in by_day} == hours.keys()
    for session in sessions:
        minutes = int((session.close - session.open).total_seconds()) // 60
        exits = sum(day == session.date and job == Job.EVALUATE_EXITS for day, job, _ in by_day)
        assert exits == len(range(2, minutes, 15)), session
    posts = [e for e in events if e["event"] == "request" and (e["method"], e["path"]) == ("POST", "/v2/orders")]
    assert posts
    for post in posts:
        at = datetime.fromisoformat(post["at"])
        assert hours[at.date()].contains(at), f"an order came at {at}, outside its session"
