"""Build the account activities for streaming: Alpaca's documented ActivityEventV2 object, with details by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from papervenue.chance import uuid_of
from papervenue.engine.account import Account, Activity
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Amendment, Execution
from papervenue.faces.trading_json import activity_json, asset_id
from papervenue.jsontext import plain
from papervenue.market.actions import CASH_MERGER, DIVIDEND, NAME_CHANGE, SPLITS, Action, cusip_of
from papervenue.times import new_york_date, stamp

_ZERO = Decimal(0)
_SHOWN = ("qty", "price", "net_amount")
_OF_AN_ORDER = ("order_id", "side", "symbol", "leaves_qty", "cum_qty", "order_status")


class Entered(NamedTuple):
    """An activity other than a fill, its corporate action, and the shares held before it.

    `before` is the id of the preceding activity or, for an account's first activity, its own id.
    """

    activity: Activity
    account: Account
    action: Action | None
    held: Decimal
    before: str

    @property
    def symbol(self) -> str:
        return self.activity.symbol or ""


def activity_event_json(engine: Engine, account: Account, index: int, event_id: str) -> dict[str, Any]:
    """Return the event of an account's activity, given the activity's index."""
    activity = account.activities[index]
    at, date = stamp(activity.at_us), new_york_date(activity.at_us)
    event = {
        "at": at,
        "event_id": event_id,
        "executed_at": at,
        "status": "executed",
        "settle_date": date,
        "currency": "USD",
        "ref_id": activity.id.rpartition("::")[2],
    }
    if not isinstance(activity, Activity):
        settles = next((session.date for session in engine.market.calendar.all if session.date > date), date)
        return event | {"settle_date": settles} | _trade(activity)
    fields = activity_json(activity)
    amounts = {name: fields[name] for name in _SHOWN if name in fields}
    subtype = {} if activity.sub_type is None else {"activity_subtype": activity.sub_type}
    held_quantity, before = _held_before(account, activity.symbol, index), account.activities[max(index - 1, 0)].id
    entered = Entered(activity, account, _action_of(engine, activity), held_quantity, before)
    details = {"system_date": date, **_DETAILS.get(activity.kind, _group_id)(entered)}
    return event | {"activity_type": activity.kind} | subtype | amounts | {"details": details}


def _trade(execution: Execution) -> dict[str, Any]:
    order, fields = execution.order, activity_json(execution)
    details = {name: fields[name] for name in _OF_AN_ORDER}
    return {
        "activity_type": "TRD",
        "qty": fields["qty"],
        "price": fields["price"],
        "net_amount": plain(execution.net_amount),
        **({"previous_id": fields["previous_id"]} if isinstance(execution, Amendment) else {}),
        "details": details
        | {
            "client_order_id": order.client_order_id,
            "asset_id": asset_id(order.symbol),
            "cusip": cusip_of(order.symbol),
            "execution_type": fields.get("execution_type", "fill"),
        },
    }


_KINDS = {"DIV": (DIVIDEND,), "SPLIT": SPLITS, "NC": (NAME_CHANGE,), "MA": (CASH_MERGER,)}
"""The corporate actions behind each kind of activity."""


def _action_of(engine: Engine, activity: Activity) -> Action | None:
    """Return the last corporate action that can be behind an activity."""
    kinds, date = _KINDS.get(activity.kind, ()), new_york_date(activity.at_us)
    of = engine.market.actions.of(activity.symbol or "")
    return next((action for action in reversed(of) if action.kind in kinds and action.process_date <= date), None)


def _held_before(account: Account, symbol: str | None, index: int) -> Decimal:
    """Return the shares of a symbol held after all activities before the given one."""
    held_quantity = _ZERO
    for activity in account.activities[:index]:
        if not isinstance(activity, Activity):
            held_quantity += activity.shares if activity.order.symbol == symbol else _ZERO
        elif activity.symbol == symbol and activity.moves_shares:
            held_quantity += activity.qty or _ZERO
    return held_quantity


def _company(entered: Entered) -> dict[str, Any]:
    """Return the fields common to all corporate actions: the date on which holdings counted, and the id."""
    action = entered.action
    if action is None:
        return {"position_date": new_york_date(entered.activity.at_us)}
    return {"position_date": action.ex_date, "ca_id": action.id}


def _dividend(entered: Entered) -> dict[str, Any]:
    activity, action, symbol = entered.activity, entered.action, entered.symbol
    dates = {} if action is None else {"ex_date": action.ex_date, "payable_date": action.payable_date}
    return _company(entered) | {
        "symbol": symbol,
        "cusip": cusip_of(symbol),
        "rate": plain(activity.per_share or _ZERO),
        "entitled_qty": plain(activity.qty or _ZERO),
        "cash_payout": plain(activity.net_amount),
        "foreign": False,
        "special": False,
        **dates,
    }


def _split(entered: Entered) -> dict[str, Any]:
    activity, action, symbol = entered.activity, entered.action, entered.symbol
    rates = (Decimal(1), Decimal(1)) if action is None else (action.old_rate, action.new_rate)
    return _company(entered) | {
        "symbol": symbol,
        "old_cusip": cusip_of(symbol),
        "new_cusip": cusip_of(symbol),
        "old_rate": plain(rates[0]),
        "new_rate": plain(rates[1]),
        "old_qty": plain(entered.held),
        "new_qty": plain(entered.held + (activity.qty or _ZERO)),
    }


def _name_change(entered: Entered) -> dict[str, Any]:
    activity, action, symbol = entered.activity, entered.action, entered.symbol
    old, new = (symbol, symbol) if action is None else (action.symbol, action.new_symbol)
    return _company(entered) | {
        "old_symbol": old,
        "old_cusip": cusip_of(old),
        "new_symbol": new,
        "new_cusip": cusip_of(new),
        "position_qty": plain(activity.qty or _ZERO),
    }


def _merger(entered: Entered) -> dict[str, Any]:
    activity, symbol, date = entered.activity, entered.symbol, new_york_date(entered.activity.at_us)
    return _company(entered) | {
        "acquiree_symbol": symbol,
        "acquiree_cusip": cusip_of(symbol),
        "acquiree_qty": plain(-(activity.qty or _ZERO)),
        "cash_rate": plain(activity.price or _ZERO),
        "cash_payout": plain(activity.net_amount),
        "effective_date": date,
        "payable_date": date,
    }


def _journal(entered: Entered) -> dict[str, Any]:
    symbol = entered.activity.symbol
    return {"journal_id": entered.activity.id.rpartition("::")[2]} | ({} if symbol is None else {"symbol": symbol})


def _fee(entered: Entered) -> dict[str, Any]:
    """Return the transaction that the fee is for: the fill before it if it is a commission, else the fee itself."""
    parent = entered.activity.id if entered.activity.symbol is None else entered.before
    return {"parent_id": parent.rpartition("::")[2]}


def _group_id(entered: Entered) -> dict[str, Any]:
    """Return the id that links the entries made by the end of one option."""
    return {"group_id": uuid_of("group", entered.account.number, entered.activity.at_us)}


_DETAILS: Mapping[str, Callable[[Entered], dict[str, Any]]] = {
    "DIV": _dividend,
    "SPLIT": _split,
    "NC": _name_change,
    "MA": _merger,
    "JNLC": _journal,
    "JNLS": _journal,
    "FEE": _fee,
    # The documentation describes no details of interest.
    "INT": lambda entered: {},
}
