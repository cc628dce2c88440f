"""Change what the owner of an account may change: its configuration and its watchlists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from papervenue.chance import uuid_of
from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.engine.account import Account, Watchlist
from papervenue.faces.trading.assets import watchlist_of
from papervenue.faces.trading_json import configuration_json, watchlist_json
from papervenue.jsontext import encode, to_decimal
from papervenue.refusal import invalid, not_found, unprocessable

_FLAGS = (
    *("fractional_trading", "no_shorting", "suspend_trade"),
    *("ptp_no_exception_entry", "disable_overnight_trading"),
)
_MULTIPLIER = "max_margin_multiplier"
_ALLOWED: Mapping[str, tuple[object, ...]] = dict.fromkeys(_FLAGS, (True, False)) | {
    _MULTIPLIER: (1, 2, 4),
    "max_options_trading_level": (0, 1, 2, 3),
    "trade_confirm_email": ("all", "none"),
}
_CHECKS = (None, "both", "entry", "exit")
_LONGEST_NAME = 64
_MOST_LISTS = 200
_MOST_SYMBOLS = 500


def _change(command: CommandArguments) -> Answer:
    """Set the fields that are given and not null; if one is invalid, set none."""
    settings, body = command.account.configuration, command.body
    changes = {name: _read(name, body[name]) for name in _ALLOWED if body.get(name) is not None}
    # Alpaca removed the day-trading checks; clients that still send them must not fail.
    if any(body.get(name) not in _CHECKS for name in ("dtbp_check", "pdt_check")):
        raise invalid("invalid day-trading check")
    for name, value in changes.items():
        setattr(settings, name, value)
    return 200, encode(configuration_json(settings))


def _read(name: str, value: object) -> object:
    """Return the allowed value that equals this one; only a multiplier may be text, and True isn't 1."""
    parsed = to_decimal(value) if name == _MULTIPLIER else value
    for allowed in _ALLOWED[name]:
        if parsed == allowed and isinstance(parsed, bool) == isinstance(allowed, bool):
            return allowed
    raise invalid(f"invalid {name}")


def _requested_watchlist(command: CommandArguments) -> Watchlist:
    return watchlist_of(command.account, command.names, command.query)


def _create(command: CommandArguments) -> Answer:
    account, body, now = command.account, command.body, command.engine.now_us
    name, symbols = _new_name(account, body), _symbols(command, body.get("symbols"))
    if len(account.watchlists) >= _MOST_LISTS:
        raise unprocessable(f"there are {_MOST_LISTS} watchlists, which is the most")
    listed = Watchlist(uuid_of(account.number, "watchlist", name, now), name, symbols, now, now)
    account.watchlists[listed.id] = listed
    return _watchlist_answer(command, listed)


def _update(command: CommandArguments) -> Answer:
    """Change a watchlist's name, symbols or both; absent fields stay as they are."""
    listed, body = _requested_watchlist(command), command.body
    name = listed.name if body.get("name") in (None, listed.name) else _new_name(command.account, body)
    symbols = listed.symbols if body.get("symbols") is None else _symbols(command, body["symbols"])
    listed.name, listed.symbols = name, symbols
    return _touch_and_answer(command, listed)


def _append(command: CommandArguments) -> Answer:
    listed = _requested_watchlist(command)
    listed.symbols = _distinct([*listed.symbols, _symbol(command, command.body.get("symbol"))])
    return _touch_and_answer(command, listed)


def _remove(command: CommandArguments) -> Answer:
    listed, symbol = _requested_watchlist(command), command.names["symbol"]
    if symbol not in listed.symbols:
        raise not_found(f"symbol not found in watchlist: {symbol[:40]}")
    listed.symbols = [other for other in listed.symbols if other != symbol]
    return _touch_and_answer(command, listed)


def _delete(command: CommandArguments) -> Answer:
    del command.account.watchlists[_requested_watchlist(command).id]
    return 204, b""


def _touch_and_answer(command: CommandArguments, listed: Watchlist) -> Answer:
    listed.updated_us = command.engine.now_us
    return _watchlist_answer(command, listed)


def _watchlist_answer(command: CommandArguments, listed: Watchlist) -> Answer:
    return 200, encode(watchlist_json(command.engine.market, command.account, listed))


def _new_name(account: Account, body: dict[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise invalid("name is required")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise invalid(f"name must be no more than {_LONGEST_NAME} printable characters")
    if any(listed.name == name for listed in account.watchlists.values()):
        raise invalid("watchlist name must be unique")
    return name


def _symbols(command: CommandArguments, value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > _MOST_SYMBOLS:
        raise invalid("invalid symbols")
    return _distinct([_symbol(command, name) for name in value if name is not None])


def _symbol(command: CommandArguments, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise invalid("symbol is required")
    if name not in command.engine.market.known:
        raise unprocessable(f'asset "{name[:40]}" not found')
    return name


def _distinct(symbols: list[str]) -> list[str]:
    if len(set(symbols)) != len(symbols):
        raise invalid("duplicate symbol")
    return symbols


_ONE, _NAMED = "/v2/watchlists/{watchlist_id}", "/v2/watchlists:by_name"
ENTRIES = (
    Entry("PATCH", "/v2/account/configurations", _change),
    Entry("POST", "/v2/watchlists", _create),
    *(Entry("PUT", path, _update) for path in (_ONE, _NAMED)),
    *(Entry("POST", path, _append) for path in (_ONE, _NAMED)),
    *(Entry("DELETE", path, _delete) for path in (_ONE, _NAMED)),
    Entry("DELETE", _ONE + "/{symbol}", _remove),
)
