"""A row of the websocket becomes the fact that the same alert's row of the REST API becomes."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.streams.flow_alerts import stream_row
from tests.kit.signals.source_rows import NO_QUOTA, captured
from tests.kit.values import NOW
from tradebot.adapters.wire.http import decode
from tradebot.model.flow import FlowAlert, FlowPage
from tradebot.model.instrument import Right
from tradebot.model.struct_tools import replace
from tradebot.signals.fields import about_symbol, as_polled
from tradebot.signals.normalize import normalize
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND

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
    for row in rows:
        (polled,) = facts([row], row["ticker"])
        (heard,) = facts([as_polled(wired(stream_row(row)), about_symbol(row))], row["ticker"])
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
