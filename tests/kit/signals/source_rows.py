"""Rows as the flow source might send them: a good one of each kind, many made from what each kind documents.

Made rows come from a seed: they are many, and hypothesis would take longer to make them than the tests to read them.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.kit.values import DAY, NOW, ago, alert
from tradebot.model.fact_kind import AnyKind, ReplyScope
from tradebot.model.flow import FLOW_ALERTS, FlowPage, FlowWindow, Intake, Quota
from tradebot.model.record import SymbolFacts
from tradebot.signals.components import component_of
from tradebot.signals.kinds import kind_of, kinds
from tradebot.signals.normalize import normalize
from tradebot.signals.scoring import ScoringInputs, evaluate
from tradebot.signals.subjects.alerts import counting, flow_now

SOURCE_DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "uw"
Rows = Sequence[Mapping[str, object]]
World = Mapping[str, Sequence[dict[str, object]]]
Make = Callable[[Random], object]
NO_QUOTA = Quota(None, None, None)
ALL_ALERTS = FlowWindow(timedelta(minutes=30), {}, 0.005, 5)
JUNK: Sequence[object] = (
    None,
    True,
    "",
    "NaN",
    "1e400",
    "soon",
    -1,
    "-0.5",
    10**30,
    Decimal("NaN"),
    Decimal("-Infinity"),
    [],
    {"a": 1},
)
SECTOR = "Technology"


def _day(least: int, most: int) -> Callable[[Random], str]:
    return lambda chance: (DAY - timedelta(days=chance.randint(least, most))).isoformat()


def _recent_day(chance: Random) -> str:
    return _day(*chance.choice(((0, 6), (7, 45))))(chance)


def _one_of(*values: object) -> Make:
    return lambda chance: chance.choice(values)


def _time(chance: Random) -> str:
    return ago(chance.randint(0, 2400)).isoformat()


def _identity(chance: Random) -> str:
    return f"id-{chance.getrandbits(48)}"


def _contract(chance: Random) -> str:
    expiry = DAY + timedelta(days=chance.randint(0, 60))
    return f"AAPL{expiry:%y%m%d}{chance.choice('CP')}{chance.randint(50, 150):05d}000"


def _near_money(chance: Random) -> str:
    return f"{chance.randint(9_900, 10_100) / 100:.2f}"


def _amount(chance: Random) -> str:
    return f"{chance.choice((1, 100, 10_000)) * chance.randint(1, 99_999) / 100:.2f}"


def _signed(chance: Random) -> str:
    return f"{chance.randint(-3_000_000, 3_000_000)}.00"


BY_NAME: Mapping[str, Make] = {
    "id": _identity,
    "ticker": _one_of("AAPL"),
    "symbol": _one_of("AAPL"),
    "underlying_symbol": _one_of("AAPL"),
    "option_symbol": _contract,
    "option_chain": _contract,
    "type": _one_of("call", "put"),
    "buy_sell": _one_of("buy", "sell"),
    "txn_type": _one_of("Buy", "Sell"),
    "amounts": _one_of("$1,001 - $15,000", "$15,001 - $50,000"),
    "report_time": _one_of("premarket", "postmarket", "unknown"),
    "trade_settlement": _one_of("regular", None),
    "canceled": _one_of(False),
    "has_multileg": _one_of(False, False, True),
    "delta": _one_of(25),
    "iv_rank_1y": _one_of("0", "12.5", "50", "99.9", "100"),
    "dte": lambda chance: chance.randint(0, 200),
    "expiry": _day(-120, 0),
    "report_date": _day(-20, 5),
    "next_earnings_date": _day(-20, 5),
    "start_date": _day(-20, 5),
    "end_date": _day(-40, 0),
    "date": _recent_day,
    "curr_date": _day(0, 2),
    "market_date": _day(0, 20),
    "filed_at_date": _day(0, 20),
    "transaction_date": _day(20, 40),
    "filing_date": _day(0, 60),
    "unshifted_rv_date": _day(0, 40),
    "nbbo_bid": _near_money,
    "nbbo_ask": _near_money,
    "price": _near_money,
    "strike": _near_money,
    "max_pain": _near_money,
    "close": _near_money,
    "prev_close": _near_money,
    "underlying_price": _near_money,
    "volatility": lambda chance: f"0.{chance.randint(1, 99):02d}",
    "risk_reversal": lambda chance: f"{chance.randint(-50, 90) / 1000:.3f}",
    "oi_diff_plain": lambda chance: chance.randint(-5_000, 5_000),
    "units_change": lambda chance: chance.randint(-5_000, 5_000),
    "change": lambda chance: chance.randint(-5_000, 5_000),
    "net_premium": lambda chance: Decimal(chance.randint(-3_000_000, 3_000_000)),
    "created_at": _time,
    "executed_at": _time,
    "tape_time": _time,
    "timestamp": _time,
    "time": _time,
    "updated_at": _time,
}
BY_TYPE: Mapping[str, Make] = {
    "text": _one_of("one", "another"),
    "decimal": _amount,
    "integer": lambda chance: chance.randint(0, 50_000),
    "number": lambda chance: Decimal(chance.randint(0, 50_000)) / 100,
    "boolean": _one_of(True, False),
    "list": _one_of([]),
    "object": _one_of({}),
}
SIGNED = ("net_", "put_gamma", "gamma_", "vanna_", "charm_")


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
    "greek_exposure": GAMMA,
    "market_tide": TIDE,
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
    "news": {
        "created_at": "2026-11-16 14:58:00+00:00",
        "headline": "Federal Reserve signals a possible rate cut",
        "is_major": True,
        "meta": {},
        "sentiment": "neutral",
        "source": "MarketNews",
        "tags": ["interest-rates"],
        "tickers": [],
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
"""A good row of nearly each kind, with the fields that are read and of most kinds all others too."""


def seeded(seed: int) -> Random:
    return Random(seed)


def row(kind: AnyKind, chance: Random) -> dict[str, object]:
    return {name: _value(name, documented, chance) for name, documented in kind.fields.items()}


def _value(name: str, documented: str, chance: Random) -> object:
    if name in BY_NAME:
        return BY_NAME[name](chance)
    if documented.startswith("decimal") and name.startswith(SIGNED):
        return _signed(chance)
    return BY_TYPE[documented.rstrip("?*")](chance)


def world(seed: int, most: int = 12, names: Collection[str] = ()) -> World:
    chance = seeded(seed)
    return {name: [row(kinds()[name], chance) for _ in range(chance.randint(0, most))] for name in names or kinds()}


def spoiled(rows: World, seed: int) -> World:
    """Return the rows with one field in eight replaced by something that doesn't belong there."""
    chance = seeded(seed)

    def spoil(row: dict[str, object]) -> dict[str, object]:
        return {name: chance.choice(JUNK) if chance.random() < 0.125 else value for name, value in row.items()}

    return {name: [spoil(row) for row in each] for name, each in rows.items()}


def asked(name: str, *rows: object, symbol: str = "AAPL", at: datetime = NOW) -> Intake:
    """Return what a reply about a symbol, or about what else the kind is about, is read as."""
    kind = kind_of(name)
    about = {ReplyScope.MARKET: None, ReplyScope.SECTOR: SECTOR}.get(kind.scope, symbol)
    return normalize(kind, FlowPage(name, about, rows, NO_QUOTA), at)


def summed_up(name: str, *rows: object, at: datetime = NOW, session: date = DAY) -> Any:
    """Return what decisions of a session see of a reply; None if none of its rows counts then."""
    kind = kind_of(name)
    first_day = session - timedelta(days=kind.past_days)
    counting = [kind.lean(fact) for fact in asked(name, *rows, at=at).facts if first_day <= kind.day(fact) <= session]
    return kind.condense(counting) if counting else None


def known_of_all(replies: Mapping[str, Rows]) -> tuple[dict[str, object], dict[str, object]]:
    """Return what is known of a symbol and of the market after these replies."""
    own, market = dict[str, object](), dict[str, object]()
    for name, rows in replies.items():
        scope, value = kind_of(name).scope, summed_up(name, *rows)
        if value is not None:
            known = own if scope in (ReplyScope.SYMBOL, ReplyScope.FUND) else market
            known[name] = {SECTOR: value} if scope is ReplyScope.SECTOR else value
    return own, market


def seen(replies: Mapping[str, Rows], *, flow: float | None = 0.5, symbol: str = "AAPL") -> ScoringInputs:
    """Return what a component sees of a symbol of the technology sector after these replies.

    An alert of a minute ago says that the stock costs 100 USD.
    """
    own, market = known_of_all(replies)
    facts = SymbolFacts(symbol, {**own, FLOW_ALERTS: (alert(underlying_price=Decimal(100)),)}, NOW, 1)
    return ScoringInputs(NOW, timedelta(minutes=30), market, facts, "technology", scale_usd=1_500_000.0, flow=flow)


def known_from(rows: World) -> ScoringInputs:
    own, market = known_of_all(rows)
    facts = SymbolFacts("AAPL", own, NOW, received=1)
    now = flow_now(facts, counting(NOW, ALL_ALERTS))
    lookback, scale = ALL_ALERTS.lookback, now.scale_usd
    return ScoringInputs(NOW, lookback, market, facts, "technology", now.alerts, now.lacking, scale, now.value)


def captured(file: str) -> Any:
    """Return what a file of the source's data holds."""
    path = SOURCE_DATA / file
    if not path.exists():
        pytest.skip(f"shared/data absent: uw/{file}")
    return json.loads(path.read_text(), parse_float=Decimal)


def value_of(name: str, known: ScoringInputs) -> float | None:
    return component_of(name).value(known)


def computed(name: str, known: ScoringInputs) -> float:
    """Return a component's value by its formula, from the inputs that an explanation shows."""
    component = component_of(name)
    return evaluate(component.formula, {each.name: float(each.value) for each in component.inputs(known)})
