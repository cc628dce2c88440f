"""Following a stream: whatever happens to it, each alert is stored once, and what is stored never hides a gap."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papervenue.streams.flow_alerts import stream_row
from tests.kit.values import DAY, NOW, SESSION
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.wire.http import decode
from tradebot.desk.streaming import AGAIN, FULL_PAGE, MOST_SYMBOLS, Follower, FollowerInputs, Refilled, refill
from tradebot.errors import ExitCode, OperatorError, TemporaryError, TradebotError
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowAlert, FlowPage, Intake, Quota, StreamRows
from tradebot.signals.fields import past_time
from tradebot.signals.normalize import normalize
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND

ASKED_NAMES = ("AAPL", "BRK.B")


def alert(number: int, ticker: str = "AAPL", age_s: float = 60, **changes: object) -> dict[str, Any]:
    """Return an alert in the form of the REST API."""
    at = NOW - timedelta(seconds=age_s)
    return {
        "id": f"alert-{number}", "ticker": ticker, "created_at": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z", "type": "call",
        "strike": "88", "expiry": "2026-12-18", "total_premium": "40000", "total_ask_side_prem": "30000",
        "total_bid_side_prem": "9000", "volume": 14920, "open_interest": 19829, "has_sweep": True, "has_floor": False,
        "has_multileg": False, "issue_type": "Common Stock", "option_chain": f"{ticker}261218C00088000",
    } | changes  # fmt: skip


class Rest:
    """The REST API over a list of alerts, newest first: cursors are inclusive, as they seem to be at the vendor."""

    def __init__(self, rows: Sequence[Any] = ()) -> None:
        self.rows = list(rows)
        self.asked: list[Mapping[str, str]] = []
        self.down = False
        self.inclusive = True
        self.now = NOW

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        assert symbol is None
        params = kind.request("", session).params
        self.asked.append(params)
        if self.down:
            raise TemporaryError("away")
        tickers = params["ticker_symbol"].split(",")
        newer, older = params["newer_than"], params.get("older_than")
        found = [row for row in self.rows if not isinstance(row, dict) or row.get("ticker") in (*tickers, "OTHER")]
        kept = [row for row in found if self._is_between(row, newer, older)]
        kept.sort(key=lambda row: self._at(row) or NOW, reverse=True)
        return FlowPage(kind.name, symbol, tuple(kept[: int(params["limit"])]), Quota(len(self.asked), 15_000, None))

    def calls_left(self) -> int | None:
        return None

    def _is_between(self, row: Any, newer: str, older: str | None) -> bool:
        at = self._at(row)
        if at is None:
            return True
        end = self.now if older is None else min(self.now, datetime.fromisoformat(older))
        return datetime.fromisoformat(newer) <= at and (at <= end if self.inclusive else at < end)

    def _at(self, row: Any) -> datetime | None:
        return past_time(row, "created_at", NOW + timedelta(days=9)) if isinstance(row, dict) else None


def refilled(rest: Rest, symbols: Sequence[str] = ASKED_NAMES) -> Refilled:
    return refill(rest, symbols, SESSION.open, DAY, lambda: NOW)


def ids(found: Refilled, symbol: str) -> list[str]:
    (intake,) = [intake for intake in found.intakes if intake.symbol == symbol]
    return sorted(fact.id for fact in intake.facts)


def test_each_symbol_gets_a_reply_of_its_own_even_an_empty_one() -> None:
    rest = Rest([alert(1), alert(2, "BRKB"), alert(3)])
    found = refilled(rest, ("AAPL", "BRK.B", "MSFT"))
    assert (ids(found, "AAPL"), ids(found, "BRK.B"), ids(found, "MSFT")) == (["alert-1", "alert-3"], ["alert-2"], [])
    assert [intake.at for intake in found.intakes] == [NOW] * 3
    (asked,) = rest.asked
    assert asked == {"ticker_symbol": "AAPL,BRKB,MSFT", "limit": "200", "newer_than": "2026-11-16T14:30:00.000000Z"}
    assert [decode(page.body) for page in found.pages] == [{"data": list(page.rows)} for page in found.pages]
    assert found.about == {"AAPL": {"issue_type": "Common Stock"}, "BRK.B": {"issue_type": "Common Stock"}}


@pytest.mark.parametrize("inclusive", [True, False])
def test_pages_are_asked_for_until_one_is_not_full_whatever_a_cursor_includes(inclusive: bool) -> None:
    rest = Rest([alert(number, age_s=60 + number // 3) for number in range(3 * FULL_PAGE)])
    rest.inclusive = inclusive
    found = refilled(rest)
    assert len(ids(found, "AAPL")) == 3 * FULL_PAGE
    assert found.calls == len(rest.asked) > 3
    assert all(intake.duplicates == 0 for intake in found.intakes)


def test_more_symbols_than_one_call_takes_are_asked_about_in_several() -> None:
    rest = Rest()
    names = [f"S{number}" for number in range(MOST_SYMBOLS + 1)]
    found = refilled(rest, names)
    assert [intake.symbol for intake in found.intakes] == names
    assert [len(asked["ticker_symbol"].split(",")) for asked in rest.asked] == [MOST_SYMBOLS, 1]


def test_a_page_without_the_oldest_alerts_is_not_a_reply() -> None:
    rest = Rest([alert(number) for number in range(FULL_PAGE + 1)])
    with pytest.raises(TemporaryError, match="more alerts"):
        refilled(rest)


def test_full_pages_of_rows_without_a_time_end_the_requests() -> None:
    with pytest.raises(TemporaryError, match="more alerts"):
        refilled(Rest([None] * FULL_PAGE))


def test_a_row_of_another_ticker_counts_for_every_symbol_and_a_bad_one_too() -> None:
    found = refilled(Rest([alert(1), alert(2, "OTHER"), "nonsense"]))
    counts = [(intake.received, len(intake.facts), intake.foreign, len(intake.rejected)) for intake in found.intakes]
    assert counts == [(3, 1, 1, 1), (2, 0, 1, 1)]


NAMES = ("AAPL", "MSFT")
CHECK_S = 180


class Wire:
    def __init__(self) -> None:
        self.rows: list[object] = []
        self.joined, self.up, self.lost, self.problem = 1, True, 0, ""
        self.renewed = 0
        self.refusal: OperatorError | None = None

    def take(self) -> StreamRows:
        if self.refusal:
            raise self.refusal
        rows, self.rows = tuple(self.rows), []
        return StreamRows(rows, self.joined, self.up, self.lost, self.problem)

    def renew(self) -> None:
        self.renewed += 1


class StreamScene:
    """A source with both its ways, and a follower of it; time is moved by the test."""

    def __init__(self, check_s: int = CHECK_S) -> None:
        self.check_s = check_s
        self.wire, self.rest = Wire(), Rest()
        self.facts, self.events = MemoryFacts(), MemoryEvents()
        self.now = NOW
        self.busy = False
        self.made = 0
        self.kept: list[tuple[FlowPage, date, datetime]] = []
        self.follower = self.new_follower()

    def new_follower(self) -> Follower:
        facts, events, check_s = self.facts, self.events, self.check_s
        return Follower(FollowerInputs(self.wire, self.rest, facts, events, NAMES, check_s, self.alone, self.keep))

    def keep(self, page: FlowPage, session: date, at: datetime) -> None:
        self.kept.append((page, session, at))

    @contextmanager
    def alone(self) -> Iterator[None]:
        if self.busy:
            raise TradebotError("Another tradebot is working", code=ExitCode.ANOTHER_INSTANCE)
        yield

    def happens(self, ticker: str = "AAPL", *, told: bool = True) -> dict[str, Any]:
        """Let an alert be created now."""
        self.made += 1
        age_s = (NOW - self.now).total_seconds()
        row = alert(self.made, ticker, age_s, end_time=int(self.now.timestamp() * 1000) - 2000)
        self.rest.rows.append(row)
        if told:
            self.wire.rows.append(stream_row(row))
        return row

    def look(self, later_s: float = 1) -> None:
        self.now += timedelta(seconds=later_s)
        self.rest.now = self.now
        self.follower.look(SESSION, lambda: self.now)

    def stored(self) -> list[str]:
        known = self.facts.load(NAMES, SESSION.date, self.now + timedelta(hours=1))
        return sorted(fact.id for symbol in NAMES for fact in known[symbol].alerts)

    def fetched_at(self, symbol: str = "AAPL") -> datetime | None:
        return self.facts.last_fetch("flow_alerts", symbol)

    @property
    def told(self) -> list[str]:
        return [event.event_type for event in self.events.emitted]


def expected(scene: StreamScene) -> list[str]:
    return sorted(row["id"] for row in scene.rest.rows if row["ticker"] in NAMES)


@pytest.fixture
def scene() -> StreamScene:
    """Return a scene in which each symbol had an alert before the stream was joined."""
    scene = StreamScene()
    for ticker in NAMES:
        scene.happens(ticker, told=False)
    scene.look()
    return scene


def test_earlier_alerts_are_fetched_and_streamed_ones_stored_as_they_arrive(scene: StreamScene) -> None:
    assert scene.stored() == expected(scene)
    assert scene.follower.so_far.calls == 1
    scene.happens()
    scene.look()
    assert scene.stored() == expected(scene)
    assert scene.fetched_at() == scene.now
    assert scene.fetched_at("MSFT") != scene.now
    assert scene.follower.so_far.calls == 1


def test_a_streamed_fact_is_the_polled_one_but_for_its_time_and_volatility(scene: StreamScene) -> None:
    row = scene.happens()
    scene.look()
    facts = scene.facts.load(NAMES, SESSION.date, scene.now)["AAPL"].alerts
    (fact,) = [fact for fact in facts if fact.id == row["id"]]
    assert (fact.issue_type, fact.contract) == ("Common Stock", row["option_chain"])
    assert fact.at == scene.now - timedelta(seconds=3)


def test_streamed_and_fetched_alerts_are_kept_as_replies_with_the_same_facts(scene: StreamScene) -> None:
    scene.happens()
    scene.look()
    scene.look(CHECK_S)
    again = MemoryFacts()
    for page, session, at in scene.kept:
        assert session == SESSION.date
        rows: Any = decode(page.body)
        again.store(
            normalize(FLOW_ALERTS_KIND, FlowPage(page.endpoint, page.symbol, tuple(rows["data"]), page.quota), at)
        )
    assert again.load(NAMES, SESSION.date, scene.now) == scene.facts.load(NAMES, SESSION.date, scene.now)


def test_alerts_of_other_symbols_are_counted_and_left(scene: StreamScene) -> None:
    scene.happens("XYZ")
    scene.look()
    assert (scene.follower.so_far.received, scene.follower.so_far.others) == (1, 1)
    assert scene.stored() == expected(scene)


def test_a_join_after_a_loss_asks_for_what_came_meanwhile_before_anything_else_is_stored(scene: StreamScene) -> None:
    scene.wire.up, scene.wire.problem = False, "the stream was interrupted"
    scene.look()
    missing = scene.happens(told=False)
    scene.look(30)
    assert missing["id"] not in scene.stored()
    scene.wire.up, scene.wire.joined = True, 2
    scene.happens()
    scene.rest.down = True
    before = scene.fetched_at()
    scene.look()
    assert missing["id"] not in scene.stored()
    assert scene.fetched_at() == before, "a gap is hidden"
    scene.rest.down = False
    scene.look(AGAIN.total_seconds())
    assert scene.stored() == expected(scene)
    assert scene.told == ["stream_joined", "stream_lost", "stream_joined", "fetch_failed"]


def test_rows_that_were_lost_because_nobody_took_them_are_asked_for(scene: StreamScene) -> None:
    scene.happens(told=False)
    scene.wire.lost = 1
    scene.look()
    assert scene.stored() == expected(scene)
    assert scene.told[-1] == "stream_fell_behind"


def test_while_another_fetch_is_running_a_gap_stays_open(scene: StreamScene) -> None:
    scene.wire.joined, scene.busy = 2, True
    scene.happens()
    scene.look()
    assert (scene.follower.whole, len(scene.stored())) == (False, 2)
    scene.busy = False
    scene.look(AGAIN.total_seconds())
    assert (scene.follower.whole, scene.stored()) == (True, expected(scene))


def test_a_source_that_fails_again_and_again_is_told_once_until_it_answers(scene: StreamScene) -> None:
    for _ in range(2):
        scene.rest.down = True
        for _ in range(4):
            scene.look(CHECK_S)
        scene.rest.down = False
        scene.look(CHECK_S)
    assert scene.told.count("fetch_failed") == 2
    assert scene.follower.whole


def test_a_silent_stream_is_checked_and_keeps_the_symbols_fresh(scene: StreamScene) -> None:
    scene.look(CHECK_S)
    assert scene.fetched_at("MSFT") == scene.now
    assert (scene.follower.so_far.calls, scene.wire.renewed) == (2, 0)


def test_a_stream_that_is_gone_keeps_nothing_fresh(scene: StreamScene) -> None:
    before = scene.fetched_at()
    scene.wire.up = False
    for _ in range(5):
        scene.look(CHECK_S)
    assert scene.fetched_at() == before


def test_a_stream_that_is_up_and_brings_nothing_is_found_out_and_renewed(scene: StreamScene) -> None:
    for number in range(1, 4):
        scene.happens(told=False)
        scene.look(CHECK_S)
        assert scene.stored() == expected(scene)
        assert (scene.follower.so_far.missed, scene.wire.renewed) == (number - 1, number - 1)
        assert scene.told.count("stream_incomplete") == min(1, number - 1), "it is told once"
    scene.look(CHECK_S)
    scene.look(CHECK_S)
    assert scene.wire.renewed == 3


def test_an_alert_that_may_still_come_is_not_missed(scene: StreamScene) -> None:
    scene.look(CHECK_S - 30)
    scene.happens(told=False)
    scene.look(30)
    scene.look(CHECK_S)
    assert scene.follower.so_far.missed == 0


def test_an_alert_that_came_later_over_the_stream_than_by_the_rest_api_is_not_missed(scene: StreamScene) -> None:
    row = scene.happens(told=False)
    scene.look(CHECK_S)
    scene.wire.rows.append(stream_row(row))
    scene.look(CHECK_S)
    assert scene.follower.so_far.missed == 0
    assert scene.stored() == expected(scene)


def test_an_alert_from_before_a_join_does_not_count_as_missed(scene: StreamScene) -> None:
    scene.happens(told=False)
    scene.look(CHECK_S)
    scene.wire.joined = 2
    scene.look(CHECK_S)
    scene.look(CHECK_S)
    assert scene.follower.so_far.missed == 0


def test_the_first_alert_of_a_symbol_comes_from_where_more_is_said_about_it() -> None:
    scene = StreamScene()
    scene.look()
    scene.happens()
    scene.look(AGAIN.total_seconds())
    (fact,) = scene.facts.load(NAMES, SESSION.date, scene.now)["AAPL"].alerts
    assert fact.issue_type == "Common Stock"
    assert scene.rest.asked[-1]["ticker_symbol"] == "AAPL"
    scene.happens()
    scene.look()
    assert (len(scene.rest.asked), scene.stored()) == (2, expected(scene))


@pytest.mark.parametrize("row", ["nonsense", None, {}, {"ticker": 7}, {"ticker": "AAPL", "id": "x"}])
def test_a_row_that_cannot_be_read_is_counted_and_asked_for_again(scene: StreamScene, row: object) -> None:
    scene.wire.rows.append(row)
    scene.happens(told=False)
    scene.look(AGAIN.total_seconds())
    assert scene.follower.so_far.bad == 1
    assert scene.stored() == expected(scene)


def test_an_unreadable_row_does_not_cause_endless_requests(scene: StreamScene) -> None:
    for _ in range(30):
        scene.wire.rows.append("nonsense")
        scene.look()
    assert scene.follower.so_far.calls <= 1 + 30 / AGAIN.total_seconds()


def test_after_a_restart_nothing_since_the_last_stored_reply_is_missing(scene: StreamScene) -> None:
    scene.happens()
    scene.look()
    scene.happens(told=False)
    scene.wire.rows.clear()
    scene.follower = scene.new_follower()
    scene.look(600)
    assert scene.stored() == expected(scene)
    since = datetime.fromisoformat(scene.rest.asked[-1]["newer_than"])
    assert SESSION.open < since < scene.now - timedelta(seconds=600 + CHECK_S)


def test_after_a_restart_the_symbol_that_was_asked_about_last_decides_since_when() -> None:
    scene = StreamScene()
    scene.look()
    scene.happens("MSFT", told=False)
    scene.now += timedelta(hours=1)
    scene.facts.store(Intake("flow_alerts", "AAPL", scene.now, 0, (), 0, 0, ()))
    scene.follower = scene.new_follower()
    scene.look()
    assert scene.stored() == expected(scene)


def test_after_a_restart_everything_since_the_last_check_is_asked_for_however_long_ago_that_is() -> None:
    scene = StreamScene(check_s=3600)
    scene.happens(told=False)
    scene.look()
    scene.happens(told=False)
    scene.now += timedelta(minutes=50)
    scene.happens("MSFT")
    scene.look()
    scene.happens("AAPL")
    scene.look(60)
    scene.follower = scene.new_follower()
    scene.look()
    assert scene.stored() == expected(scene)


def test_an_alert_that_came_over_the_stream_does_not_count_as_missed(scene: StreamScene) -> None:
    scene.happens()
    scene.happens("MSFT")
    scene.look()
    scene.look(CHECK_S)
    scene.look(CHECK_S)
    assert (scene.follower.so_far.calls, scene.follower.so_far.missed) == (3, 0)


def test_what_a_stream_that_is_gone_in_the_end_did_not_bring_is_asked_for_once_more(scene: StreamScene) -> None:
    scene.wire.up, scene.wire.problem = False, "gone"
    scene.look()
    scene.happens(told=False)
    scene.rest.down = True
    assert not scene.follower.finish(SESSION, lambda: scene.now)
    scene.rest.down = False
    assert scene.follower.finish(SESSION, lambda: scene.now)
    assert scene.stored() == expected(scene)


def test_a_stream_that_is_up_in_the_end_is_not_asked_about_again(scene: StreamScene) -> None:
    calls = scene.follower.so_far.calls
    assert scene.follower.finish(SESSION, lambda: scene.now)
    assert scene.follower.so_far.calls == calls


def test_a_refused_key_is_raised(scene: StreamScene) -> None:
    scene.wire.refusal = OperatorError("refused", "pay more")
    with pytest.raises(OperatorError):
        scene.look()


STEPS = st.lists(
    st.sampled_from(
        ["alert", "alert", "muted", "twice", "shuffled", "drop", "join", "lost", "rest down", "rest up", "busy", "free",
         "garbage", "look", "look", "later", "restart"]
    ),
    max_size=40,
)  # fmt: skip


def play(scene: StreamScene, step: str, number: int) -> None:
    ticker, wire = ("AAPL", "MSFT", "XYZ")[number % 3], scene.wire
    if step in ("alert", "muted", "twice"):
        scene.happens(ticker, told=wire.up and step != "muted")
        wire.rows += wire.rows[-1:] if step == "twice" else []
    elif step == "shuffled":
        wire.rows.reverse()
    elif step == "drop":
        wire.up, wire.problem = False, "gone"
    elif step == "join" and not wire.up:
        wire.up, wire.joined = True, wire.joined + 1
    elif step == "lost" and wire.rows:
        wire.rows.pop()
        wire.lost += 1
    elif step == "garbage":
        wire.rows.append({"ticker": ticker})
    elif step == "restart":
        scene.follower = scene.new_follower()
        wire.rows.clear()
    scene.rest.down = step == "rest down" or (scene.rest.down and step != "rest up")
    scene.busy = step == "busy" or (scene.busy and step != "free")
    scene.look(20 if step == "later" else 1) if step in ("look", "later") else None


@settings(max_examples=60)
@given(STEPS)
def test_whatever_happens_each_alert_is_stored_once_in_the_end(steps: Sequence[str]) -> None:
    scene = StreamScene()
    for number, step in enumerate(steps):
        play(scene, step, number)
    scene.wire.up, scene.wire.joined = True, scene.wire.joined + (not scene.wire.up)
    scene.rest.down = scene.busy = False
    scene.look(CHECK_S)
    scene.look(1)
    assert scene.follower.whole
    assert scene.stored() == expected(scene)
    facts = scene.facts.load(NAMES, SESSION.date, scene.now + timedelta(hours=1))
    alerts: list[FlowAlert] = [fact for symbol in NAMES for fact in facts[symbol].alerts]
    assert {fact.issue_type for fact in alerts} <= {"Common Stock"}
