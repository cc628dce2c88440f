"""The JSON objects of Alpaca's trading API: decimals as strings, every documented key always present."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tradebot.exchange.chance import uuid_of
from tradebot.exchange.engine.account import MULTIPLIER, Position
from tradebot.exchange.engine.engine import Engine, Fill
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.jsontext import plain
from tradebot.exchange.market.bars import Market, usd
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.market.sessions import Session
from tradebot.exchange.times import HOUR, new_york, rfc3339

_RATIO = Decimal("1e-9")
_AVERAGE = Decimal("1e-6")
_ZERO = Decimal(0)


def asset_id(symbol: str) -> str:
    """Return the id that stands for a symbol."""
    return uuid_of("asset", symbol)


def order_json(order: Order) -> dict[str, Any]:
    """Return the Order object."""
    request = order.request
    average = order.filled_usd / order.filled_qty if order.filled_qty else None
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": rfc3339(order.submitted_us),
        "updated_at": rfc3339(order.updated_us),
        "submitted_at": rfc3339(order.submitted_us),
        "filled_at": _time(order.filled_us),
        "expired_at": _time(order.expired_us),
        "expires_at": _time(order.expires_us),
        "canceled_at": _time(order.canceled_us),
        "failed_at": None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": asset_id(order.symbol),
        "symbol": order.symbol,
        "asset_class": "us_equity",
        "notional": _amount(request.notional),
        "qty": _amount(request.qty),
        "filled_qty": plain(order.filled_qty),
        "filled_avg_price": None if average is None else plain(_rounded(average, _AVERAGE)),
        "order_class": "",
        "order_type": request.type,
        "type": request.type,
        "side": _side(order),
        "position_intent": order.intent,
        "time_in_force": request.time_in_force,
        "limit_price": None if request.limit is None else plain(usd(request.limit)),
        "stop_price": None,
        "status": order.status,
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }


def fill_json(fill: Fill) -> dict[str, Any]:
    """Return the TradeActivity object of one fill."""
    return {
        "id": fill.id,
        "activity_type": "FILL",
        "transaction_time": rfc3339(fill.at_us),
        "type": "fill" if fill.complete else "partial_fill",
        "price": plain(usd(fill.price)),
        "qty": plain(fill.qty),
        "side": _side(fill.order),
        "symbol": fill.order.symbol,
        "leaves_qty": plain(fill.leaves_qty),
        "order_id": fill.order.id,
        "cum_qty": plain(fill.cum_qty),
        "order_status": "filled" if fill.complete else "partially_filled",
    }


def account_json(engine: Engine) -> dict[str, Any]:
    """Return the Account object, without the day-trading fields that Alpaca removed in 2026."""
    now, closing = engine.balances(), engine.closing
    power = plain(now.buying_power(engine.reserved()))
    cash_power = plain(max(now.equity - now.initial_margin - engine.reserved() / MULTIPLIER, _ZERO))
    flags = ("trading_blocked", "transfers_blocked", "account_blocked", "trade_suspended_by_user")
    nothing = ("accrued_fees", "pending_transfer_in", "pending_transfer_out", "intraday_adjustments")
    return {
        "id": uuid_of("account", engine.account_number),
        "account_number": engine.account_number,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "cash": plain(now.cash),
        "equity": plain(now.equity),
        "portfolio_value": plain(now.equity),
        "last_equity": plain(closing.equity),
        "buying_power": power,
        "regt_buying_power": power,
        "effective_buying_power": power,
        "non_marginable_buying_power": cash_power,
        "options_buying_power": cash_power,
        "long_market_value": plain(now.long_value),
        "short_market_value": plain(now.short_value),
        "position_market_value": plain(now.long_value - now.short_value),
        "initial_margin": plain(now.initial_margin),
        "maintenance_margin": plain(now.maintenance_margin),
        "last_maintenance_margin": plain(closing.maintenance_margin),
        "sma": plain(now.equity),
        "multiplier": str(MULTIPLIER),
        "shorting_enabled": True,
        **dict.fromkeys(flags, False),
        **dict.fromkeys((*nothing, "pending_reg_taf_fees"), "0"),
        "options_approved_level": 0,
        "options_trading_level": 0,
        "balance_asof": engine.market.calendar.all[engine.market.calendar.first - 1].date,
        "created_at": rfc3339(engine.start_us),
    }


def position_json(engine: Engine, held: Position) -> dict[str, Any]:
    """Return the Position object; quantity and value of a short one are negative."""
    price = usd(engine.price(held.symbol))
    last_day = usd(engine.market.previous_close(held.symbol, engine.now_us) or engine.price(held.symbol))
    cost = held.average * held.qty
    gain = price * held.qty - cost
    today = (price - last_day) * held.qty
    sign = 1 if held.qty > 0 else -1
    return {
        "asset_id": asset_id(held.symbol),
        "symbol": held.symbol,
        "exchange": profile(held.symbol).exchange,
        "asset_class": "us_equity",
        "asset_marginable": True,
        "avg_entry_price": plain(_rounded(held.average, _AVERAGE)),
        "qty": plain(held.qty),
        "qty_available": plain((abs(held.qty) - engine.held(held.symbol)) * sign),
        "side": "long" if held.qty > 0 else "short",
        "market_value": plain(price * held.qty),
        "cost_basis": plain(_rounded(cost, _RATIO)),
        "unrealized_pl": plain(_rounded(gain, _RATIO)),
        "unrealized_plpc": plain(_rounded(gain / abs(cost), _RATIO)),
        "unrealized_intraday_pl": plain(_rounded(today, _RATIO)),
        "unrealized_intraday_plpc": plain(_rounded(today / abs(last_day * held.qty), _RATIO)),
        "current_price": plain(price),
        "lastday_price": plain(last_day),
        "change_today": plain(_rounded(price / last_day - 1, _RATIO)),
    }


def asset_json(market: Market, symbol: str) -> dict[str, Any]:
    """Return the Asset object, with both the old and the new word for what can be borrowed."""
    liquid = market.liquid(symbol)
    return {
        "id": asset_id(symbol),
        "class": "us_equity",
        "exchange": profile(symbol).exchange,
        "symbol": symbol,
        "name": f"{symbol} {'Common Stock' if profile(symbol).sector else 'Trust'}",
        "status": "active",
        "tradable": True,
        "marginable": True,
        "maintenance_margin_requirement": 25,
        "margin_requirement_long": "25",
        "margin_requirement_short": "30",
        "shortable": liquid,
        "easy_to_borrow": liquid,
        "borrow_status": "easy_to_borrow" if liquid else "hard_to_borrow",
        "fractionable": liquid,
        "attributes": [],
    }


def calendar_json(session: Session, settles: str) -> dict[str, str]:
    """Return the calendar row of a session, its times in New York."""
    return {
        "date": session.date,
        "open": f"{new_york(session.open_us):%H:%M}",
        "close": f"{new_york(session.close_us):%H:%M}",
        "session_open": "0400",
        "session_close": f"{new_york(session.close_us + 4 * HOUR):%H%M}",
        "settlement_date": settles,
    }


def clock_json(engine: Engine) -> dict[str, Any]:
    """Return the Clock object, its times with New York's offset."""
    calendar, now = engine.market.calendar, engine.now_us
    return {
        "timestamp": new_york(now).isoformat(),
        "is_open": calendar.is_open(now),
        "next_open": new_york(calendar.next_open(now)).isoformat(),
        "next_close": new_york(calendar.next_close(now)).isoformat(),
    }


def _side(order: Order) -> str:
    return "buy" if order.request.side > 0 else "sell"


def _time(us: int | None) -> str | None:
    return None if us is None else rfc3339(us)


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _rounded(value: Decimal, step: Decimal) -> Decimal:
    return value.quantize(step, ROUND_HALF_EVEN)
