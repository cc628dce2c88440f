"""How many of the large stocks rise and how many fall."""

from collections.abc import Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import NamedTuple

from tradebot.model.kind import Fact, Kind, Phase, Row, Scope
from tradebot.signals import rows


class StockMove(Fact, frozen=True):
    """Whether one stock (the source's spelling of its ticker) is above (+1) or below (-1) its previous close."""

    date: date
    sign: int


class BreadthFacts(NamedTuple):
    """How many of `stocks` were above and below their previous close on a date."""

    date: date
    rising: int
    falling: int
    stocks: int

    @property
    def breadth(self) -> float:
        """Return the share of rising stocks less that of falling ones, from -1 to 1."""
        return (self.rising - self.falling) / self.stocks


def _parse(row: Row, symbol: str, at: datetime) -> StockMove:
    ticker, close, before = rows.text(row, "ticker"), rows.positive(row, "close"), rows.positive(row, "prev_close")
    return StockMove(ticker.upper(), rows.past_day(row, "date", at), (close > before) - (close < before))


def _condense(moves: Sequence[tuple[date, int]]) -> BreadthFacts:
    newest = max(day for day, _ in moves)
    signs = [sign for day, sign in moves if day == newest]
    return BreadthFacts(newest, signs.count(1), signs.count(-1), len(signs))


_TEXT_COUNTS = ("avg_3_day", "avg_7_day", "avg_30_day")
_DECIMALS = (
    *("bearish_premium", "bullish_premium", "call_premium", "close", "implied_move", "implied_move_perc", "iv30d"),
    *("iv30d_1d", "iv30d_1m", "iv30d_1w", "iv_rank", "marketcap", "net_call_premium", "net_put_premium", "prev_close"),
    *("put_call_ratio", "put_premium", "relative_volume", "volatility", "week_52_high", "week_52_low"),
    *(f"{average}_{right}_volume" for average in _TEXT_COUNTS for right in ("call", "put")),
)
_INTEGERS = (
    *("call_open_interest", "call_volume", "call_volume_ask_side", "call_volume_bid_side", "prev_call_oi"),
    *("prev_put_oi", "put_open_interest", "put_volume", "put_volume_ask_side", "put_volume_bid_side"),
    "total_open_interest",
)
KIND = Kind(
    name="market_breadth",
    unit="stocks of the S&P 500",
    sign="rising stocks are bullish",
    absent="no reply of this session",
    fact=StockMove,
    path="/api/screener/stocks",
    params={"is_s_p_500": "true", "date": date.isoformat},
    parse=_parse,
    lean=attrgetter("date", "sign"),
    condense=_condense,
    poll_s=1_800,
    scope=Scope.MARKET,
    fields={
        **dict.fromkeys(_DECIMALS, "decimal?"),
        **dict.fromkeys(_INTEGERS, "integer?"),
        "close": "decimal",
        "date": "text",
        "er_time": "text?",
        "is_index": "boolean?",
        "issue_type": "text?",
        "next_dividend_date": "text?",
        "next_earnings_date": "text?",
        "prev_close": "decimal",
        "sector": "text?",
        "ticker": "text",
    },
    max_age_s=5_400,
    phase=Phase.OPEN,
)
