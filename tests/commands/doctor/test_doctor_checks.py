"""The doctor's rows one by one, on a scripted venue and flow source: what fails, what warns, and with which fix."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from commands.doctor import machine, venue
from commands.doctor.machine import CheckResult, attempt
from tests.kit.adapters.alpaca import account_row, order_row, reader
from tests.kit.adapters.alpaca import venue as scripted_venue
from tests.kit.fakes.scripted import Asked, Scripted, Wire, serving
from tradebot.adapters.flow.unusual_whales import UnusualWhales
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app.keys import Secrets
from tradebot.app.rules import rules_of
from tradebot.app.settings import Settings, load
from tradebot.app.venues import door_to
from tradebot.desk.fetching import needed_facts
from tradebot.errors import OperatorError, TemporaryError
from tradebot.judging.judgment import HealthState, Judgment
from tradebot.model.bar import Session
from tradebot.model.fact_kind import AnyKind
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.model.venue_day import VenueDay
from tradebot.ports.world import Rules
from tradebot.strategies.flow import FlowStrategy
from tradebot.venues.alpaca.parsers import read_order
from tradebot.venues.alpaca.reader import AlpacaReader
from tradebot.venues.alpaca.wire import AlpacaVenue
from tradebot.venues.door import Door

NUMBER = "SBX123456789"
SUBSCRIPTION = {"code": 42210000, "message": "subscription does not permit querying recent SIP data"}
ANSWERS = "x-uw-token-req-limit"
USED = "x-uw-daily-req-count"


@dataclass
class FakeApp:
    """A paper bot whose venue and flow source are scripted; its ledger is in memory."""

    wire: Wire
    mode: Mode = Mode.PAPER
    settings: Settings = field(default_factory=lambda: load(None, {}, {"universe": ["AAPL", "MSFT"]}).settings)
    secrets: Secrets = field(default_factory=lambda: Secrets("flow", {"alpaca_key": "key", "alpaca_secret": "secret"}))
    ledger_view: MemoryLedger = field(default_factory=lambda: MemoryLedger(NUMBER))

    feed: str = "iex"

    @property
    def day(self) -> VenueDay:
        return self.settings.day

    @property
    def door(self) -> Door:
        return door_to("alpaca")

    @property
    def drift(self) -> DriftTally:
        return DriftTally()

    @property
    def connection(self) -> AlpacaVenue:
        return replace(scripted_venue(self.wire), feed=self.feed)

    @cached_property
    def reader(self) -> AlpacaReader:
        return reader(self.wire)

    @property
    def flow(self) -> UnusualWhales:
        return UnusualWhales(self.wire.url, "flow", now=self.now)

    @property
    def rules(self) -> Rules:
        return rules_of(self.settings, self.settings.exits)

    @property
    def needed_facts(self) -> Mapping[AnyKind, Sequence[str]]:
        return needed_facts([FlowStrategy(self.settings.strategies.in_use()["flow"])], self.rules)

    def now(self) -> datetime:
        return self.reader.clock().now


@pytest.fixture
def app() -> Iterator[FakeApp]:
    with serving() as wire:
        yield FakeApp(wire)


def clock_row(now: datetime, *, is_open: bool = True) -> dict[str, object]:
    later = {name: (now + timedelta(hours=n)).isoformat() for n, name in enumerate(("next_close", "next_open"), 1)}
    return {"timestamp": now.isoformat(), "is_open": is_open, **later}


def says(app: FakeApp, **paths: object) -> None:
    """Let each path (its last part, dashes as underscores) give an answer; the clock tells this machine's time."""
    answers = {"clock": clock_row(datetime.now(UTC))} | paths

    def answer(asked: Asked) -> Scripted:
        found = answers.get(asked.path.rpartition("/")[2].replace("-", "_"))
        if callable(found):
            found = found(asked)
        return found if isinstance(found, Scripted) else Scripted(200, found)

    app.wire.script = answer


def looked(look: Callable[..., CheckResult], app: FakeApp) -> Judgment:
    return attempt("row", lambda: look(app))


def snapshot(at: datetime) -> dict[str, object]:
    stamp = at.isoformat()
    return {"latestQuote": {"t": stamp, "bp": 99, "ap": 101}, "latestTrade": {"t": stamp, "p": 100}}


def test_keys_of_another_account_fail(app: FakeApp) -> None:
    says(app, account=account_row(account_number="PA9OTHER"))
    assert "the broker answers for account …THER, but these books belong to …6789" in looked(venue.account, app).found
    says(app, account=account_row(account_number=NUMBER))
    assert looked(venue.account, app).state is HealthState.OK


@pytest.mark.parametrize("change", [{"trading_blocked": True}, {"status": "ACCOUNT_CLOSED"}])
def test_a_blocked_account_fails(app: FakeApp, change: dict[str, object]) -> None:
    says(app, account=account_row(account_number=NUMBER, **change))
    assert looked(venue.account, app).state is HealthState.FAILED


def test_refused_keys_fail_and_nobody_else_is_asked(app: FakeApp) -> None:
    says(app, clock=Scripted(401, {"message": "unauthorized."}), market_tide={"data": []})
    rows = {row.subject: row for row in venue.venue_checks(app, with_keys=True)}  # type: ignore[arg-type]
    assert rows["broker"].state is HealthState.FAILED
    assert "ALPACA_KEY" in rows["broker"].next
    assert {rows[name].state for name in venue.BROKER_CHECKS} == {HealthState.SKIPPED}
    assert {asked.path for asked in app.wire.asked if asked.path.startswith("/v2")} == {"/v2/clock"}


def test_an_open_order_of_another_copy_of_the_bot_fails(app: FakeApp) -> None:
    ours = order_row(client_order_id="tb1.261120.FLOW.AAPL.OPEN.STRANGE")
    says(
        app,
        account=account_row(account_number=NUMBER),
        positions=[],
        orders=[ours, order_row(client_order_id="mine", id="2")],
    )
    found = looked(venue.other_copies, app)
    assert (found.state, found.count) == (HealthState.FAILED, 2)
    says(app, account=account_row(account_number=NUMBER), positions=[], orders=[order_row(client_order_id="mine")])
    assert looked(venue.other_copies, app).state is HealthState.OK


def test_a_stop_that_was_sent_with_its_entry_is_ours_although_it_has_no_mark_of_its_own(app: FakeApp) -> None:
    row = order_row(client_order_id="stop of it")
    app.ledger_view.apply_orders([read_order(row, DriftTally())], datetime(2026, 11, 16, 15, tzinfo=UTC))
    foreign = order_row(client_order_id="mine", id="2")
    says(app, account=account_row(account_number=NUMBER), positions=[], orders=[row, foreign])
    found = looked(venue.other_copies, app)
    assert (found.state, found.found) == (HealthState.OK, "1 of 2 open orders ours, all recorded in these books")


@pytest.mark.parametrize(
    ("age_s", "is_open", "state"),
    [(5, True, HealthState.OK), (500, True, HealthState.FAILED), (500, False, HealthState.OK)],
)
def test_old_quotes_fail_only_in_an_open_session(app: FakeApp, age_s: int, is_open: bool, state: HealthState) -> None:
    now = datetime.now(UTC)
    quote = snapshot(now - timedelta(seconds=age_s))
    says(app, clock=clock_row(now, is_open=is_open), snapshots={"AAPL": quote, "MSFT": quote})
    found = looked(venue.quotes, app)
    assert (found.state, found.count, round(found.age_s or 0)) == (state, 2, age_s)


def test_missing_quote_warns_and_names_its_symbol_and_no_quotes_fail(app: FakeApp) -> None:
    says(app, snapshots={"AAPL": snapshot(datetime.now(UTC))})
    found = looked(venue.quotes, app)
    assert (found.state, "MSFT" in found.found) == (HealthState.DEGRADED, True)
    says(app, snapshots={})
    assert looked(venue.quotes, app).state is HealthState.FAILED


def test_bars_are_counted_and_aged(app: FakeApp) -> None:
    stamp = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
    says(app, latest={"bars": {"AAPL": {"t": stamp}, "MSFT": {"t": stamp}}})
    found = looked(venue.bars, app)
    assert (found.state, found.count, round(found.age_s or 0)) == (HealthState.OK, 2, 60)
    says(app, latest={"bars": {"AAPL": {"t": "noon"}}})
    assert looked(venue.bars, app).state is HealthState.FAILED


def test_plan_without_sip_is_distinguished_from_refused_keys(app: FakeApp) -> None:
    says(app, latest=Scripted(403, SUBSCRIPTION))
    found = looked(venue.data_plan, app)
    assert (found.state, found.found) == (HealthState.OK, "the plan includes IEX but not SIP; feed iex matches it")
    assert app.wire.asked[-1].query["feed"] == "sip"
    app.feed = "sip"
    assert looked(venue.data_plan, app).next == "Set alpaca.feed: iex, or subscribe to the plan that includes SIP"
    says(app, latest=Scripted(403, {"message": "forbidden."}))
    assert "ALPACA_KEY" in looked(venue.data_plan, app).next
    says(app, latest={"bars": {}})
    assert "the plan includes SIP" in looked(venue.data_plan, app).found


@pytest.mark.parametrize(
    ("ahead_s", "state"), [(0, HealthState.OK), (60, HealthState.FAILED), (-60, HealthState.FAILED)]
)
def test_clock_that_differs_from_the_venue_fails(app: FakeApp, ahead_s: int, state: HealthState) -> None:
    says(app, clock=lambda asked: clock_row(datetime.now(UTC) - timedelta(seconds=ahead_s)))
    found = looked(venue.clock_skew, app)
    assert found.state is state
    assert ahead_s <= 0 or "60.0 s ahead of the broker" in found.found


def test_calendar_that_differs_from_the_venue_fails(app: FakeApp) -> None:
    now = datetime(2026, 11, 20, 15, tzinfo=UTC)
    days = [{"date": "2026-11-20", "open": "09:30", "close": "16:00"}]
    says(app, clock=clock_row(now), calendar=days)
    assert looked(venue.venue_calendar, app).state is HealthState.SKIPPED
    opens = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    for hours, state in ((6.5, HealthState.OK), (3.5, HealthState.FAILED)):
        app.ledger_view.put_sessions([Session(date(2026, 11, 20), opens, opens + timedelta(hours=hours))])
        assert looked(venue.venue_calendar, app).state is state


@pytest.mark.parametrize(
    ("used", "limit", "state"),
    [(10, 15_000, HealthState.OK), (14_000, 15_000, HealthState.DEGRADED), (0, 100, HealthState.DEGRADED)],
)
def test_flow_row_shows_plan_and_remaining_quota(app: FakeApp, used: int, limit: int, state: HealthState) -> None:
    page = Scripted(200, {"data": []}, {ANSWERS: str(limit), USED: str(used)})
    app.wire.script = lambda asked: page
    found = looked(venue.flow, app)
    assert (found.state, found.count) == (state, 6)
    assert f"{used:,} of {limit:,} calls a day used" in found.found


def test_endpoint_missing_from_the_flow_plan_fails(app: FakeApp) -> None:
    def answer(asked: Asked) -> Scripted:
        lacking = asked.path.endswith("oi-change")
        return Scripted(403, {"message": "not in your plan"}) if lacking else Scripted(200, {"data": []})

    app.wire.script = answer
    found = looked(venue.flow, app)
    assert (found.state, found.count) == (HealthState.FAILED, 5)
    assert "5 of 6 endpoints answer" in found.found
    assert "not in your plan" in found.found


@pytest.mark.parametrize(
    ("lacking", "state", "count"), [("", HealthState.FAILED, 0), ("oi-change", HealthState.DEGRADED, 5)]
)
def test_endpoint_that_the_flow_source_does_not_know_is_no_answer(
    app: FakeApp, lacking: str, state: HealthState, count: int
) -> None:
    app.wire.script = lambda asked: Scripted(404 if asked.path.endswith(lacking) else 200, {"data": []})
    found = looked(venue.flow, app)
    assert (found.state, found.count) == (state, count)
    assert f"{count} of 6 endpoints answer" in found.found
    assert "not found" in found.found


def test_flow_source_that_refuses_the_key_is_asked_once(app: FakeApp) -> None:
    app.wire.script = lambda asked: Scripted(401, {})
    found = looked(venue.flow, app)
    assert (found.state, len(app.wire.asked)) == (HealthState.FAILED, 1)
    assert "UW_API_KEY" in found.next


@pytest.mark.parametrize("error", [OperatorError("bad"), TemporaryError("bad"), OSError("bad")])
def test_expected_error_becomes_a_failed_row(error: Exception) -> None:
    def look() -> CheckResult:
        raise error

    found = attempt("row", look)
    assert (found.state, found.found, bool(found.next)) == (HealthState.FAILED, "bad", True)


@pytest.mark.parametrize(
    ("needed", "problem"),
    [("no-such-package>=1", "no-such-package is missing"), ("pytest<1", "pytest "), ("pytest[x]>=1,<1000", "None")],
)
def test_missing_package_or_one_out_of_its_range_is_named(needed: str, problem: str) -> None:
    assert str(machine.out_of_range(Requirement(needed))).startswith(problem)


def test_file_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ledger.db").touch()
    monkeypatch.setattr("os.geteuid", lambda: 4242)
    found = machine.permissions(tmp_path)
    assert (found.state, "ledger.db" in found.found) == (HealthState.FAILED, True)
