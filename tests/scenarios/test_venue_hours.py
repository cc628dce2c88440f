"""A day that the broker shortens or lengthens against the published calendar: the bot keeps to the broker's hours."""

from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from exchange.tests.kit.cable import lay_cable
from tests.kit.bot.futures import LEFT, FuturesDay, Pit, wants
from tests.kit.bot.near import compares, exits
from tradebot.adapters.state.events import last_events
from tradebot.app.wiring import App
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.timetable.sessions import difference

DAY = date(2026, 12, 7)
ENDS_EARLY, ENDS_LATE = f"{DAY}T20:30:00Z", f"{DAY}T22:40:00Z"


@pytest.fixture
def day(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FuturesDay:
    return Pit(tmp_path, lay_cable(monkeypatch.setattr), closes=((DAY.isoformat(), request.param),)).day("flat")


def sent(day: FuturesDay) -> list[str]:
    """Return the ids of the orders that the exchange has accepted."""
    return [event["client_order_id"] for event in day.events() if event["event"] == "order_accepted"]


def refused(day: FuturesDay) -> list[Reason | None]:
    """Return what refused the last pass of entries, or else each of its candidates."""
    found = list[Reason | None]()

    def look(app: App) -> int:
        assert app.existing_facts is not None
        (cycle,) = app.existing_facts.cycles(job=Job.TRADE_ONCE, last=1)
        found.extend([cycle.job_decision.reason] if cycle.job_decision else [])
        found.extend(one.terminal.reason if one.terminal else None for one in cycle.candidates)
        return 0

    day.run(look)
    return found


def messages(day: FuturesDay) -> list[str]:
    """Return what events have said of the calendar."""
    events, _ = last_events(day.folder / "system_events.jsonl", 100)
    return [event.details["message"] for event in events if event.event_type == EventKind.CALENDAR_CHANGED.event_type]


@pytest.mark.campaign
@pytest.mark.parametrize("day", [ENDS_EARLY], indirect=True)
def test_bot_sends_nothing_after_an_early_close_that_only_the_broker_tells(day: FuturesDay) -> None:
    enters = wants(day.folder.parent, {LEFT: "buy"})
    day.passes(enters, compares)
    assert refused(day) == [None]
    before = sent(day)
    assert before
    day.tick(to=f"{DAY}T20:31:00Z")
    assert day.passes(exits, enters)
    assert refused(day) == [Reason.MARKET_CLOSED]
    assert sent(day) == before
    (said,) = messages(day)
    assert said.endswith("The broker's hours apply")
    with closing(day.ledger()) as ledger:
        assert "23:00 to 20:30 UTC" in difference(ledger, DAY)


@pytest.mark.campaign
@pytest.mark.parametrize("day", [ENDS_LATE], indirect=True)
def test_bot_goes_on_while_the_broker_trades_after_the_calendars_close(day: FuturesDay) -> None:
    day.tick(to=f"{DAY}T22:10:00Z")
    day.passes(compares, wants(day.folder.parent, {LEFT: "buy"}))
    assert refused(day) == [None]
    assert sent(day)
