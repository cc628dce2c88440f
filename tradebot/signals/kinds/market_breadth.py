"""How many of the large stocks rise and how many fall."""

from collections.abc import Sequence
from datetime import date, datetime
from operator import attrgetter

from tradebot.model.kind import Fact, Kind, Phase, Row, Scope, documented
from tradebot.signals import rows


class StockMove(Fact, frozen=True):
    """Whether one stock (the source's spelling of its ticker) is above (+1) or below (-1) its previous close."""

    date: date
    sign: int


def _parse(row: Row, symbol: str, at: datetime) -> StockMove:
    ticker, close, before = rows.text(row, "ticker"), rows.positive(row, "close"), rows.positive(row, "prev_close")
    return StockMove(ticker.upper(), rows.past_day(row, "date", at), (close > before) - (close < before))


def _condense(moves: Sequence[tuple[date, int]]) -> float:
    """Return the share of rising stocks less that of falling ones on the last date, from -1 to 1."""
    newest = max(day for day, _ in moves)
    signs = [sign for day, sign in moves if day == newest]
    return sum(signs) / len(signs)


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
    fields=documented(
        "text date ticker, text? er_time issue_type next_dividend_date next_earnings_date sector, decimal close "
        "prev_close, decimal? bearish_premium bullish_premium call_premium implied_move implied_move_perc iv30d "
        "iv30d_1d iv30d_1m iv30d_1w iv_rank marketcap net_call_premium net_put_premium put_call_ratio put_premium "
        "relative_volume volatility week_52_high week_52_low avg_3_day_call_volume avg_3_day_put_volume "
        "avg_7_day_call_volume avg_7_day_put_volume avg_30_day_call_volume avg_30_day_put_volume, integer? "
        "call_open_interest call_volume call_volume_ask_side call_volume_bid_side prev_call_oi prev_put_oi "
        "put_open_interest put_volume put_volume_ask_side put_volume_bid_side total_open_interest, boolean? is_index"
    ),
    max_age_s=5_400,
    phase=Phase.OPEN,
)
