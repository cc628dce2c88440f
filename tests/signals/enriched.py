"""Rows of the enriched kinds in the source's shapes, and what is known once they have been read and summed up."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.builders import DAY, NOW, ago, alert
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
    "insider": {
        "date": days(-4),
        "buy_sell": "sell",
        "avg_price": 162.32,
        "premium": "664386",
        "transactions": 54,
        "uniq_insiders": 10,
        "volume": 244331,
    },
    "net_prem_ticks": {
        "date": days(0),
        "tape_time": ago(120).isoformat(),
        "call_volume": 1145,
        "call_volume_ask_side": 822,
        "call_volume_bid_side": 182,
        "put_volume": 241,
        "put_volume_ask_side": 49,
        "put_volume_bid_side": 186,
        "net_call_premium": "2234.00",
        "net_call_volume": 640,
        "net_put_premium": "-11106.00",
        "net_put_volume": -137,
        "net_delta": "26294.85817964231814400",
    },
    "risk_reversal": {"date": days(0), "delta": 25, "risk_reversal": "0.014", "ticker": "AAPL"},
    "term_structure": {
        "date": days(0),
        "dte": 7,
        "expiry": days(7),
        "implied_move": "4.923",
        "implied_move_perc": "0.02747",
        "volatility": "0.2352",
    },
    "market_gamma": GAMMA,
}
"""One row of each kind, with the fields that are read and of most kinds all others too."""


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
