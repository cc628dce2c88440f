"""Build the JSON objects of Alpaca's trading API: decimals as strings, every documented key always present."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any

from papervenue.chance import uuid_of
from papervenue.engine.account import Account, Activity, Configuration, Position, Watchlist
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Amendment, Execution, Order, OrderRequest
from papervenue.jsontext import plain
from papervenue.market.bars import Market, usd
from papervenue.market.profiles import profile
from papervenue.market.sessions import Session
from papervenue.shares.options import contract_of, shares_of
from papervenue.shares.options import value as option_value
from papervenue.times import nanoseconds, new_york, new_york_date, rfc3339, stamp

_RATIO = Decimal("1e-9")
_ZERO = Decimal(0)
_AVERAGE = Decimal("1e-6")


@lru_cache(maxsize=20_000)
def asset_id(symbol: str) -> str:
    return uuid_of("asset", symbol)


def asset_class(symbol: str) -> str:
    """Return a symbol's asset class; here, options can be booked as positions but not traded."""
    return "us_equity" if contract_of(symbol) is None else "us_option"


def account_id(account: Account) -> str:
    return uuid_of("account", account.number)


def order_json(order: Order, legs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the Order object, with `legs` as the Order objects of its legs."""
    request = order.request
    average = order.filled_usd / order.filled_qty if order.filled_qty else None
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": stamp(order.created_us),
        "updated_at": stamp(order.updated_us),
        "submitted_at": stamp(order.submitted_us),
        "filled_at": _time(order.filled_us),
        "expired_at": _time(order.expired_us),
        "expires_at": stamp(order.expires_us),
        "canceled_at": _time(order.canceled_us),
        "failed_at": _time(order.failed_us),
        "replaced_at": _time(order.replaced_us),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": asset_id(order.symbol),
        "symbol": order.symbol,
        "asset_class": asset_class(order.symbol),
        "notional": _amount(request.notional),
        "qty": _amount(order.qty),
        "filled_qty": plain(order.filled_qty),
        "filled_avg_price": None if average is None else plain(_round_to_step(average, _AVERAGE)),
        "order_class": "" if order.order_class == "simple" else order.order_class,
        "order_type": request.type,
        "type": request.type,
        "side": _side(request),
        "position_intent": order.intent,
        "time_in_force": request.time_in_force,
        "limit_price": _price(request.limit),
        "stop_price": _price(order.stop),
        "status": "held" if order.shown_held and order.status == "new" else order.status,
        "extended_hours": request.extended_hours,
        "legs": legs,
        "trail_percent": _amount(request.trail_percent),
        "trail_price": _price(request.trail_price),
        "hwm": _price(order.hwm),
        "subtag": None,
        "source": None,
    }


def legs_json(order: Order) -> list[dict[str, Any]] | None:
    return [order_json(leg) for leg in order.legs] or None


def activity_json(activity: Execution | Activity) -> dict[str, Any]:
    """Return the TradeActivity object of an execution, or the NonTradeActivity object of anything else."""
    return _non_trade_json(activity) if isinstance(activity, Activity) else execution_json(activity)


def execution_json(execution: Execution) -> dict[str, Any]:
    """Return the TradeActivity object of one fill, or the row of a busted or corrected execution.

    Alpaca documents `execution_type` and `previous_id` only for its stream of activities. `type` has the same word as
    `execution_type`, so that clients that sum up fills don't count such a row as a fill.
    """
    amended = {"execution_type": execution.word, "previous_id": execution.previous_id}
    return {
        "id": execution.id,
        "activity_type": "FILL",
        "transaction_time": rfc3339(execution.at_us),
        "type": execution.word,
        **(amended if isinstance(execution, Amendment) else {}),
        "price": plain(usd(execution.price)),
        "qty": plain(execution.qty),
        "side": _side(execution.order.request),
        "symbol": execution.order.symbol,
        "leaves_qty": plain(execution.leaves_qty),
        "order_id": execution.order.id,
        "cum_qty": plain(execution.cum_qty),
        "order_status": execution.order_status,
    }


def _non_trade_json(activity: Activity) -> dict[str, Any]:
    body = {
        "symbol": activity.symbol,
        "qty": _amount(activity.qty),
        "price": _amount(activity.price),
        "per_share_amount": _amount(activity.per_share),
        "activity_sub_type": activity.sub_type,
    }
    return {
        "id": activity.id,
        "activity_type": activity.kind,
        "date": new_york_date(activity.at_us),
        "created_at": rfc3339(activity.at_us),
        "net_amount": plain(_round_to_step(activity.net_amount, _RATIO)),
        "description": activity.description,
        "status": "executed",
        "currency": "USD",
        **{name: value for name, value in body.items() if value is not None},
    }


def account_json(engine: Engine, account: Account) -> dict[str, Any]:
    """Return the Account object; it lacks the day-trading fields, which Alpaca removed in 2026."""
    now, closing, settings = engine.balances(account), account.closing, account.configuration
    power = plain(engine.buying_power(account))
    cash_power = plain(now.buying_power(account.reserved, 1))
    nothing = ("accrued_fees", "pending_transfer_in", "pending_transfer_out", "intraday_adjustments")
    return {
        "id": account_id(account),
        "account_number": account.number,
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
        "multiplier": str(settings.multiplier),
        "shorting_enabled": settings.multiplier > 1 and not settings.no_shorting,
        "trade_suspended_by_user": settings.suspend_trade,
        **dict.fromkeys(("trading_blocked", "transfers_blocked", "account_blocked"), False),
        **dict.fromkeys((*nothing, "pending_reg_taf_fees"), "0"),
        "options_approved_level": 0,
        "options_trading_level": 0,
        "balance_asof": engine.market.calendar.before(engine.now_us).date,
        "created_at": rfc3339(account.created_us),
    }


def configuration_json(settings: Configuration) -> dict[str, Any]:
    """Return the AccountConfigurations object; it lacks the day-trading checks, which Alpaca removed in 2026.

    It includes a level for options only if one was set.
    """
    level = settings.max_options_trading_level
    return {
        "disable_overnight_trading": settings.disable_overnight_trading,
        "fractional_trading": settings.fractional_trading,
        "max_margin_multiplier": str(settings.max_margin_multiplier),
        **({} if level is None else {"max_options_trading_level": level}),
        "no_shorting": settings.no_shorting,
        "ptp_no_exception_entry": settings.ptp_no_exception_entry,
        "suspend_trade": settings.suspend_trade,
        "trade_confirm_email": settings.trade_confirm_email,
    }


def position_json(engine: Engine, account: Account, position: Position) -> dict[str, Any]:
    """Return the Position object; a short position has a negative quantity and value.

    The day's gain is measured from the last close for shares that were owned then, and from the average price for
    shares added since.
    """
    price, last_day = usd(engine.price(position.symbol)), _last_day_price(engine, position.symbol)
    shares, taken = (
        position.qty * shares_of(position.symbol),
        account.claimed_shares(position.symbol) + account.kept_back(position.symbol),
    )
    cost, value = position.average * shares, price * shares
    before = cost + (last_day - position.average) * position.overnight * shares_of(position.symbol)
    sign = 1 if position.qty > 0 else -1
    option = asset_class(position.symbol) == "us_option"
    return {
        "asset_id": asset_id(position.symbol),
        "symbol": position.symbol,
        "exchange": "" if option else profile(position.symbol).exchange,
        "asset_class": asset_class(position.symbol),
        "asset_marginable": not option,
        "avg_entry_price": plain(_round_to_step(position.average, _AVERAGE)),
        "qty": plain(position.qty),
        "qty_available": plain(max(abs(position.qty) - taken, _ZERO) * sign),
        "side": "long" if position.qty > 0 else "short",
        "market_value": plain(value),
        "cost_basis": plain(_round_to_step(cost, _RATIO)),
        "unrealized_pl": plain(_round_to_step(value - cost, _RATIO)),
        "unrealized_plpc": _ratio(value - cost, abs(cost)),
        "unrealized_intraday_pl": plain(_round_to_step(value - before, _RATIO)),
        "unrealized_intraday_plpc": _ratio(value - before, abs(before)),
        "current_price": plain(price),
        "lastday_price": plain(last_day),
        "change_today": _ratio(price - last_day, last_day),
    }


def _last_day_price(engine: Engine, symbol: str) -> Decimal:
    """Return the price at the last session's close; if it wasn't known then, return the current price."""
    if contract_of(symbol) is None:
        return usd(engine.market.last_close(symbol, engine.now_us) or engine.price(symbol))
    return usd(
        option_value(engine.market, symbol, engine.market.calendar.before(engine.now_us).close_us)
        or engine.price(symbol)
    )


def listed_json(account: Account, listed: Watchlist) -> dict[str, Any]:
    """Return the Watchlist object without its assets, as in the list of all watchlists."""
    return {
        "id": listed.id,
        "account_id": account_id(account),
        "created_at": rfc3339(listed.created_us),
        "updated_at": rfc3339(listed.updated_us),
        "name": listed.name,
    }


def watchlist_json(market: Market, account: Account, listed: Watchlist) -> dict[str, Any]:
    """Return the Watchlist object with its assets, leaving out symbols that are no longer known."""
    assets = [asset_json(market, symbol) for symbol in listed.symbols if symbol in market.known]
    return listed_json(account, listed) | {"assets": assets}


def asset_json(market: Market, symbol: str) -> dict[str, Any]:
    """Return the Asset object, with both the old and the new field about borrowing."""
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


@lru_cache(maxsize=20_000)
def calendar_json(session: Session, settles: str) -> dict[str, str]:
    return {
        "date": session.date,
        "open": f"{new_york(session.open_us):%H:%M}",
        "close": f"{new_york(session.close_us):%H:%M}",
        "session_open": f"{new_york(session.pre_us):%H%M}",
        "session_close": f"{new_york(session.post_us):%H%M}",
        "settlement_date": settles,
    }


def clock_json(engine: Engine) -> dict[str, Any]:
    """Return the Clock object with New York's UTC offset; the current time is shown to the nanosecond."""
    calendar, now = engine.market.calendar, engine.now_us
    return {
        "timestamp": nanoseconds(new_york(now)),
        "is_open": calendar.is_open(now),
        "next_open": new_york(calendar.next_open(now)).isoformat(),
        "next_close": new_york(calendar.next_close(now)).isoformat(),
    }


def _side(request: OrderRequest) -> str:
    return "buy" if request.side > 0 else "sell"


def _time(us: int | None) -> str | None:
    return None if us is None else stamp(us)


def _price(units: int | None) -> str | None:
    return None if units is None else plain(usd(units))


def _ratio(part: Decimal, whole: Decimal) -> str:
    """Format a fraction; a fraction of zero is 0, as for shares that were received for free."""
    return plain(_round_to_step(part / whole, _RATIO)) if whole else "0"


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _round_to_step(value: Decimal, step: Decimal) -> Decimal:
    return value.quantize(step, ROUND_HALF_EVEN)
