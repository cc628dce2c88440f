"""Flow of the exchange's generator is found to predict if it was given an edge, and not if it wasn't."""

from array import array
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest

from papervenue.flow.derived import DerivedFlow
from papervenue.flow.series import Row
from papervenue.market.bars import UNITS, Market
from papervenue.market.generator import GeneratedBars
from papervenue.market.sessions import Calendar, build_calendar
from tests.kit.bot.folder import Bot, made
from tests.kit.trades import judged
from tests.suite.tiers import drawn, in_turn, sized
from tradebot.auditing.confidence_intervals import LEVEL
from tradebot.auditing.outcomes import SessionReturns, StrategyOutcomes, Tally
from tradebot.model.bar import Session
from tradebot.model.record import EntryOutcome
from tradebot.model.series import Series

SYMBOLS = ("AAPL", "MSFT", "NVDA")
SESSIONS = 10
MINUTES = (60, 150, 240)
HALF_AN_HOUR_US = 1_800_000_000
WITHOUT = range(sized(2, 60))
WITH = range(sized(1, 10))


def measured(seed: int, edge: float) -> StrategyOutcomes:
    """Measure the net premium of half an hour's alerts as a score, so that nothing of ours but the measuring counts."""
    calendar = build_calendar(date(2026, 3, 2), SESSIONS)
    market = Market(GeneratedBars(seed, calendar), calendar, SYMBOLS)
    flow, sessions, tally = DerivedFlow(market, seed, edge), _sessions(calendar), Tally()
    closes = {
        symbol: {each.date: (market.close_of(symbol, place) or 0) / UNITS for place, each in enumerate(sessions)}
        for symbol in SYMBOLS
    }
    for place, session in enumerate(sessions):
        minutes = {symbol: _minutes(market, symbol, place) for symbol in SYMBOLS}
        day = SessionReturns(sessions[place:], minutes, closes, sessions[-1].close, None)
        tally.add(day, list(_scored(flow, session)))
    (found,) = tally.outcomes()
    return found


def _sessions(calendar: Calendar) -> list[Session]:
    times = ((each.date, each.open_us, each.close_us) for each in calendar.market)
    return [Session(date.fromisoformat(day), _moment(opens), _moment(closes)) for day, opens, closes in times]


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)


def _minutes(market: Market, symbol: str, place: int) -> Series:
    bars = market.day(symbol, place).bars
    starts = array("q", [bar.start_us // 1_000_000 for bar in bars])
    opens, closes = (array("d", [getattr(bar, name) / UNITS for bar in bars]) for name in ("open", "close"))
    return Series(symbol, "1Min", True, starts, opens, close=closes)


def _scored(flow: DerivedFlow, session: Session) -> Iterator[EntryOutcome]:
    for minute in MINUTES:
        at = session.open + timedelta(minutes=minute)
        now_us = int(at.timestamp()) * 1_000_000
        for symbol in SYMBOLS:
            rows = takewhile(lambda row: row.at_us > now_us - HALF_AN_HOUR_US, flow.alerts([symbol], now_us))  # noqa: B023 -- used up at once
            premiums = [_signed_premium(row) for row in rows]
            score = sum(premiums) / (sum(map(abs, premiums)) + 1_000_000)
            yield judged(symbol, score, at=at)


def _signed_premium(row: Row) -> float:
    fields = row.fields
    bought = float(fields["total_ask_side_prem"]) > float(fields["total_bid_side_prem"])
    return float(fields["total_premium"]) * (1 if bought == (fields["type"] == "call") else -1)


@pytest.mark.sampled
def test_with_an_edge_an_hour_is_found_to_be_predicted() -> None:
    hours = [measured(seed, 1.0).score[0] for seed in WITH]
    assert all((hour.mean or 0) > 0 for hour in hours)
    assert sum(hour.is_found for hour in hours) >= 0.8 * len(hours)


@pytest.mark.sampled
def test_without_an_edge_nothing_is_found_more_often_than_by_chance() -> None:
    found = [any(each.is_found for each in measured(seed, 0.0).score) for seed in WITHOUT]
    assert sum(found) / len(found) <= LEVEL + 3 * (LEVEL * (1 - LEVEL) / len(found)) ** 0.5


@pytest.mark.campaign
@pytest.mark.parametrize("seed", drawn("scored sessions", [0], range(3), 1))
@pytest.mark.parametrize("edge", in_turn([0, 1], 1))
def test_a_bot_that_scores_for_fifteen_sessions_finds_its_own_edge_or_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seed: int, edge: int
) -> None:
    # The generator's flow looks an hour ahead, so what is older than half an hour says little about the next one.
    monkeypatch.setenv("TRADEBOT_STRATEGIES__FLOW__LOOKBACK_S", "1800")
    with made(tmp_path / "state", "--sessions", "16", "--seed", str(seed), "--edge", str(edge)) as folder:
        bot = Bot(folder, capsys)
        for _ in range(15):
            assert bot.says("exchange", "tick", "next_open").code == 0
            for _ in range(11):
                bot.does("exchange tick 30m", "fetch-flow", "score")
        (flow,) = bot.json("score", "--outcomes")["strategies"]
    hour = flow["score"][0]
    assert (hour["sessions"], hour["is_found"]) == (15, edge == 1)
    assert any(row["horizons"][0]["is_found"] for row in flow["components"]) == (edge == 1)
