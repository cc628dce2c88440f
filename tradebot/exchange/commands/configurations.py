"""Change the configuration of an account."""

from __future__ import annotations

from collections.abc import Mapping

from tradebot.exchange.commands.command import Answer, Asked, Entry
from tradebot.exchange.faces.trading_json import configuration_json
from tradebot.exchange.jsontext import encode, to_decimal
from tradebot.exchange.refusal import invalid

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


def _change(asked: Asked) -> Answer:
    """Set the fields that are given and not null; if one is invalid, set none."""
    settings, body = asked.account.configuration, asked.body
    changes = {name: _read(name, body[name]) for name in _ALLOWED if body.get(name) is not None}
    # Alpaca removed the day-trading checks; clients that still send them must not fail.
    if any(body.get(name) not in _CHECKS for name in ("dtbp_check", "pdt_check")):
        raise invalid("invalid day-trading check")
    for name, value in changes.items():
        setattr(settings, name, value)
    return 200, encode(configuration_json(settings))


def _read(name: str, value: object) -> object:
    """Return the allowed value that a value equals; only a multiplier may be written as text, and 1 isn't true."""
    given = to_decimal(value) if name == _MULTIPLIER else value
    for allowed in _ALLOWED[name]:
        if given == allowed and isinstance(given, bool) == isinstance(allowed, bool):
            return allowed
    raise invalid(f"invalid {name}")


ENTRIES = (Entry("PATCH", "/v2/account/configurations", _change),)
