"""Rows become facts one by one: each bad row is counted with its reason and costs nothing else.

A row of the websocket becomes the fact that the same alert's row of the REST API becomes.
"""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papervenue.streams.flow_alerts import stream_row
from tests.kit.signals.source_rows import GOOD, JUNK, NO_QUOTA, asked, captured, row, seeded, world
from tests.kit.values import NOW
from tradebot.adapters.flow.unusual_whales import read_rows
from tradebot.adapters.wire.http import HttpReply, decode
from tradebot.errors import TemporaryError
from tradebot.model.flow import FlowAlert, FlowPage, Intake
from tradebot.model.instrument import Right
from tradebot.model.struct_tools import replace
from tradebot.signals.fields import about_symbol, as_polled
from tradebot.signals.kinds import kind_names, kind_of, kinds
from tradebot.signals.normalize import Rereading, normalize, read_one
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND
from tradebot.signals.subjects.market import TideTick
from tradebot.signals.subjects.open_interest import OiChange
from tradebot.signals.subjects.volatility import IvRank

FILES = {
    "flow_alerts": "option_flow_alerts",
    "dark_pool": "dark_pool",
    "etf_flow": "etf_flow",
    "greek_exposure": "greek_exposure",
    "iv_rank": "iv_rank",
    "market_tide": "market_tide",
    "oi_change": "oi_change",
    "top_net_impact": "top_net_impact",
}
AT = datetime(2025, 12, 27, 2, 30, tzinfo=UTC)
FEW = settings(max_examples=8)
SHARES = st.floats(0, 1, exclude_max=True)


@cache
def body_of(name: str) -> bytes:
    return json.dumps(captured(f"live/{FILES[name]}.json")["response"], default=float).encode()


def kept(name: str, rows: list[object]) -> Intake:
    return normalize(kind_of(name), FlowPage(name, None, tuple(rows), NO_QUOTA), AT)


@pytest.mark.parametrize("name", FILES)
@FEW
@given(share=SHARES)
def test_body_cut_short_is_a_failed_call_without_rows(name: str, share: float) -> None:
    body = body_of(name)
    with pytest.raises(TemporaryError):
        read_rows("/api", HttpReply(200, {}, body[: int(len(body) * share)]))
    assert read_rows("/api", HttpReply(200, {}, body)) == tuple(json.loads(body, parse_float=Decimal)["data"])


def cut(rows: list[dict[str, object]], share: float) -> tuple[list[object], int]:
    """Return the rows up to a point in the middle of one of them, whose first fields stay; and how many are whole."""
    whole, part = divmod(share * len(rows), 1)
    row = rows[int(whole)]
    return [*rows[: int(whole)], dict(list(row.items())[: int(part * len(row))])], int(whole)


@pytest.mark.parametrize("name", FILES)
@FEW
@given(share=SHARES)
def test_captured_row_cut_short_is_counted_and_changes_no_other_fact(name: str, share: float) -> None:
    rows = json.loads(body_of(name), parse_float=Decimal)["data"]
    if rows:
        given_rows, whole = cut(rows, share)
        intake, untouched = kept(name, given_rows), kept(name, rows[:whole])
        assert intake.facts[: len(untouched.facts)] == untouched.facts
        assert intake.received == whole + 1 == len(intake.facts) + intake.duplicates + len(intake.rejected)


@FEW
@given(seed=st.integers(0, 2**32), name=st.sampled_from(kind_names()), share=SHARES)
def test_row_cut_short_is_counted_and_changes_no_other_fact(seed: int, name: str, share: float) -> None:
    rows = world(seed, names=[name])[name]
    if rows:
        given_rows, whole = cut(list(rows), share)
        intake, untouched = asked(name, *given_rows), asked(name, *rows[:whole])
        kept_ids = {fact.id for fact in intake.facts}
        assert {fact.id for fact in untouched.facts} <= kept_ids
        assert intake.received == len(intake.facts) + intake.duplicates + intake.foreign + len(intake.rejected)


LASTING = sorted(name for name, kind in kinds().items() if not kind.changes)
SYMBOLS = ("AAPL", "MSFT")


def page(name: str, symbol: str | None, *rows: object) -> FlowPage:
    return FlowPage(name, symbol, rows, NO_QUOTA)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("name", LASTING)
def test_rereading_equals_normalizing_the_whole_reply(name: str, seed: int) -> None:
    kind, chance, reading = kind_of(name), seeded(seed), Rereading()
    symbols = (None,) if kind.market_wide else SYMBOLS
    held: dict[str | None, list[object]] = {symbol: [] for symbol in symbols}
    at = NOW - timedelta(hours=8)
    for _ in range(12):
        symbol = chance.choice(symbols)
        rows = held[symbol]
        for _ in range(chance.randrange(4)):
            made: object = row(kind, chance) | ({"ticker": symbol} if symbol and chance.random() < 0.97 else {})
            if isinstance(made, dict) and chance.random() < 0.1:
                made[chance.choice([*made])] = chance.choice(JUNK)
            rows.insert(0, made if chance.random() < 0.98 else chance.choice(JUNK))
        if rows and chance.random() < 0.2:
            rows.pop(chance.randrange(len(rows)))
        if rows and chance.random() < 0.1:
            rows.append(chance.choice(rows))
        asked = page(name, symbol, *rows)
        for _ in range(2):
            assert reading(kind, asked, at) == normalize(kind, asked, at)
            at += timedelta(hours=chance.choice((0, 1, 2)))


def test_row_of_the_last_reply_is_not_read_again() -> None:
    kind, reading = kind_of("flow_alerts"), Rereading()
    rows = [row(kind, seeded(number)) | {"ticker": "AAPL"} for number in range(8)]
    with patch("tradebot.signals.normalize.read_one", wraps=read_one) as read:
        first = reading(kind, page(kind.name, "AAPL", *rows[1:]), NOW)
        begun = read.call_count
        second = reading(kind, page(kind.name, "AAPL", *rows), NOW + timedelta(minutes=5))
    assert len(first.facts) == begun == 7, first.rejected
    assert read.call_count == 8
    assert second.facts[1:] == first.facts


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


def with_field(endpoint: str, name: str, value: object) -> dict[str, object]:
    return {**GOOD[endpoint], name: value}


def test_alert_keeps_its_money_exact_and_its_time_in_utc() -> None:
    (fact,) = asked("flow_alerts", GOOD["flow_alerts"]).facts
    assert isinstance(fact, FlowAlert)
    assert (fact.net_premium, fact.sign) == (Decimal("20960.5"), 1)
    assert fact.at == datetime(2026, 11, 16, 14, 58, 58, 393994, tzinfo=UTC)
    assert (fact.right, fact.expiry, fact.has_sweep) == (Right.CALL, date(2026, 12, 18), True)


@pytest.mark.parametrize("endpoint", ["flow_alerts", "dark_pool", "greek_exposure", "iv_rank", "oi_change"])
def test_fact_has_our_spelling_of_the_symbol(endpoint: str) -> None:
    spelled = {key: "BRKB" for key in ("ticker", "underlying_symbol") if key in GOOD[endpoint]}
    (fact,) = asked(endpoint, GOOD[endpoint] | spelled, symbol="BRK.B").facts
    assert getattr(fact, "symbol", None) == "BRK.B"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("iv_rank", {"iv_rank_1y": "100"}),
        ("dark_pool", {"nbbo_bid": "273.07", "nbbo_ask": "273.07"}),
        # A few seconds ahead of our clock is not yet the future.
        ("flow_alerts", {"created_at": (NOW + timedelta(seconds=5)).isoformat()}),
    ],
    ids=["highest rank of the year", "locked quote", "seconds ahead of our clock"],
)
def test_row_at_the_edge_of_what_is_allowed_is_read(name: str, changes: dict[str, object]) -> None:
    assert len(asked(name, GOOD[name] | changes).facts) == 1


@pytest.mark.parametrize(("letter", "right"), [("C", Right.CALL), ("P", Right.PUT)])
def test_right_of_a_contract_is_read_from_its_name(letter: str, right: Right) -> None:
    row = with_field("oi_change", "option_symbol", f"AAPL261218{letter}00277500")
    (fact,) = asked("oi_change", row).facts
    assert isinstance(fact, OiChange)
    assert (fact.right, fact.change) == (right, -5949)


@pytest.mark.parametrize(
    ("right", "ask_side", "bid_side", "sign"),
    [("call", 2, 1, 1), ("call", 1, 2, -1), ("put", 2, 1, -1), ("put", 1, 2, 1), ("put", 1, 1, 0)],
)
def test_bought_calls_and_sold_puts_are_bullish(right: str, ask_side: int, bid_side: int, sign: int) -> None:
    row = GOOD["flow_alerts"] | {"type": right, "total_ask_side_prem": ask_side, "total_bid_side_prem": bid_side}
    (fact,) = asked("flow_alerts", row).facts
    assert isinstance(fact, FlowAlert)
    assert (fact.sign, fact.net_premium > 0) == (sign, sign > 0)


@pytest.mark.parametrize(("endpoint", "name"), [(e, name) for e, names in PRICES.items() for name in names])
@pytest.mark.parametrize("text", BAD_PRICES)
def test_unusable_price_is_refused_with_its_reason(endpoint: str, name: str, text: str) -> None:
    intake = asked(endpoint, with_field(endpoint, name, text), GOOD[endpoint])
    assert [row.reason for row in intake.rejected] == [f"{name} {BAD_PRICES[text]}"]
    assert len(intake.facts) == 1


@pytest.mark.parametrize("row", [None, "row", 7, [], [{}]])
def test_row_that_is_no_object_is_rejected(row: object) -> None:
    (rejected,) = asked("flow_alerts", row).rejected
    assert (rejected.reason, rejected.detail) == ("the row is not an object", repr(row))


def test_rows_of_another_ticker_are_dropped_and_repeated_ones_are_kept_once() -> None:
    alert, other, shares = (with_field("flow_alerts", "ticker", ticker) for ticker in ("AAPL", "TLT", "BRKB"))
    intake = asked("flow_alerts", other, alert, alert)
    assert (intake.received, intake.foreign, intake.duplicates, len(intake.facts)) == (3, 1, 1, 1)
    assert asked("flow_alerts", shares, symbol="BRK.B").foreign == 0
    # Prints of different sizes may share a tracking id.
    assert len(asked("dark_pool", GOOD["dark_pool"], with_field("dark_pool", "size", 405)).facts) == 2


@pytest.mark.parametrize("value", [1794841138, 1794841138000, "2026-11-16 14:58:58+00:00"])
def test_time_is_read_from_seconds_milliseconds_or_text(value: object) -> None:
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
    endpoint, good = draw(st.sampled_from(list(GOOD.items())))
    garbled = st.dictionaries(st.sampled_from(sorted(good)), anything, max_size=3).map(lambda bad: good | bad)
    rows = draw(st.lists(st.one_of(garbled, anything), max_size=6))
    return FlowPage(endpoint, None if kind_of(endpoint).market_wide else "AAPL", tuple(rows), NO_QUOTA)


@given(page=pages())
def test_garbled_rows_raise_nothing_and_are_all_counted(page: FlowPage) -> None:
    intake = normalize(kind_of(page.endpoint), page, NOW)
    kept = len(intake.facts)
    assert intake.received == len(page.rows)
    assert intake.received == kept + intake.duplicates + intake.foreign + len(intake.rejected)
    assert len({fact.id for fact in intake.facts}) == kept


def read_captured(name: str) -> Intake:
    rows = captured(f"live/{'option_flow_alerts' if name == 'flow_alerts' else name}.json")["response"]["data"]
    return asked(name, *rows, at=datetime(2025, 12, 27, 2, 18, 51, tzinfo=UTC))


def test_captured_alerts_asked_for_aapl_are_all_foreign() -> None:
    intake = read_captured("flow_alerts")
    assert (intake.received, intake.foreign, intake.facts) == (50, 50, ())


@pytest.mark.parametrize(
    ("name", "received"),
    [("dark_pool", 500), ("market_tide", 79), ("greek_exposure", 249), ("iv_rank", 4), ("oi_change", 50)],
)
def test_captured_response_is_read_without_loss(name: str, received: int) -> None:
    intake = read_captured(name)
    assert (intake.received, len(intake.facts)) == (received, received)


def test_captured_tide_closes_bearish_and_rank_is_of_the_last_session() -> None:
    tide, rank = (read_captured(name).facts[-1] for name in ("market_tide", "iv_rank"))
    assert isinstance(tide, TideTick)
    assert isinstance(rank, IvRank)
    assert (round((tide.net_call_premium - tide.net_put_premium) / 1_000_000, 1), rank.date) == (
        Decimal("-67.2"),
        date(2025, 12, 26),
    )


LATER = timedelta(days=10_000)
ROW: dict[str, Any] = {
    "rule_id": "5ce5ec11-087c-4c00-b164-08106b015856", "rule_name": "RepeatedHitsDescendingFill", "ticker": "DIA",
    "option_chain": "DIA241018C00415000", "underlying_price": 415.981, "volume": 106, "total_size": 50,
    "total_premium": 36466, "total_ask_side_prem": 36466, "total_bid_side_prem": 0, "start_time": 1726670212648,
    "end_time": 1726670212748, "url": "", "price": 7.3, "has_multileg": False, "has_sweep": False, "has_floor": True,
    "open_interest": 575, "all_opening_trades": False, "id": "29ed5829-e4ce-4934-876b-51985d2f9b70",
    "has_singleleg": True, "volume_oi_ratio": 0, "trade_ids": ["417f0cd6", "4af4c646"], "trade_count": 7,
    "expiry_count": 1, "executed_at": 1726670212748, "ask_vol": 52, "bid_vol": 49, "no_side_vol": 0, "mid_vol": 5,
    "multi_vol": 0, "stock_multi_vol": 0, "upstream_condition_details": ["auto", "slan"], "exchanges": ["XCBO"],
    "bid": "7.15", "ask": "7.3",
}  # fmt: skip
"""In the form of the vendor's documented example."""


def wired(row: dict[str, Any]) -> Any:
    return decode(json.dumps(row).encode())


def facts(rows: list[Any], symbol: str) -> tuple[FlowAlert, ...]:
    intake = normalize(FLOW_ALERTS_KIND, FlowPage(FLOW_ALERTS_KIND.name, symbol, tuple(rows), NO_QUOTA), NOW + LATER)
    assert intake.rejected == ()
    assert intake.findings == (), "the form isn't the documented one"
    return intake.facts  # type: ignore[return-value]


def test_documented_websocket_row_is_read_completely() -> None:
    about = {"issue_type": "ETF", "sector": None, "marketcap": None, "er_time": None, "next_earnings_date": None}
    (fact,) = facts([as_polled(wired(ROW), about)], "DIA")
    assert (fact.right, fact.strike, fact.expiry) == (Right.CALL, Decimal(415), date(2024, 10, 18))
    assert (fact.premium, fact.ask_premium, fact.bid_premium) == (Decimal(36466), Decimal(36466), Decimal(0))
    assert (fact.price, fact.bid, fact.ask) == (Decimal("7.3"), Decimal("7.15"), Decimal("7.3"))
    assert (fact.volume, fact.open_interest, fact.size, fact.trades) == (106, 575, 50, 7)
    assert (fact.has_floor, fact.has_sweep, fact.opening, fact.issue_type) == (True, False, False, "ETF")
    assert (fact.rule, fact.contract) == ("RepeatedHitsDescendingFill", "DIA241018C00415000")
    assert fact.at.isoformat() == "2024-09-18T14:36:52.748000+00:00"
    assert (fact.iv, fact.next_earnings) == (None, None)


def test_captured_alert_is_the_same_fact_streamed_or_polled_except_time_and_volatility() -> None:
    rows = captured("live/option_flow_alerts.json")["response"]["data"]
    for told in rows:
        (polled,) = facts([told], told["ticker"])
        (heard,) = facts([as_polled(wired(stream_row(told)), about_symbol(told))], told["ticker"])
        assert timedelta() <= polled.at - heard.at < timedelta(minutes=5)
        assert heard == replace(polled, at=heard.at, iv=None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"option_chain": "DIA"}, "strike is missing"),
        ({"option_chain": None}, "strike is missing"),
        ({"option_chain": "DIA249918C00415000"}, "expiry is not a date"),
        ({"executed_at": "soon"}, "created_at is missing"),
        ({"executed_at": True}, "created_at is missing"),
        ({"executed_at": 10**20}, "created_at is missing"),
        ({"total_premium": None}, "total_premium is missing"),
        ({"volume": -1}, "volume is negative"),
        ({"id": ""}, "id is empty"),
    ],
)
def test_unusable_field_of_a_streamed_row_is_the_counted_reason(changes: dict[str, Any], reason: str) -> None:
    row = as_polled(wired(ROW | changes), {})
    intake = normalize(FLOW_ALERTS_KIND, FlowPage(FLOW_ALERTS_KIND.name, "DIA", (row,), NO_QUOTA), NOW)
    assert [bad.reason for bad in intake.rejected] == [reason.replace("strike is missing", "type is missing")]


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none(), max_size=1)


@given(st.dictionaries(st.sampled_from(sorted(ROW)), VALUES))
def test_streamed_row_is_read_or_counted_whatever_it_holds(changes: dict[str, Any]) -> None:
    row = as_polled(wired(ROW | changes), {})
    intake = normalize(FLOW_ALERTS_KIND, FlowPage(FLOW_ALERTS_KIND.name, "DIA", (row,), NO_QUOTA), NOW)
    assert len(intake.facts) + len(intake.rejected) + intake.foreign == 1
