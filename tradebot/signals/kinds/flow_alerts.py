"""Rule-based alerts on runs of option trades."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import cached_property
from itertools import repeat
from math import fsum
from operator import attrgetter
from statistics import median
from typing import Any, NamedTuple

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


def _told(read: Any, of: Row | Columns, at: datetime) -> tuple[Any, ...]:
    """Return an alert's fields in their order, without its symbol: of a row if read by `rows`, of many by `columns`."""
    return (
        read.text(of, "id"),
        read.past_time(of, "created_at", at),
        read.right(of, "type"),
        read.positive(of, "strike"),
        read.day(of, "expiry"),
        read.positive(of, "total_premium"),
        read.not_negative(of, "total_ask_side_prem"),
        read.not_negative(of, "total_bid_side_prem"),
        read.count(of, "volume"),
        read.count(of, "open_interest"),
        read.optional(read.boolean, of, "has_sweep", False),
        read.optional(read.boolean, of, "has_floor", False),
        read.optional(read.boolean, of, "has_multileg", False),
        read.optional(read.text, of, "option_chain", ""),
        read.optional(read.positive, of, "price"),
        read.optional(read.not_negative, of, "bid"),
        read.optional(read.not_negative, of, "ask"),
        read.optional(read.count, of, "total_size"),
        read.optional(read.count, of, "trade_count"),
        read.optional(read.boolean, of, "all_opening_trades"),
        read.optional(read.text, of, "issue_type"),
        read.optional(read.positive, of, "underlying_price"),
        read.optional(read.text, of, "alert_rule", ""),
        read.optional(read.day, of, "next_earnings_date"),
        read.optional(read.positive_float, of, "iv_end"),
    )


def _parse(row: Row, symbol: str, at: datetime) -> FlowAlert:
    if row.get("ticker") is None:
        raise rows.BadRowError("ticker is missing")
    identity, *others = _told(rows, row, at)
    return FlowAlert(identity, symbol, *others)


def _parse_all(found: Columns, symbol: str, at: datetime) -> Iterable[FlowAlert]:
    columns.text(found, "ticker")
    identities, *others = _told(columns, found, at)
    return map(FlowAlert, identities, repeat(symbol), *others)


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
