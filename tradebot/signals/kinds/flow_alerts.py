"""Rule-based alerts on runs of option trades."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from itertools import repeat

from tradebot.model.flow import FlowAlert
from tradebot.model.kind import NEW_YORK, Columns, Kind, Phase, Request, Row
from tradebot.model.quick import maker
from tradebot.signals import columns, rows

_OPEN = time(9, 30)
_alert = maker(FlowAlert)


def _request(ticker: str, session: date) -> Request:
    opens = datetime.combine(session, _OPEN, NEW_YORK).astimezone(UTC)
    # The parameter must be ticker_symbol; any other name is ignored and returns the whole market.
    params = {"ticker_symbol": ticker, "limit": "200", "newer_than": f"{opens:%Y-%m-%dT%H:%M:%SZ}"}
    return Request("/api/option-trades/flow-alerts", params)


def _parse(row: Row, symbol: str, at: datetime) -> FlowAlert:
    if row.get("ticker") is None:
        raise rows.BadRowError("ticker is missing")
    return _alert(
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
        _alert,
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


def _condense(alerts: Sequence[FlowAlert]) -> tuple[FlowAlert, ...]:
    """Return the alerts, oldest first."""
    return tuple(sorted(alerts, key=lambda alert: (alert.at, alert.id)))


KIND = Kind(
    name="flow_alerts",
    unit="USD of premium, contracts",
    sign="bought calls and sold puts are bullish",
    absent="no alert since the open",
    source="Unusual Whales, option trades",
    fact=FlowAlert,
    request=_request,
    parse=_parse,
    parse_all=_parse_all,
    moment=lambda alert: alert.at,
    lean=lambda alert: alert,
    condense=_condense,
    poll_s=240,
    changes=False,
    core=True,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields={
        "id": "text",
        "ticker": "text",
        "created_at": "text",
        "start_time": "integer",
        "end_time": "integer",
        "option_chain": "text",
        "type": "text",
        "strike": "decimal",
        "expiry": "text",
        "expiry_count": "integer",
        "price": "decimal",
        "bid": "decimal",
        "ask": "decimal",
        "total_premium": "decimal",
        "total_ask_side_prem": "decimal",
        "total_bid_side_prem": "decimal",
        "total_size": "integer",
        "trade_count": "integer",
        "volume": "integer",
        "open_interest": "integer",
        "volume_oi_ratio": "decimal?",
        "has_sweep": "boolean",
        "has_floor": "boolean",
        "has_multileg": "boolean",
        "has_singleleg": "boolean",
        "all_opening_trades": "boolean",
        "alert_rule": "text",
        "rule_id": "text",
        "issue_type": "text",
        "sector": "text?",
        "marketcap": "decimal?",
        "underlying_price": "decimal",
        "next_earnings_date": "text?",
        "er_time": "text?",
        "iv_start": "decimal?*",
        "iv_end": "decimal?*",
    },
)
