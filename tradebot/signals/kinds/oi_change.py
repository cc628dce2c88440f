"""Overnight changes in open interest."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from tradebot.model.instrument import Right
from tradebot.model.kind import DayFact, Kind, Row, documented
from tradebot.signals import rows

_OCC = re.compile(r"[A-Z0-9.]{1,6}\d{6}([CP])\d{8}")


class OiChange(DayFact, frozen=True):
    """Overnight change in the open interest of one option symbol, in contracts."""

    option_symbol: str
    right: Right
    change: int


class OiFacts(NamedTuple):
    """The overnight change of the last known date over `symbols` option symbols, in contracts.

    `net` is call minus put open interest, `gross` the sum of the magnitudes.
    """

    net: int
    gross: int
    symbols: int
    date: date


def _parse(row: Row, symbol: str, at: datetime) -> OiChange:
    contract = rows.text(row, "option_symbol")
    match = _OCC.fullmatch(contract)
    if match is None:
        raise rows.BadRowError("option_symbol is not an OCC symbol")
    day = rows.past_day(row, "curr_date", at)
    right = Right.CALL if match[1] == "C" else Right.PUT
    change = int(rows.number(row, "oi_diff_plain"))
    return OiChange(f"{day.isoformat()}/{contract}", symbol, day, contract, right, change)


def _condense(changes: Sequence[tuple[date, int]]) -> OiFacts:
    newest = max(day for day, _ in changes)
    contracts = [change for day, change in changes if day == newest]
    return OiFacts(sum(contracts), sum(map(abs, contracts)), len(contracts), newest)


KIND = Kind(
    name="oi_change",
    unit="contracts",
    sign="more open calls and fewer open puts are bullish",
    absent="no change in open interest known",
    fact=OiChange,
    path="/api/stock/{}/oi-change",
    parse=_parse,
    # A put's change is negated, so that positive is bullish.
    lean=lambda change: (change.date, change.change if change.right is Right.CALL else -change.change),
    condense=_condense,
    past_days=400,
    fields=documented(
        "text option_symbol underlying_symbol curr_date last_date, decimal oi_change, decimal? avg_price last_fill "
        "last_ask last_bid prev_total_premium percentage_of_total, integer curr_oi last_oi oi_diff_plain volume trades "
        "rnk, integer? prev_ask_volume prev_bid_volume prev_mid_volume prev_neutral_volume prev_multi_leg_volume "
        "prev_stock_multi_leg_volume, integer?* days_of_oi_increases days_of_vol_greater_than_oi"
    ),
)
