"""Change the configuration of an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from tradebot.exchange.commands.command import Answer, Asked, Entry
from tradebot.exchange.faces.trading_json import configuration_json
from tradebot.exchange.jsontext import encode, to_decimal
from tradebot.exchange.refusal import invalid

_MULTIPLIERS = (1, 2, 4)
_OPTION_LEVELS = (0, 1, 2, 3)
_CHECKS = ("both", "entry", "exit")


def _change(asked: Asked) -> Answer:
    """Set the fields that are given and not null; if one is invalid, set none."""
    settings, body = asked.account.configuration, asked.body
    changes = {name: read(body[name]) for name, read in _READERS.items() if body.get(name) is not None}
    # Alpaca removed the day-trading checks; clients that still send them must not fail.
    _refuse_unless(all(body.get(name) in (None, *_CHECKS) for name in ("dtbp_check", "pdt_check")), "day-trading check")
    for name, value in changes.items():
        setattr(settings, name, value)
    return 200, encode(configuration_json(settings))


def _refuse_unless(valid: bool, what: str) -> None:
    if not valid:
        raise invalid(f"invalid {what}")


def _flag(name: str) -> Callable[[object], bool]:
    def read(value: object) -> bool:
        _refuse_unless(isinstance(value, bool), name)
        return bool(value)

    return read


def _multiplier(value: object) -> int:
    number = to_decimal(value)
    _refuse_unless(number in _MULTIPLIERS, "max_margin_multiplier")
    return int(number or 0)


def _option_level(value: object) -> int:
    level = next((level for level in _OPTION_LEVELS if isinstance(value, Decimal) and value == level), None)
    _refuse_unless(level is not None, "max_options_trading_level")
    return level or 0


def _email(value: object) -> str:
    _refuse_unless(value in ("all", "none"), "trade_confirm_email")
    return str(value)


_FLAGS = (
    *("fractional_trading", "no_shorting", "suspend_trade"),
    *("ptp_no_exception_entry", "disable_overnight_trading"),
)
_READERS: Mapping[str, Callable[[object], Any]] = {name: _flag(name) for name in _FLAGS} | {
    "max_margin_multiplier": _multiplier,
    "max_options_trading_level": _option_level,
    "trade_confirm_email": _email,
}


ENTRIES = (Entry("PATCH", "/v2/account/configurations", _change),)
