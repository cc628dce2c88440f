"""The flow source: what is asked, what each answer means, and the captured bodies as pages.

The flow client against a served exchange that refuses what is too much: it never has to.
The quota of the flow source: kept by all processes of a bot together, whatever became of its file.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from exchange.tests.kit.served import Served, served
from papervenue.faces.flow import FlowLimits
from papervenue.market.spec import MarketSpec
from papervenue.process import create
from papervenue.times import SECOND
from tests.kit.adapters.alpaca import AT_ONCE, QUICK
from tests.kit.bot import forked
from tests.kit.fakes.machine import Timer
from tests.kit.fakes.scripted import Scripted, Wire
from tradebot.adapters.flow.rate_quota import LONGEST_FILE, KeptQuota, next_quota_day
from tradebot.adapters.flow.unusual_whales import (
    UNUSUAL_WHALES_URL,
    UnusualWhales,
    quota_of,
    read_rows,
    request_of,
    wait_of,
)
from tradebot.adapters.wire.http import HttpReply
from tradebot.errors import AllowanceSpentError, ExitCode, NotInPlanError, NotServedError, OperatorError, TemporaryError
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import Allowance, FlowPage, Quota
from tradebot.signals.kinds import kind_of
from tradebot.signals.subjects.shorts import SHORT_INTEREST_KIND
from tradebot.signals.subjects.volatility import IV_RANK_KIND

SESSION = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "uw"
EMPTY = Scripted(200, {"data": []})
ALERTS_ASKED = {"ticker_symbol": "BRKB", "limit": "200", "newer_than": "2026-11-20T14:30:00Z"}
HTML = b"<html></html>"


def source(wire: Wire, now: datetime = NOW) -> UnusualWhales:
    return UnusualWhales(wire.url, "token", now=lambda: now, bounds=QUICK, policy=AT_ONCE)


def fetch(wire: Wire, kind: AnyKind = IV_RANK_KIND) -> FlowPage:
    return source(wire).fetch(kind, "AAPL", SESSION)


@pytest.mark.parametrize(
    ("endpoint", "symbol", "path", "query"),
    [
        ("flow_alerts", "BRK.B", "/api/option-trades/flow-alerts", ALERTS_ASKED),
        ("dark_pool", "AAPL", "/api/darkpool/AAPL", {"date": "2026-11-20", "limit": "500"}),
        ("market_tide", None, "/api/market/market-tide", {"date": "2026-11-20", "interval_5m": "true"}),
        ("greek_exposure", "AAPL", "/api/stock/AAPL/greek-exposure", {}),
        ("iv_rank", "AAPL", "/api/stock/AAPL/iv-rank", {}),
        ("oi_change", "../x", "/api/stock/x%2F/oi-change", {}),
    ],
)
def test_each_endpoint_is_asked_by_its_own_names_with_the_bearer_token(
    wire: Wire, endpoint: str, symbol: str | None, path: str, query: dict[str, str]
) -> None:
    wire.answer(EMPTY)
    source(wire).fetch(kind_of(endpoint), symbol, SESSION)
    (asked,) = wire.asked
    if symbol != "../x":
        assert (asked.path, asked.query) == (path, query)
    assert asked.path.startswith("/api/")
    assert ".." not in asked.path
    assert (asked.headers["Authorization"], asked.headers["Accept"]) == ("Bearer token", "application/json")


def test_an_endpoint_of_one_symbol_is_not_asked_without_one() -> None:
    with pytest.raises(ValueError, match="one symbol"):
        request_of(IV_RANK_KIND, None, SESSION)


def test_fetch_returns_unchanged_rows_and_the_quota(wire: Wire) -> None:
    headers = {"x-uw-daily-req-count": "41", "X-UW-Token-Req-Limit": "15000", "x-uw-req-per-minute-remaining": "many"}
    wire.answer(Scripted(200, b'{"data": [{"a": 0.1, "b": "0.10"}, 7, null], "date": "x"}', headers))
    page = fetch(wire)
    assert page.rows == ({"a": Decimal("0.1"), "b": "0.10"}, 7, None)
    assert page.quota == Quota(41, 15_000, None)


def test_fetch_returns_the_object_of_a_single_row_kind_as_one_row(wire: Wire) -> None:
    wire.answer(Scripted(200, {"data": {"a": 1}}))
    assert fetch(wire, kind=SHORT_INTEREST_KIND).rows == ({"a": 1},)


BAD = [
    (Scripted(200, {"data": None}), "answered with no data"),
    (Scripted(200, {"data": {"a": 1}}), "data that is not a list"),
    (Scripted(200, {"error": "boom"}), "no data: boom"),
    (Scripted(200, []), "did not return a JSON object"),
    (Scripted(200, HTML), "not JSON"),
    (Scripted(200), "not JSON"),
    (Scripted(200, b'{"data": [{"a"'), "not JSON"),
    (Scripted(302, headers={"Location": "/"}), "answered 302"),
    (Scripted(403, {"code": "advanced_tier_required", "message": "not in your plan"}), "not in your plan"),
    (Scripted(422, {"msg": "Invalid path input"}), "Invalid path input"),
    (Scripted(422, b'"text"'), "text"),
]


@pytest.mark.parametrize(("answer", "words"), BAD)
def test_an_answer_without_rows_is_a_temporary_error_naming_the_endpoint_asked_once(
    wire: Wire, answer: Scripted, words: str
) -> None:
    wire.answer(answer)
    with pytest.raises(TemporaryError, match=words) as raised:
        fetch(wire)
    assert "/api/stock/AAPL/iv-rank" in raised.value.message
    assert len(wire.asked) == 1


def test_server_errors_and_lost_answers_are_tried_three_times(wire: Wire) -> None:
    wire.answer(Scripted(500, b"oops"), Scripted(200, {"data": []}, fault="truncate"), EMPTY)
    assert fetch(wire).rows == ()
    wire.answer(Scripted(500, b"Internal Server Error"))
    with pytest.raises(TemporaryError, match="Internal Server Error"):
        fetch(wire)
    assert len(wire.asked) == 6


def test_refused_keys_need_a_person_and_an_unknown_ticker_has_no_rows(wire: Wire) -> None:
    wire.answer(Scripted(401, b"no"))
    with pytest.raises(OperatorError) as raised:
        fetch(wire)
    assert raised.value.code is ExitCode.AUTHENTICATION
    wire.answer(Scripted(404, {"msg": "unknown"}))
    assert fetch(wire).rows == ()


def test_spent_minute_reports_its_renewal_and_is_asked_once(wire: Wire) -> None:
    wire.answer(Scripted(429, headers={"x-uw-req-per-minute-reset": "51395", "x-uw-daily-req-count": "9"}))
    with pytest.raises(TemporaryError, match=r"minute's allowance is used up; it renews in 52 s"):
        fetch(wire)
    assert len(wire.asked) == 1


WAITS = [
    (429, {}, 60),
    (429, {"x-uw-req-per-minute-reset": "1000"}, 2),
    (429, {"x-uw-req-per-minute-reset": "999999999"}, 60),
    (429, {"Retry-After": "7", "x-uw-req-per-minute-reset": "51395"}, 7),
    (429, {"Retry-After": "1000000000"}, 3600),
    (429, {"Retry-After": "-5"}, 60),
    (429, {"Retry-After": "soon"}, 60),
    (429, {"Retry-After": "Fri, 20 Nov 2026 15:30:20 GMT", "Date": "Fri, 20 Nov 2026 15:30:00 GMT"}, 20),
    (429, {"Retry-After": "Fri, 20 Nov 2026 15:30:20 GMT", "Date": "Fri, 20 Nov 2026 15:31:00 GMT"}, 60),
    (200, {"x-uw-req-per-minute-remaining": "1", "x-uw-req-per-minute-reset": "30000"}, 31),
    (200, {"x-uw-req-per-minute-remaining": "2", "x-uw-req-per-minute-reset": "30000"}, None),
    (200, {"x-uw-req-per-minute-remaining": "1000000", "x-uw-req-per-minute-reset": "30000"}, None),
    (200, {"Retry-After": "7"}, None),
]


@pytest.mark.parametrize(("status", "headers", "wait_s"), WAITS)
def test_answer_sets_how_long_nothing_is_sent(status: int, headers: dict[str, str], wait_s: float | None) -> None:
    answer = HttpReply(status, HTTPHeaderDict(headers), b"")
    assert wait_of(answer, quota_of(answer.headers)) == wait_s


def test_next_request_waits_as_long_as_the_source_asked(wire: Wire) -> None:
    slept: list[float] = []
    client = UnusualWhales(wire.url, "token", now=lambda: NOW, sleep=slept.append, bounds=QUICK, policy=AT_ONCE)
    wire.answer(Scripted(429, headers={"Retry-After": "7"}), EMPTY)
    with pytest.raises(TemporaryError):
        client.fetch(IV_RANK_KIND, "AAPL", SESSION)
    assert client.fetch(IV_RANK_KIND, "AAPL", SESSION).rows == ()
    assert slept == [7.0]


@pytest.mark.parametrize(("status", "error"), [(403, NotInPlanError), (422, NotServedError), (400, TemporaryError)])
def test_refusal_has_the_error_for_its_status(wire: Wire, status: int, error: type[Exception]) -> None:
    wire.answer(Scripted(status, {"message": "no"}))
    with pytest.raises(TemporaryError) as raised:
        fetch(wire)
    assert type(raised.value) is error


def test_spent_daily_quota_blocks_requests_until_eight_pm_new_york(wire: Wire) -> None:
    times = [NOW]
    client = UnusualWhales(wire.url, "token", now=lambda: times[0], bounds=QUICK, policy=AT_ONCE)
    wire.answer(Scripted(429, headers={"x-uw-daily-req-count": "100", "x-uw-token-req-limit": "100"}), EMPTY)
    for _ in range(2):
        with pytest.raises(TemporaryError, match="2026-11-20 20:00 New York time"):
            client.fetch(IV_RANK_KIND, "AAPL", SESSION)
    assert len(wire.asked) == 1
    times[0] = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
    assert client.fetch(IV_RANK_KIND, "AAPL", SESSION).rows == ()


@pytest.mark.parametrize(
    "url", ["", UNUSUAL_WHALES_URL + "/api", "http://api.unusualwhales.com", "http://evil.example"]
)
def test_key_is_sent_to_no_other_host(url: str) -> None:
    with pytest.raises(OperatorError):
        UnusualWhales(url, "token", now=lambda: NOW)


def test_a_key_that_no_header_can_carry_is_refused() -> None:
    with pytest.raises(OperatorError, match="UW_API_KEY"):
        UnusualWhales(UNUSUAL_WHALES_URL, "token\n", now=lambda: NOW)


def recorded(folder: str) -> list[Path]:
    return sorted(path for path in (DATA / folder).glob("*.json") if not path.name.startswith("_"))


def test_captured_answers_are_pages_of_objects_with_every_row() -> None:
    if not DATA.exists():
        pytest.skip("no ../shared/data/uw to read")
    for path in recorded("live"):
        captured = json.loads(path.read_text())
        rows = read_rows(captured["endpoint"], HttpReply(200, {}, json.dumps(captured["response"]).encode()))
        assert len(rows) == len(captured["response"]["data"])
        assert all(isinstance(row, dict) for row in rows)


@pytest.mark.parametrize(
    "name",
    [
        "option-trades__flow-alerts",
        "darkpool__ticker",
        "market__market-tide",
        "stock__ticker__greek-exposure",
        "stock__ticker__iv-rank",
        "stock__ticker__oi-change",
    ],
)
def test_the_documented_example_of_each_endpoint_is_a_page(name: str) -> None:
    path = DATA / "examples" / f"{name}.json"
    if not path.exists():
        pytest.skip("no ../shared/data/uw to read")
    assert read_rows(name, HttpReply(200, {}, path.read_bytes()), single=True)


DAY = date(2026, 11, 20)
PATH = "/api/stock/AAPL/iv-rank"


@contextmanager
def limited(folder: Path, per_minute: int | None, per_day: int | None) -> Iterator[Served]:
    create(folder, MarketSpec(symbols=("AAPL",), sessions=2, start=DAY, seed=7))
    with served(folder, flow_limits=FlowLimits(per_minute, per_day)) as place:
        place.tick(to="open")
        yield place


class Client:
    """A client in the exchange's own time, which passes when the client waits."""

    def __init__(self, place: Served, allowance: Allowance | None, file: Path | None = None) -> None:
        self._place = place
        self.statuses: list[int] = []
        self.source = UnusualWhales(place.url, "sandbox", now=self.now, heard=self._heard, told_at=lambda _: self.now())
        self.source.quota = KeptQuota(file, allowance, self.now, monotonic=self.monotonic, sleep=self.sleep)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.monotonic(), UTC)

    def monotonic(self) -> float:
        return self._place.exchange.engine.now_us / SECOND

    def sleep(self, seconds: float) -> None:
        self._place.tick(seconds=seconds)

    def ask(self, times: int) -> None:
        for _ in range(times):
            self.source.fetch(IV_RANK_KIND, "AAPL", DAY)

    def _heard(self, answer: HttpReply) -> None:
        self.statuses.append(answer.status)


def counted_today(place: Served, key: str = "sandbox") -> int:
    """Ask once more, as somebody else with this key would, and return what the source counted today."""
    answer = requests.get(place.url + PATH, headers={"Authorization": f"Bearer {key}"}, timeout=10)
    return int(answer.headers["x-uw-daily-req-count"])


def test_a_source_of_120_a_minute_never_refuses_and_every_process_counts_on(tmp_path: Path) -> None:
    with limited(tmp_path / "exchange", 120, 15_000) as place:
        began_s = Client(place, None).monotonic()
        for _ in range(3):
            # A new process each time, going on from the kept file.
            client = Client(place, Allowance(120, 15_000), tmp_path / "flow.quota")
            client.ask(70)
            assert set(client.statuses) == {200}
        assert client.source.quota.used_on_day(client.now()) == 210
        # 210 calls at 100 a minute, of which the minute begins empty.
        assert client.monotonic() - began_s == pytest.approx(126, abs=1)
        assert counted_today(place) == 211


def test_smaller_allowance_of_the_source_counts(tmp_path: Path) -> None:
    with limited(tmp_path / "exchange", 10, 45) as place:
        client = Client(place, None, tmp_path / "flow.quota")
        client.ask(30)
        assert set(client.statuses) == {200}
        counted_today(place)
        with pytest.raises(AllowanceSpentError, match="2026-11-20 20:00 New York time"):
            client.ask(100)
        assert (set(client.statuses), len(client.statuses)) == ({200}, 44)
        place.tick(to="2026-11-21T01:00:00Z")
        client.ask(1)
        assert client.statuses[-1] == 200


def test_another_user_of_the_key_causes_at_most_one_refusal(tmp_path: Path) -> None:
    with limited(tmp_path / "exchange", 20, None) as place:
        client = Client(place, Allowance(20, 15_000), tmp_path / "flow.quota")
        client.ask(2)
        for _ in range(20):
            counted_today(place)
        with pytest.raises(TemporaryError, match="this minute's allowance is used up; it renews in"):
            client.ask(1)
        client.ask(25)
        assert client.statuses.count(429) == 1


def test_configured_daily_limit_stops_requests(tmp_path: Path) -> None:
    with limited(tmp_path / "exchange", None, 50) as place:
        client = Client(place, Allowance(6000, 30), tmp_path / "flow.quota")
        with pytest.raises(AllowanceSpentError):
            client.ask(31)
        assert client.statuses == [200] * 30
        assert counted_today(place) == 31


NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)
EVENING = datetime(2026, 11, 21, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]
SIXTY = Allowance(60, 1_000_000)
UNSAID = Quota(None, None, None)


def quota(file: Path | None, timer: Timer, allowance: Allowance | None = SIXTY) -> KeptQuota:
    def now() -> datetime:
        return NOON + timedelta(seconds=timer.now)

    return KeptQuota(file, allowance, now, monotonic=timer.monotonic, sleep=timer.sleep)


def at_once(kept: KeptQuota, timer: Timer) -> int:
    began, count = timer.now, -1
    while timer.now == began:
        kept.take()
        count += 1
    return count


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "flow.quota"


@settings(max_examples=25)
@given(
    pauses=st.lists(st.floats(min_value=0, max_value=20), max_size=40),
    began_s=st.integers(0, 59),
    late_s=st.lists(st.floats(min_value=0, max_value=3), min_size=1, max_size=7),
    per_minute=st.sampled_from([1, 2, 6, 60, 120]),
)
def test_quota_never_provokes_a_refusal_however_the_source_counts_minutes(
    tmp_path_factory: pytest.TempPathFactory, pauses: list[float], began_s: int, late_s: list[float], per_minute: int
) -> None:
    timer, file = Timer(), tmp_path_factory.mktemp("quota") / "flow.quota"
    limits, refused = FlowLimits(per_minute, None), 0
    for number, pause in enumerate([*pauses, *[0.0] * 3 * per_minute]):
        timer.sleep(pause)
        # Each request is sent by another process, and reaches the source a little later or much later.
        quota(file, timer, Allowance(per_minute, 1_000_000)).take()
        arrival_s = began_s + timer.now + late_s[number % len(late_s)]
        refused += limits.count("token", int(arrival_s * 1_000_000)).refused
    assert refused == 0


def test_next_process_continues_with_the_remaining_quota(file: Path) -> None:
    timer = Timer()
    first = quota(file, timer)
    first.take()
    timer.sleep(60)
    for _ in range(3):
        first.take()
    assert at_once(quota(file, timer), timer) == 3


DAMAGED = [
    b"", b"{", b"\xff", b"[]", b"null", b"[" * 4096, b'{"tokens": 5}', b"7" * LONGEST_FILE, b"{}" * LONGEST_FILE,
    *(
        json.dumps({"tokens": 5, "at_s": 0, "used": 7, "renews_at": None, "limit": None, "held_until": None} | wrong)
        .replace('"1e999"', "1e999").encode()
        for wrong in (
            {"tokens": float("nan")}, {"at_s": "1e999"}, {"used": -1}, {"used": "many"}, {"limit": 0.5},
            {"held_until": "soon"}, {"held_until": 7}, {"renews_at": "9999-12-31T23:59:59-23:59"}, {"tokens": [5]},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:30]))
def test_damaged_quota_file_counts_as_empty_and_is_replaced(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    timer = Timer()
    assert at_once(quota(file, timer), timer) == 0
    assert json.loads(file.read_bytes())["used"] == 1


def test_quota_recovers_from_a_clock_set_back_and_from_absurd_numbers(file: Path) -> None:
    for tokens, at_s in ((5, 1e9), (-1e9, 0)):
        kept = {"tokens": tokens, "at_s": at_s, "used": 7, "renews_at": EVENING.isoformat(), "limit": None}
        file.write_text(json.dumps(kept | {"held_until": None}))
        timer = Timer()
        again = quota(file, timer)
        again.take()
        assert timer.now <= 21
        assert again.used_on_day(NOON) == 8


def test_process_keeps_its_own_quota_when_the_file_cannot_be_written(file: Path) -> None:
    file.mkdir()
    timer = Timer()
    kept = quota(file, timer)
    assert at_once(kept, timer) == 0
    timer.sleep(60)
    assert at_once(kept, timer) == 6


def test_source_without_a_limit_is_asked_at_once_without_a_file(file: Path) -> None:
    timer = Timer()
    kept = quota(file, timer, None)
    for _ in range(1000):
        kept.take()
        kept.correct(Quota(7, 50_000, 1_000_000), NOON, None)
    assert (timer.now, file.exists(), kept.planned_left(), kept.used_on_day(NOON)) == (0, False, None, None)


def test_daily_count_survives_the_process_and_restarts_at_eight_pm(file: Path) -> None:
    timer, small = Timer(), Allowance(1_000_000, 10, 0.2)
    for _ in range(4):
        quota(file, timer, small).take()
    assert (quota(file, timer, small).used_on_day(NOON), quota(file, timer, small).planned_left()) == (4, 4)
    assert quota(file, timer, small).used_on_day(EVENING) is None
    timer.sleep((EVENING - NOON).total_seconds())
    assert quota(file, timer, small).planned_left() == 8
    quota(file, timer, small).take()
    assert quota(file, timer, small).used_on_day(EVENING) == 1


def test_daily_limit_is_never_exceeded_and_refused_requests_are_not_counted(file: Path) -> None:
    timer, small = Timer(), Allowance(1_000_000, 3)
    for _ in range(3):
        quota(file, timer, small).take()
    for _ in range(2):
        with pytest.raises(AllowanceSpentError, match="used up until 2026-11-20 20:00 New York time"):
            quota(file, timer, small).take()
    assert quota(file, timer, small).used_on_day(NOON) == 3
    timer.sleep((EVENING - NOON).total_seconds())
    quota(file, timer, small).take()


@pytest.mark.parametrize("said", [4, 900])
def test_source_headers_correct_the_count_up_and_down(file: Path, said: int) -> None:
    timer, small = Timer(), Allowance(1_000_000, 1000, 0.1)
    kept = quota(file, timer, small)
    for _ in range(7):
        kept.take()
    kept.correct(Quota(said, 20_000, 100), NOON, None)
    assert (quota(file, timer, small).used_on_day(NOON), kept.planned_left()) == (said, 900 - said)


def test_short_wait_delays_every_process_and_a_long_one_ends_the_fetch(file: Path) -> None:
    timer = Timer()
    quota(file, timer, None).correct(UNSAID, NOON, 50.0)
    quota(file, timer, None).take()
    assert timer.now == 50
    quota(file, timer, None).take()
    assert timer.now == 50
    quota(file, timer, None).correct(UNSAID, NOON, 600.0)
    with pytest.raises(AllowanceSpentError, match="asked us to wait until 2026-11-20 12:10"):
        quota(file, timer, None).take()
    timer.sleep(540)
    quota(file, timer, None).take()
    assert timer.now == 600


def test_used_up_day_is_known_to_the_next_process(file: Path) -> None:
    timer = Timer()
    quota(file, timer, None).correct(Quota(50, 50, 1_000_000), NOON, None)
    with pytest.raises(AllowanceSpentError, match="the day's allowance is used up"):
        quota(file, timer, None).take()
    timer.sleep((EVENING - NOON).total_seconds())
    quota(file, timer, None).take()


def test_wait_is_ignored_after_the_clock_was_set_back(file: Path) -> None:
    timer = Timer()
    quota(file, timer, None).correct(UNSAID, NOON + timedelta(days=3), 50.0)
    quota(file, timer, None).take()
    assert timer.now == 0


@given(st.datetimes(min_value=datetime(2005, 1, 1), max_value=datetime(2035, 1, 1)))  # noqa: DTZ001
def test_the_next_quota_day_is_later_and_at_most_25_hours_away(naive: datetime) -> None:
    now = naive.replace(tzinfo=UTC)
    assert 0 < (next_quota_day(now) - now).total_seconds() <= 25 * 3600


def test_real_processes_share_one_count(file: Path) -> None:
    take = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from tradebot.adapters.flow.rate_quota import KeptQuota; from tradebot.model.flow import Allowance\n"
        "slept = []; now = datetime(2026, 11, 20, 17, tzinfo=UTC)\n"
        "kept = KeptQuota(Path(sys.argv[1]), Allowance(60, 1000), lambda: now, sleep=slept.append)\n"
        "for _ in range(5): kept.take()\n"
        "print(sum(slept) > 0)"
    )
    kept = {"tokens": 6, "at_s": time.monotonic(), "used": 3, "renews_at": EVENING.isoformat(), "limit": None}
    file.write_text(json.dumps(kept | {"held_until": None}))
    running = [forked.python(take, file) for _ in range(3)]
    waited = [child.communicate()[0].strip() for child in running]
    assert "True" in waited
    assert quota(file, Timer()).used_on_day(NOON) == 18
