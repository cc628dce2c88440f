"""Handle control commands for corporate actions, option expirations, and journal entries."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.commands.control import NINE_PLACES, account_of, check_fields, parse_signed, positive
from papervenue.engine.account import Account, Activity
from papervenue.engine.engine import Engine
from papervenue.engine.engine_state import enter
from papervenue.jsontext import encode, plain
from papervenue.market.actions import CASH_MERGER, FORWARD_SPLIT, KINDS, NAME_CHANGE, SPLITS, Action
from papervenue.market.actions import before_trading as effect_of
from papervenue.market.bars import usd
from papervenue.market.sessions import Calendar, Session
from papervenue.market.spec import TICKER
from papervenue.refusal import invalid, not_found, unprocessable
from papervenue.shares import actions, options
from papervenue.shares.options import contract_of, last_session, move, underlying, value
from papervenue.times import rfc3339

ACTIONS = "/exchange/v1/actions"
JOURNAL = "/exchange/v1/journal"
OPTION_ENDS = ("option_expiry", "option_exercise", "option_assignment")
_LARGEST_RATIO = 1_000
_FIELDS = {"type", "symbol", "new_symbol", "rate", "new_rate", "old_rate", "date", "payable_date"}


def _announce(command: CommandArguments) -> Answer:
    body, engine = command.body, command.engine
    kind = body.get("type")
    if kind in OPTION_ENDS:
        return _end_option(engine, body, str(kind))
    check_fields(body, _FIELDS)
    if kind not in KINDS:
        raise invalid(f"type is one of {', '.join((*KINDS, *OPTION_ENDS))}")
    session, at_us = _effect(engine, body.get("date"))
    action = _with_terms(
        engine, body, Action(kind, _require_asset(engine, body), session.date, at_us, engine.now_us, session.date)
    )
    engine.market.announce(action)
    actions.schedule(engine, action)
    return 200, encode(actions.action_fields(action) | {"takes_effect_at": rfc3339(at_us)})


def _require_asset(engine: Engine, body: dict[str, Any]) -> str:
    symbol = body.get("symbol")
    if not isinstance(symbol, str) or symbol not in engine.market.known:
        raise unprocessable(f"asset {str(symbol)[:20]!r} not found")
    coming = [a for a in engine.market.actions.of(symbol) if a.at_us > engine.now_us]
    if any(action.kind in (NAME_CHANGE, CASH_MERGER) for action in coming):
        raise unprocessable(f"{symbol} will already be renamed or bought")
    return symbol


def _effect(engine: Engine, day: object) -> tuple[Session, int]:
    """Return the first session that shows an action (by default the next to open), and when the action takes effect."""
    for session in engine.market.calendar.market:
        if day in (None, session.date) and session.open_us - 1 > engine.now_us:
            early_us = effect_of(session)
            return session, early_us if early_us > engine.now_us else session.open_us - 1
    raise unprocessable("date must be a session of this market that has not opened yet")


def _with_terms(engine: Engine, body: dict[str, Any], action: Action) -> Action:
    if action.kind in SPLITS:
        new, old = _ratio(body, action.kind)
        return action._replace(new_rate=new, old_rate=old)
    if action.kind == NAME_CHANGE:
        return action._replace(new_symbol=_new_symbol(engine, body))
    action = action._replace(rate=positive(body, "rate"))
    if action.kind == CASH_MERGER:
        return action
    paid = _payable(engine.market.calendar, action.ex_date, body.get("payable_date"))
    return action._replace(record_date=action.ex_date, payable_date=paid)


def _ratio(body: dict[str, Any], kind: str) -> tuple[Decimal, Decimal]:
    new, old = positive(body, "new_rate"), positive(body, "old_rate")
    if (new > old) != (kind == FORWARD_SPLIT) or new == old:
        raise invalid("new_rate is above old_rate in a forward_split, below it in a reverse_split")
    if max(new / old, old / new) > _LARGEST_RATIO:
        raise invalid(f"a split is at most {_LARGEST_RATIO} for 1")
    return new, old


def _new_symbol(engine: Engine, body: dict[str, Any]) -> str:
    new, market = body.get("new_symbol"), engine.market
    if not isinstance(new, str) or not TICKER.fullmatch(new):
        raise invalid("new_symbol is capital letters, such as META")
    named = {name for action in market.actions for name in (action.symbol, action.new_symbol)}
    if new in market.known | named:
        raise unprocessable(f"{new} is or was the symbol of a company already")
    return new


def _payable(calendar: Calendar, ex_date: str, value: object) -> str:
    """Return the payment day, by default the session after the ex-date."""
    after = [session.date for session in calendar.all if session.date > ex_date]
    if value is None:
        return after[0] if after else ex_date
    if value != ex_date and value not in after:
        raise invalid("payable_date must be a session, the ex-date or later")
    return str(value)


def _end_option(engine: Engine, body: dict[str, Any], kind: str) -> Answer:
    check_fields(body, {"type", "account", "symbol", "qty"})
    account, symbol = account_of(engine, body), str(body.get("symbol"))
    contract, held_quantity = contract_of(symbol), account.qty(symbol)
    if contract is None or not held_quantity:
        raise not_found("position does not exist")
    if (kind == "option_exercise" and held_quantity < 0) or (kind == "option_assignment" and held_quantity > 0):
        raise unprocessable("contracts are exercised by who holds them, and assigned to who is short of them")
    qty = abs(held_quantity) if body.get("qty") is None else _whole(positive(body, "qty"))
    if qty > abs(held_quantity):
        raise unprocessable(f"qty must be at most {plain(abs(held_quantity))}")
    if kind != "option_expiry" and underlying(engine.market, contract) is None:
        raise unprocessable("the underlying is not listed")
    end = options.expire if kind == "option_expiry" else options.exercise
    end(engine, account, symbol, qty.copy_sign(held_quantity))
    return 200, encode({"type": kind, "symbol": symbol, "qty": plain(qty), "cash": plain(account.cash)})


def _journal(command: CommandArguments) -> Answer:
    body, engine = command.body, command.engine
    check_fields(body, {"account", "symbol", "qty", "price", "amount"})
    account = account_of(engine, body)
    if "amount" in body:
        amount = parse_signed(body, "amount", Decimal("0.01"))
        enter(engine, account, Activity("JNLC", None, None, "cash journal", net_amount=amount))
    else:
        _journal_shares(engine, account, body)
    return 200, encode({"account_number": account.number, "cash": plain(account.cash)})


def _journal_shares(engine: Engine, account: Account, body: dict[str, Any]) -> None:
    symbol, qty = body.get("symbol"), parse_signed(body, "qty", NINE_PLACES)
    worth = value(engine.market, symbol, engine.now_us) if isinstance(symbol, str) else None
    contract = contract_of(symbol) if isinstance(symbol, str) else None
    if not isinstance(symbol, str) or worth is None or (contract is None and symbol not in engine.market.known):
        raise unprocessable(f"asset {str(symbol)[:24]!r} not found")
    price = usd(worth) if body.get("price") is None else positive(body, "price")
    if contract is not None:
        _whole(qty)
        if last_session(engine.market.calendar, contract).close_us <= engine.now_us:
            raise unprocessable("the contract has expired")
    move(engine, account, Activity("JNLS", None, symbol, "stock journal", qty, price))
    if contract is not None:
        options.schedule_expiry(engine, account, symbol, contract)


def _whole(qty: Decimal) -> Decimal:
    if qty != qty.to_integral_value():
        raise invalid("contracts are whole")
    return qty


ENTRIES = (
    Entry("POST", ACTIONS, _announce),
    Entry("POST", JOURNAL, _journal),
)
