"""Rows become facts one by one: each bad row is counted with its reason and costs nothing else."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, NOW
from tradebot.model.flow import Direction, FlowAlert, FlowPage, Intake, Quota
from tradebot.model.instrument import Right
from tradebot.signals.kinds import kind_of
from tradebot.signals.kinds.iv_rank import IvRank
from tradebot.signals.kinds.market_tide import TideTick
from tradebot.signals.kinds.oi_change import OiChange
from tradebot.signals.normalize import normalize

CAPTURED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "uw" / "live"
NO_QUOTA = Quota(None, None, None)
LATE = (NOW + timedelta(seconds=6)).isoformat()
TOMORROW = (DAY + timedelta(days=1)).isoformat()

GOOD: dict[str, dict[str, object]] = {
    "flow_alerts": {
        "id": "9fb554be",
        "ticker": "AAPL",
        "created_at": "2026-11-16T14:58:58.393994Z",
        "type": "call",
        "strike": "88",
        "expiry": "2026-12-18",
        "total_premium": "39039",
        "total_ask_side_prem": "30000",
        "total_bid_side_prem": "9039.5",
        "volume": 14920,
        "open_interest": 19829,
        "has_sweep": True,
        "has_floor": False,
        "has_multileg": False,
    },
    "dark_pool": {
        "ticker": "AAPL",
        "tracking_id": 26946710298943,
        "executed_at": "2026-11-16T14:44:43Z",
        "price": "273.1519",
        "size": 404,
        "volume": 21505699,
        "premium": "110353.3676",
        "nbbo_bid": "273.07",
        "nbbo_ask": "273.18",
        "canceled": False,
        "trade_settlement": "regular",
    },
    "market_tide": {
        "timestamp": "2026-11-16T09:55:00-05:00",
        "date": "2026-11-16",
        "net_call_premium": "1537861.0000",
        "net_put_premium": "3381291.0000",
        "net_volume": -14322,
    },
    "greek_exposure": {"date": "2026-11-13", "call_gamma": "3012060.6", "put_gamma": "-1479461.8"},
    "iv_rank": {
        "date": "2026-11-13",
        "updated_at": "2026-11-13T22:35:12Z",
        "volatility": "0.1836",
        "iv_rank_1y": "4.5607",
    },
    "oi_change": {
        "option_symbol": "AAPL261218P00277500",
        "underlying_symbol": "AAPL",
        "curr_date": "2026-11-16",
        "oi_diff_plain": -5949,
    },
}
PRICES = {
    "flow_alerts": ("strike", "total_premium"),
    "dark_pool": ("price", "premium", "nbbo_bid", "nbbo_ask"),
    "iv_rank": ("volatility",),
}
BAD_PRICES = {
    "NaN": "is not a usable number",
    "Infinity": "is not a usable number",
    "1e19": "is not a usable number",
    "-1": "is negative",
    "0": "is zero",
    "cheap": "is not a number",
    "": "is not a number",
}


def asked(endpoint: str, *rows: object, symbol: str | None = "AAPL", at: datetime = NOW) -> Intake:
    kind = kind_of(endpoint)
    return normalize(kind, FlowPage(endpoint, None if kind.market_wide else symbol, rows, NO_QUOTA), at)


def with_field(endpoint: str, name: str, value: object) -> dict[str, object]:
    return {**GOOD[endpoint], name: value}


@pytest.mark.parametrize("endpoint", GOOD)
def test_a_good_row_of_each_endpoint_becomes_one_fact(endpoint: str) -> None:
    intake = asked(endpoint, GOOD[endpoint])
    assert (intake.received, len(intake.facts), intake.foreign, intake.duplicates, intake.rejected) == (
        1, 1, 0, 0, (),
    )  # fmt: skip


def test_an_alert_keeps_its_money_exact_and_its_time_in_utc() -> None:
    (fact,) = asked("flow_alerts", GOOD["flow_alerts"]).facts
    assert isinstance(fact, FlowAlert)
    assert (fact.net_premium, fact.direction) == (Decimal("20960.5"), Direction.BULLISH)
    assert fact.at == datetime(2026, 11, 16, 14, 58, 58, 393994, tzinfo=UTC)
    assert (fact.right, fact.expiry, fact.has_sweep) == (Right.CALL, date(2026, 12, 18), True)


@pytest.mark.parametrize("endpoint", [name for name in GOOD if not kind_of(name).market_wide])
def test_a_fact_carries_our_spelling_of_the_symbol(endpoint: str) -> None:
    spelled = {key: "BRKB" for key in ("ticker", "underlying_symbol") if key in GOOD[endpoint]}
    (fact,) = asked(endpoint, GOOD[endpoint] | spelled, symbol="BRK.B").facts
    assert getattr(fact, "symbol", None) == "BRK.B"


def test_the_dearest_day_of_the_year_is_a_rank_of_a_hundred() -> None:
    assert asked("iv_rank", with_field("iv_rank", "iv_rank_1y", "100")).rejected == ()


def test_a_print_at_a_locked_quote_is_kept() -> None:
    locked = GOOD["dark_pool"] | {"nbbo_bid": "273.07", "nbbo_ask": "273.07"}
    assert len(asked("dark_pool", locked).facts) == 1


@pytest.mark.parametrize(("letter", "right"), [("C", Right.CALL), ("P", Right.PUT)])
def test_the_right_of_a_contract_is_read_from_its_name(letter: str, right: Right) -> None:
    row = with_field("oi_change", "option_symbol", f"AAPL261218{letter}00277500")
    (fact,) = asked("oi_change", row).facts
    assert isinstance(fact, OiChange)
    assert (fact.right, fact.change) == (right, -5949)


@pytest.mark.parametrize(
    ("right", "ask_side", "bid_side", "direction"),
    [
        ("call", 2, 1, Direction.BULLISH),
        ("call", 1, 2, Direction.BEARISH),
        ("put", 2, 1, Direction.BEARISH),
        ("put", 1, 2, Direction.BULLISH),
        ("put", 1, 1, Direction.NEUTRAL),
    ],
)
def test_bought_calls_and_sold_puts_are_bullish(right: str, ask_side: int, bid_side: int, direction: Direction) -> None:
    row = GOOD["flow_alerts"] | {"type": right, "total_ask_side_prem": ask_side, "total_bid_side_prem": bid_side}
    (fact,) = asked("flow_alerts", row).facts
    assert isinstance(fact, FlowAlert)
    assert fact.direction is direction
    assert (fact.net_premium > 0) == (direction is Direction.BULLISH)


@pytest.mark.parametrize(
    ("endpoint", "name", "value", "reason"),
    [
        ("flow_alerts", "id", None, "id is missing"),
        ("flow_alerts", "id", "  ", "id is empty"),
        ("flow_alerts", "ticker", None, "ticker is missing"),
        ("flow_alerts", "type", "straddle", "type is neither call nor put"),
        ("flow_alerts", "expiry", "soon", "expiry is not a date"),
        ("flow_alerts", "created_at", "yesterday", "created_at is not a time"),
        ("flow_alerts", "created_at", "2026-11-16T14:58:58", "created_at has no time zone"),
        ("flow_alerts", "created_at", "0001-01-01T00:00:00+14:00", "created_at is not a time"),
        ("flow_alerts", "created_at", Decimal("NaN"), "created_at is not a time"),
        ("flow_alerts", "created_at", LATE, "created_at is in the future"),
        ("flow_alerts", "volume", "1.5", "volume is not a whole number"),
        ("flow_alerts", "volume", None, "volume is missing"),
        ("flow_alerts", "volume", True, "volume is not a number"),
        ("flow_alerts", "volume", -1, "volume is negative"),
        ("flow_alerts", "volume", 10**18 + 1, "volume is not a usable number"),
        ("flow_alerts", "total_bid_side_prem", -1, "total_bid_side_prem is negative"),
        ("flow_alerts", "total_premium", True, "total_premium is not a number"),
        ("dark_pool", "canceled", True, "canceled"),
        ("dark_pool", "trade_settlement", "cash", "settlement is not regular"),
        ("dark_pool", "trade_settlement", ["regular"], "settlement is not regular"),
        ("dark_pool", "nbbo_ask", "273.06", "nbbo_bid is above nbbo_ask"),
        ("dark_pool", "executed_at", LATE, "executed_at is in the future"),
        ("market_tide", "net_put_premium", "NaN", "net_put_premium is not a usable number"),
        ("market_tide", "timestamp", LATE, "timestamp is in the future"),
        ("greek_exposure", "date", TOMORROW, "date is in the future"),
        ("greek_exposure", "put_gamma", None, "put_gamma is missing"),
        ("iv_rank", "iv_rank_1y", "100.1", "iv_rank_1y is above 100"),
        ("iv_rank", "updated_at", LATE, "updated_at is in the future"),
        ("oi_change", "option_symbol", "AAPL", "option_symbol is not an OCC symbol"),
        ("oi_change", "curr_date", TOMORROW, "curr_date is in the future"),
    ],
)
def test_a_bad_row_is_counted_with_its_reason(endpoint: str, name: str, value: object, reason: str) -> None:
    intake = asked(endpoint, with_field(endpoint, name, value))
    assert [row.reason for row in intake.rejected] == [reason]
    assert intake.facts == ()


@pytest.mark.parametrize(("endpoint", "name"), [(e, name) for e, names in PRICES.items() for name in names])
@pytest.mark.parametrize("text", BAD_PRICES)
def test_a_price_that_is_none_is_refused(endpoint: str, name: str, text: str) -> None:
    intake = asked(endpoint, with_field(endpoint, name, text), GOOD[endpoint])
    assert [row.reason for row in intake.rejected] == [f"{name} {BAD_PRICES[text]}"]
    assert len(intake.facts) == 1


@pytest.mark.parametrize("row", [None, "row", 7, [], [{}]])
def test_what_is_no_object_is_a_bad_row(row: object) -> None:
    (rejected,) = asked("flow_alerts", row).rejected
    assert (rejected.reason, rejected.detail) == ("the row is not an object", repr(row))


def test_rows_of_another_ticker_are_counted_and_dropped() -> None:
    intake = asked("flow_alerts", with_field("flow_alerts", "ticker", "TLT"), GOOD["flow_alerts"])
    assert (intake.received, intake.foreign, len(intake.facts)) == (2, 1, 1)


def test_a_share_class_is_known_by_the_source_without_its_dot() -> None:
    row = with_field("flow_alerts", "ticker", "BRKB")
    assert asked("flow_alerts", row, symbol="BRK.B").foreign == 0


def test_the_same_row_twice_is_one_fact_and_one_duplicate() -> None:
    intake = asked("dark_pool", GOOD["dark_pool"], GOOD["dark_pool"])
    assert (len(intake.facts), intake.duplicates) == (1, 1)


def test_two_prints_under_one_tracking_id_are_two_facts() -> None:
    other = with_field("dark_pool", "size", 405)
    assert len(asked("dark_pool", GOOD["dark_pool"], other).facts) == 2


def test_a_row_a_few_seconds_ahead_of_our_clock_is_no_row_from_the_future() -> None:
    soon = (NOW + timedelta(seconds=5)).isoformat()
    assert asked("flow_alerts", with_field("flow_alerts", "created_at", soon)).rejected == ()


@pytest.mark.parametrize("value", [1794841138, 1794841138000, "2026-11-16 14:58:58+00:00"])
def test_a_time_is_read_as_seconds_milliseconds_or_text(value: object) -> None:
    row = with_field("flow_alerts", "created_at", value)
    (fact,) = asked("flow_alerts", row).facts
    assert isinstance(fact, FlowAlert)
    assert fact.at == datetime(2026, 11, 16, 14, 58, 58, tzinfo=UTC)


SNAN = Decimal("sNaN")
anything = st.one_of(
    st.sampled_from([None, True, False]),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=12),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.datetimes().map(str),
    st.sampled_from(["AAPL", "TLT", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1e400", SNAN]),
)


@st.composite
def pages(draw: st.DrawFn) -> FlowPage:
    endpoint = draw(st.sampled_from(list(GOOD)))
    good = GOOD[endpoint]
    garbled = st.dictionaries(st.sampled_from(sorted(good)), anything, max_size=3).map(lambda bad: good | bad)
    rows = draw(st.lists(st.one_of(garbled, anything), max_size=6))
    return FlowPage(endpoint, None if kind_of(endpoint).market_wide else "AAPL", tuple(rows), NO_QUOTA)


@given(page=pages())
def test_whatever_is_garbled_nothing_raises_and_no_row_is_lost(page: FlowPage) -> None:
    intake = normalize(kind_of(page.endpoint), page, NOW)
    kept = len(intake.facts)
    assert intake.received == len(page.rows)
    assert intake.received == kept + intake.duplicates + intake.foreign + len(intake.rejected)
    assert len({fact.id for fact in intake.facts}) == kept


def captured(name: str, endpoint: str) -> Intake:
    path = CAPTURED / f"{name}.json"
    if not path.exists():
        pytest.skip("shared/data absent: uw/live holds the captured responses")
    rows = json.loads(path.read_text(), parse_float=Decimal)["response"]["data"]
    return asked(endpoint, *rows, at=datetime(2025, 12, 27, 2, 18, 51, tzinfo=UTC))


def test_captured_alerts_that_were_asked_for_aapl_are_all_foreign() -> None:
    intake = captured("option_flow_alerts", "flow_alerts")
    assert (intake.received, intake.foreign, intake.facts) == (50, 50, ())


@pytest.mark.parametrize(
    ("name", "endpoint", "received", "facts", "duplicates", "rejected"),
    [
        ("dark_pool", "dark_pool", 500, 500, 0, 0),
        ("market_tide", "market_tide", 79, 79, 0, 0),
        ("greek_exposure", "greek_exposure", 249, 249, 0, 0),
        ("iv_rank", "iv_rank", 4, 4, 0, 0),
        ("oi_change", "oi_change", 50, 50, 0, 0),
    ],
)
def test_captured_responses_parse(
    name: str, endpoint: str, received: int, facts: int, duplicates: int, rejected: int
) -> None:
    intake = captured(name, endpoint)
    assert (intake.received, len(intake.facts), intake.duplicates, len(intake.rejected), intake.foreign) == (
        received, facts, duplicates, rejected, 0,
    )  # fmt: skip


def test_the_captured_tide_closes_bearish() -> None:
    last = captured("market_tide", "market_tide").facts[-1]
    assert isinstance(last, TideTick)
    assert round(last.net_premium / 1_000_000, 1) == Decimal("-67.2")


def test_the_captured_iv_rank_is_of_the_last_session() -> None:
    last = captured("iv_rank", "iv_rank").facts[-1]
    assert isinstance(last, IvRank)
    assert last.date == date(2025, 12, 26)
