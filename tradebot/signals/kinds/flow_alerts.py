"""Rule-based alerts on runs of option trades."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import cached_property
from itertools import repeat
from math import fsum
from operator import attrgetter
from statistics import median
from typing import NamedTuple

from tradebot.model.flow import FlowAlert
from tradebot.model.kind import NEW_YORK, Columns, Kind, Phase, Row, documented
from tradebot.signals import columns, rows

LARGE = 3
"""How many times the median premium of a session's single-leg alerts a large alert has."""
_OPEN = time(9, 30)
_AT = attrgetter("at")


class LargeAlerts(NamedTuple):
    """Large alerts of one direction: their premium in USD, how many there are, and how far apart the ends are."""

    usd: float = 0.0
    number: int = 0
    span_s: float = 0.0


class SessionAlerts(tuple[FlowAlert, ...]):
    """A session's alerts, oldest first. What all of them add up to is computed once, when it is first read."""

    @cached_property
    def large(self) -> Mapping[int, LargeAlerts]:
        """Return the large single-leg alerts by sign: +1 bullish, -1 bearish."""
        single = [alert for alert in self if not alert.has_multileg]
        least = LARGE * median([alert.usd for alert in single]) if single else 0.0
        large = [alert for alert in single if alert.usd >= least]
        return {sign: _summed_up([alert for alert in large if alert.sign == sign]) for sign in (1, -1)}

    def until(self, now: datetime) -> "SessionAlerts":
        """Return the alerts that aren't later than `now`: the source's clock may be some seconds ahead of ours."""
        if not self or self[-1].at <= now:
            return self
        return SessionAlerts(self[: bisect_right(self, now, key=_AT)])


def _summed_up(alerts: Sequence[FlowAlert]) -> LargeAlerts:
    if not alerts:
        return LargeAlerts()
    span = alerts[-1].at - alerts[0].at
    return LargeAlerts(fsum(alert.usd for alert in alerts), len(alerts), span.total_seconds())


def _since_open(session: date) -> str:
    return f"{datetime.combine(session, _OPEN, NEW_YORK).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _parse(row: Row, symbol: str, at: datetime) -> FlowAlert:
    if row.get("ticker") is None:
        raise rows.BadRowError("ticker is missing")
    return FlowAlert(
        id=rows.text(row, "id"),
        symbol=symbol,
        at=rows.past_time(row, "created_at", at),
        right=rows.right(row, "type"),
        strike=rows.positive(row, "strike"),
        expiry=rows.day(row, "expiry"),
        premium=rows.positive(row, "total_premium"),
        ask_premium=rows.not_negative(row, "total_ask_side_prem"),
        bid_premium=rows.not_negative(row, "total_bid_side_prem"),
        volume=rows.count(row, "volume"),
        open_interest=rows.count(row, "open_interest"),
        has_sweep=row.get("has_sweep") is True,
        has_floor=row.get("has_floor") is True,
        has_multileg=row.get("has_multileg") is True,
        contract=rows.optional(rows.text, row, "option_chain") or "",
        price=rows.optional(rows.positive, row, "price"),
        bid=rows.optional(rows.not_negative, row, "bid"),
        ask=rows.optional(rows.not_negative, row, "ask"),
        size=rows.optional(rows.count, row, "total_size"),
        trades=rows.optional(rows.count, row, "trade_count"),
        opening=opening if isinstance(opening := row.get("all_opening_trades"), bool) else None,
        issue_type=rows.optional(rows.text, row, "issue_type"),
        underlying_price=rows.optional(rows.positive, row, "underlying_price"),
        rule=rows.optional(rows.text, row, "alert_rule") or "",
        next_earnings=rows.optional(rows.day, row, "next_earnings_date"),
        iv=rows.optional(rows.positive_float, row, "iv_end"),
    )


def _parse_all(found: Columns, symbol: str, at: datetime) -> Iterable[FlowAlert]:
    """Return an alert of each row; the columns are those of its fields, in their order."""
    columns.text(found, "ticker")
    return map(
        FlowAlert,
        columns.text(found, "id"),
        repeat(symbol),
        columns.past_time(found, "created_at", at),
        columns.right(found, "type"),
        columns.positive(found, "strike"),
        columns.day(found, "expiry"),
        columns.positive(found, "total_premium"),
        columns.not_negative(found, "total_ask_side_prem"),
        columns.not_negative(found, "total_bid_side_prem"),
        columns.count(found, "volume"),
        columns.count(found, "open_interest"),
        columns.boolean(found, "has_sweep"),
        columns.boolean(found, "has_floor"),
        columns.boolean(found, "has_multileg"),
        columns.optional(columns.text, found, "option_chain", ""),
        columns.optional(columns.positive, found, "price"),
        columns.optional(columns.not_negative, found, "bid"),
        columns.optional(columns.not_negative, found, "ask"),
        columns.optional(columns.count, found, "total_size"),
        columns.optional(columns.count, found, "trade_count"),
        columns.optional(columns.boolean, found, "all_opening_trades"),
        columns.optional(columns.text, found, "issue_type"),
        columns.optional(columns.positive, found, "underlying_price"),
        columns.optional(columns.text, found, "alert_rule", ""),
        columns.optional(columns.day, found, "next_earnings_date"),
        columns.optional(columns.positive_float, found, "iv_end"),
    )


KIND: Kind[FlowAlert, FlowAlert, SessionAlerts] = Kind(
    name="flow_alerts",
    unit="USD of premium, contracts",
    sign="bought calls and sold puts are bullish",
    absent="no alert since the open",
    fact=FlowAlert,
    path="/api/option-trades/flow-alerts",
    # The parameter must be ticker_symbol; any other name is ignored and returns the whole market.
    params={"ticker_symbol": "{}", "limit": "200", "newer_than": _since_open},
    parse=_parse,
    parse_all=_parse_all,
    moment=_AT,
    condense=lambda alerts: SessionAlerts(sorted(alerts, key=attrgetter("at", "id"))),
    poll_s=240,
    changes=False,
    core=True,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields=documented(
        "text id ticker created_at option_chain type expiry alert_rule rule_id issue_type, text? sector "
        "next_earnings_date er_time, decimal strike price bid ask total_premium total_ask_side_prem "
        "total_bid_side_prem underlying_price, decimal? volume_oi_ratio marketcap, decimal?* iv_start iv_end, integer "
        "start_time end_time expiry_count total_size trade_count volume open_interest, boolean has_sweep has_floor "
        "has_multileg has_singleleg all_opening_trades"
    ),
)
