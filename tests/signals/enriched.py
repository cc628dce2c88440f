"""Rows of the enriched kinds in the source's shapes, and what is known once they have been read and summed up."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.builders import DAY, NOW, alert
from tradebot.model.flow import FLOW_ALERTS, FlowPage, Intake, Quota
from tradebot.model.kind import AnyKind, Scope
from tradebot.model.record import SymbolFacts
from tradebot.signals.kinds import kind_of
from tradebot.signals.normalize import normalize
from tradebot.signals.scoring import Known

EXAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "uw" / "examples"
QUOTA = Quota(None, None, None)
SECTOR = "Technology"
Rows = Sequence[Mapping[str, object]]


def days(number: int) -> str:
    return (DAY + timedelta(days=number)).isoformat()


VOLATILITY: dict[str, object] = {
    "date": days(-40),
    "implied_volatility": "0.30",
    "price": "150.15",
    "realized_volatility": "0.20",
    "unshifted_rv_date": days(-1),
}
GAMMA: dict[str, object] = {"date": days(-3), "call_gamma": "3012060.6", "put_gamma": "-1479461.8"}
TIDE: dict[str, object] = {
    "date": days(0),
    "net_call_premium": "660338.0000",
    "net_put_premium": "-547564.0000",
    "net_volume": 23558,
    "timestamp": "2026-11-16 09:59:00-05:00",
}
GOOD: dict[str, dict[str, object]] = {
    "congress": {
        "amounts": "$15,001 - $50,000",
        "filed_at_date": days(-5),
        "is_active": True,
        "issuer": "joint",
        "member_type": "house",
        "name": "A Member",
        "notes": None,
        "politician_id": "18f9fc95",
        "reporter": "A. Member",
        "ticker": "AAPL",
        "transaction_date": days(-30),
        "txn_type": "Buy",
    },
    "short_interest": {
        "days_to_cover": "10",
        "fee_rate": "0.2782",
        "market_date": days(-17),
        "rebate_rate": "3.3518",
        "short_interest": 750_000,
        "short_shares_available": 10_000_000,
        "si_float": "0.275",
        "si_float_with_synth_long_pct_of_total_shares": "0.2",
        "symbol": "AAPL",
        "total_float": 2_727_272,
    },
    "fails_to_deliver": {"date": days(-20), "price": "45.75", "quantity": 1250},
    "institutional": {
        "avg_price": "432.31",
        "filing_date": days(-20),
        "first_buy": "2021-02-25",
        "historical_units": [4103, 4423],
        "inst_share_value": "582093953.0",
        "inst_value": "1095205923.0",
        "name": "AN INSTITUTION",
        "people": [],
        "report_date": days(-47),
        "shares_outstanding": "148239423.0",
        "short_name": "Institution",
        "tags": [],
        "units": 5000,
        "units_change": -500,
        "value": "2934823.0",
    },
    "sector_tide": TIDE,
    "top_net_impact": {"ticker": "AAPL", "net_premium": -11236348.0},
    "fda_calendar": {
        "catalyst": "PDUFA Date",
        "description": None,
        "drug": "A drug",
        "end_date": days(4),
        "has_options": True,
        "indication": None,
        "marketcap": "1000000000",
        "notes": None,
        "outcome": None,
        "outcome_brief": None,
        "source_link": None,
        "start_date": days(4),
        "status": "NDA",
        "ticker": "AAPL",
    },
    "earnings": {"report_date": days(3), "report_time": "postmarket"},
    "economic_calendar": {
        "event": "Consumer sentiment (final)",
        "forecast": None,
        "prev": "69.4",
        "reported_period": "December",
        "time": "2026-11-16 15:30:00+00:00",
        "type": "report",
    },
    "spot_gex": {
        **{
            f"{greek}_per_one_percent_move_{base}": "65476.41"
            for greek in ("charm", "gamma", "vanna")
            for base in ("dir", "oi", "vol")
        },
        "price": "465.5",
        "time": "2026-11-16 14:58:41.481000+00:00",
    },
    "max_pain": {"expiry": days(4), "max_pain": "103"},
    "realized_volatility": VOLATILITY,
    "etf_flow": {
        "change": -50,
        "change_prem": "-12000.0",
        "close": "236.16",
        "date": days(-3),
        "is_fomc": False,
        "volume": 592342,
    },
    "market_breadth": {"ticker": "AAPL", "close": "182.91", "prev_close": "189.70", "date": days(0)},
    "market_volatility": VOLATILITY,
    "market_gamma": GAMMA,
}
"""One row of each kind, with the fields that are read and of most kinds all others too."""

_amounts = st.decimals(-(10**12), 10**12, places=4, allow_nan=False).map(str)
_sizes = st.decimals(0, 10**9, places=4, allow_nan=False).map(str)
_prices = st.decimals("0.01", 10**6, places=4, allow_nan=False).map(str)
_tickers = st.sampled_from(["AAPL", "MSFT"])
_past = st.integers(-120, 0).map(days)
_near = st.integers(-20, 120).map(days)
VARIED: dict[str, dict[str, st.SearchStrategy[object]]] = {
    "congress": {
        "ticker": _tickers,
        "amounts": st.sampled_from(["$1,001 - $15,000", "$50,000,001 +", "Over $1,000,000", "$15,001 - $50,000"]),
        "txn_type": st.sampled_from(["Buy", "Sell (partial)", "Purchase", "Sale (Full)", "Exchange"]),
        "filed_at_date": _past,
    },
    "short_interest": {
        "si_float": st.decimals(0, 2, places=4).map(str),
        "days_to_cover": st.decimals(0, 60, places=2).map(str),
        "fee_rate": st.none() | st.decimals(0, 300, places=2).map(str),
        "total_float": st.integers(1, 10**10),
        "market_date": _past,
    },
    "fails_to_deliver": {"quantity": st.integers(0, 10**9), "date": _past},
    "institutional": {
        "units_change": st.integers(-(10**10), 10**10),
        "filing_date": _past,
        "name": st.text("ab", min_size=1),
    },
    "sector_tide": {"net_call_premium": _amounts, "net_put_premium": _amounts},
    "top_net_impact": {"ticker": _tickers, "net_premium": st.floats(-1e12, 1e12, allow_nan=False)},
    "fda_calendar": {"ticker": _tickers, "start_date": _near, "end_date": st.just(days(200))},
    "economic_calendar": {
        "type": st.sampled_from(["report", "fomc", "fed-speaker"]),
        "event": st.text("ab", min_size=1),
    },
    "spot_gex": {
        "gamma_per_one_percent_move_oi": _amounts,
        "time": st.integers(0, 29).map(lambda minute: f"2026-11-16T14:{30 + minute}:41.5Z"),
    },
    "earnings": {"report_date": _near, "report_time": st.sampled_from([None, "premarket", "postmarket", "unknown"])},
    "max_pain": {"expiry": _near, "max_pain": _prices},
    "realized_volatility": {
        "date": _past,
        "implied_volatility": st.none() | _sizes,
        "realized_volatility": st.none() | _sizes,
        "unshifted_rv_date": _past,
    },
    "etf_flow": {"change_prem": _amounts, "date": _past},
    "market_breadth": {"ticker": _tickers, "close": _prices, "prev_close": _prices, "date": _past},
}
VARIED["market_volatility"] = VARIED["realized_volatility"]
VARIED["market_gamma"] = {"date": _past, "call_gamma": _amounts, "put_gamma": _amounts}


def varied(name: str) -> st.SearchStrategy[list[dict[str, object]]]:
    row = st.fixed_dictionaries(VARIED[name]).map(lambda changed: {**GOOD[name], **changed})
    return st.lists(row, max_size=6)


def asked(name: str, *rows: object, at: datetime = NOW) -> Intake:
    """Return what a reply about AAPL, or about what else the kind is about, is read as."""
    kind = kind_of(name)
    about = {Scope.MARKET: None, Scope.SECTOR: SECTOR}.get(kind.scope, "AAPL")
    return normalize(kind, FlowPage(name, about, rows, QUOTA), at)


def summed_up(name: str, *rows: object, at: datetime = NOW, session: date = DAY) -> object | None:
    """Return what decisions of a session see of a reply; None if none of its rows counts then."""
    kind = kind_of(name)
    first_day = session - timedelta(days=kind.past_days)
    counting = [fact for fact in asked(name, *rows, at=at).facts if first_day <= kind.day(fact) <= session]
    return kind.condense([kind.lean(fact) for fact in counting]) if counting else None


def seen(replies: Mapping[str, Rows], *, flow: float | None = 0.5, symbol: str = "AAPL") -> Known:
    """Return what a component sees of a symbol of the technology sector after these replies.

    An alert of a minute ago says that the stock costs 100 USD.
    """
    found = {name: value for name, rows in replies.items() if (value := summed_up(name, *rows)) is not None}
    market = {name: _placed(kind_of(name), value) for name, value in found.items() if not _of_symbol(kind_of(name))}
    own = {name: value for name, value in found.items() if _of_symbol(kind_of(name))}
    facts = SymbolFacts(symbol, {**own, FLOW_ALERTS: (alert(underlying_price=Decimal(100)),)}, NOW, 1)
    return Known(NOW, timedelta(minutes=30), 1_500_000.0, market, facts, (), flow, "technology")


def _of_symbol(kind: AnyKind) -> bool:
    return kind.scope in (Scope.SYMBOL, Scope.FUND)


def _placed(kind: AnyKind, value: object) -> object:
    return {SECTOR: value} if kind.scope is Scope.SECTOR else value


def example(file: str) -> list[dict[str, object]]:
    path = EXAMPLES / file
    if not path.exists():
        pytest.skip(f"shared/data absent: uw/examples/{file}")
    data = json.loads(path.read_text())["data"]
    return [data] if isinstance(data, dict) else data
