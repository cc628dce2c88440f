"""Control the exchange's time and accounts."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from papervenue.clock import latency_name, read_latency
from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.events import Event
from papervenue.jsontext import encode, plain, to_decimal
from papervenue.refusal import invalid, malformed_request, not_found, unprocessable
from papervenue.times import DAY, SECOND, parse_time, rfc3339

MAIN = "main"
MAIN_KEY = "sandbox"
"""The name of the account that always exists, and also its key and secret. Bots on the same machine rely on it."""
MOST_ACCOUNTS = 100
TICK, ACCOUNTS, RESET = "/exchange/v1/tick", "/exchange/v1/accounts", "/exchange/v1/reset"
LATENCY = "/exchange/v1/latency"
NINE_PLACES = Decimal("1e-9")
_LARGEST = Decimal(10) ** 9
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_TAKEN = (MAIN, MAIN_KEY)
_MOST_CASH = Decimal(10) ** 12
_LONGEST_TICK_S = 10_000 * DAY // SECOND


class ControlCommands:
    """Handlers of the control commands; `current_state` renders the response to a tick.

    `cash` is the main account's starting cash in USD. After a reset, an account starts with the same cash as before.
    """

    def __init__(self, current_state: Callable[[], dict[str, Any]], cash: Decimal) -> None:
        self._current_state = current_state
        self._cash = {MAIN: cash}

    def entries(self) -> list[Entry]:
        return [
            Entry("POST", TICK, self._tick),
            Entry("POST", ACCOUNTS, self._open),
            Entry("POST", RESET, self._reset),
            Entry("POST", LATENCY, _set_latency),
        ]

    def began_with(self, name: str) -> Decimal:
        """Return the cash in USD with which the account of this name last started."""
        return self._cash[name]

    def _tick(self, command: CommandArguments) -> Answer:
        command.engine.tick(_tick_target(command.engine, command.body))
        return 200, encode(self._current_state())

    def _open(self, command: CommandArguments) -> Answer:
        body = command.body
        check_fields(body, {"name", "cash"})
        name = body.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise invalid("an account's name is a small letter, then at most 31 small letters, digits, _ or -")
        if name in _TAKEN or find(command.engine, name):
            raise unprocessable(f"there is an account {name}")
        if len(command.engine.accounts) >= MOST_ACCOUNTS:
            raise unprocessable(f"there are {MOST_ACCOUNTS} accounts, which is the most")
        cash = self._cash[name] = _cash(body.get("cash"), self._cash[MAIN])
        return 200, encode(account_summary(command.engine, command.engine.open_account(name, name, name, cash)))

    def _reset(self, command: CommandArguments) -> Answer:
        body = command.body
        check_fields(body, {"account", "cash"})
        name = body.get("account", MAIN)
        account = find(command.engine, name)
        if account is None:
            raise not_found(f"there is no account {str(name)[:40]!r}")
        before = account_summary(command.engine, account)
        cash = self._cash[account.name] = _cash(body.get("cash"), self._cash[account.name])
        fresh = command.engine.reset_account(account, cash)
        return 200, encode(account_summary(command.engine, fresh) | {"gone": before})


def _set_latency(command: CommandArguments) -> Answer:
    """Set how long cancels and replacements take; those already in transit aren't affected."""
    check_fields(command.body, {"latency"})
    try:
        latency_us = read_latency(str(command.body.get("latency")))
    except ValueError as error:
        raise invalid(str(error)) from error
    engine, name = command.engine, latency_name(latency_us)
    engine.latency_us = latency_us
    engine.emit(Event(engine.now_us, "latency_set", {"latency": name}))
    return 200, encode({"latency": name})


def find(engine: Engine, name: object) -> Account | None:
    return next((account for account in engine.accounts.values() if account.name == name), None)


def account_of(engine: Engine, body: dict[str, Any]) -> Account:
    """Return the account that the body names by name or number, or the main account if it names none.

    Raises a 404 Refusal for an unknown account.
    """
    name = body.get("account", MAIN)
    account = find(engine, name) or (engine.accounts.get(name) if isinstance(name, str) else None)
    if account is None:
        raise not_found(f"there is no account {str(name)[:40]!r}")
    return account


def parse_signed(body: dict[str, Any], name: str, step: Decimal) -> Decimal:
    """Read a nonzero number that is a multiple of a step; raise a 422 Refusal otherwise."""
    number = to_decimal(body.get(name))
    if number is None or not number or abs(number) > _LARGEST or number != number.quantize(step):
        raise invalid(f"{name} must be a number other than 0, in steps of {plain(step)}")
    return number


def positive(body: dict[str, Any], name: str) -> Decimal:
    """Read a number above 0; raise a 422 Refusal otherwise."""
    number = parse_signed(body, name, NINE_PLACES)
    if number < 0:
        raise invalid(f"{name} must be > 0")
    return number


def account_summary(engine: Engine, account: Account) -> dict[str, Any]:
    """Return an account as the control API shows it; amounts in USD."""
    return {
        "name": account.name,
        "account_number": account.number,
        "key": account.key_id,
        "secret": account.secret,
        "cash": plain(account.cash),
        "equity": plain(engine.worth(account).equity),
        "positions": len(account.positions),
        "open_orders": len(account.open),
        "orders": len(account.orders),
    }


def check_fields(body: dict[str, Any], names: set[str]) -> None:
    unknown = sorted(set(body) - names)
    if unknown:
        raise malformed_request(f"there is no field {unknown[0][:40]!r} here; there are {', '.join(sorted(names))}")


def _cash(value: object, default: Decimal) -> Decimal:
    if value is None:
        return default
    cash = to_decimal(value)
    if cash is None or not 0 < cash <= _MOST_CASH or cash != cash.quantize(Decimal("0.01")):
        raise invalid(f"cash must be above 0 and at most {_MOST_CASH}, in whole cents")
    return cash


def _tick_target(engine: Engine, body: dict[str, Any]) -> int:
    if set(body) == {"seconds"}:
        return _after(engine, body["seconds"])
    if set(body) == {"to"} and isinstance(body["to"], str):
        return _moment(engine, body["to"])
    raise malformed_request('a tick is {"seconds": n} or {"to": "<ISO time>|open|close|next_open"}')


def _after(engine: Engine, value: object) -> int:
    seconds = to_decimal(value)
    if seconds is None or not 0 <= seconds <= _LONGEST_TICK_S:
        raise malformed_request(f"seconds must be a number from 0 to {_LONGEST_TICK_S}")
    return _limit_tick(engine, engine.now_us + int(seconds * SECOND))


def _limit_tick(engine: Engine, to_us: int) -> int:
    """Limit a tick to the last close; only a request for an exact moment goes beyond it."""
    return min(to_us, max(engine.now_us, engine.market.calendar.last_close_us))


def _moment(engine: Engine, text: str) -> int:
    calendar, now = engine.market.calendar, engine.now_us
    if text == "open":
        return now if calendar.is_open(now) else _limit_tick(engine, calendar.next_open(now))
    if text == "next_open":
        return _limit_tick(engine, calendar.next_open(now))
    if text == "close":
        return _limit_tick(engine, calendar.next_close(now))
    return _instant(engine, text)


def _instant(engine: Engine, text: str) -> int:
    try:
        to_us = parse_time(text)
    except (ValueError, OverflowError) as error:
        raise malformed_request(f"not an ISO time: {text[:40]!r}") from error
    if to_us < engine.now_us:
        raise malformed_request(f"time never runs backwards: it is {rfc3339(engine.now_us)}")
    horizon = engine.market.calendar.horizon_us
    if to_us > horizon:
        raise malformed_request(f"the market ends: time can go to {rfc3339(horizon)} at the latest")
    return to_us
