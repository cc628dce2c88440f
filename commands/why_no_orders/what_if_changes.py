"""Read what a person wants changed in a what-if: settings, a price, a position that isn't there, another time."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from commands.shared.light_helpers import clean
from commands.shared.setting_args import assignments, values_of
from commands.why_no_orders.reading import known_symbol
from tradebot.app.wiring import App
from tradebot.errors import OperatorError

OPTION = "--what-if"
PRICE, NO_POSITION, AT = "price:", "no position:", "at"
EXAMPLES = (
    "write a setting as --what-if limits.max_open_positions=12; or --what-if price:AAPL=230, "
    "--what-if 'no position:MSFT', --what-if at=10:32"
)
HIGHEST = Decimal(10**9)
Values = Sequence[tuple[tuple[str, ...], object]]


class WhatIfChanges(NamedTuple):
    """What is to be changed: settings by their paths, prices by symbol, symbols that nobody holds, and the time."""

    settings: Values = ()
    prices: tuple[tuple[str, Decimal], ...] = ()
    gone: tuple[str, ...] = ()
    at: str | None = None


def changes_of(app: App, typed: Sequence[str]) -> WhatIfChanges:
    """Return what was typed; raise OperatorError for what can't be read, and for a symbol that nobody looked at."""
    prices, gone, at, settings = dict[str, Decimal](), list[str](), list[str](), list[str]()
    for text in (one.strip() for one in typed):
        if text.startswith(PRICE):
            symbol, price = _priced(app, text)
            if symbol in prices:
                raise OperatorError(f"{OPTION} names two prices of {symbol}", "name one")
            prices[symbol] = price
        elif text.startswith((NO_POSITION, NO_POSITION.replace(" ", "-"))):
            gone.append(_symbol(app, text, text.partition(":")[2]))
        elif text.partition("=")[0].strip() == AT:
            at.append(_time(text))
        elif "=" not in text:
            raise OperatorError(f"{OPTION} {clean(text)[:60]!r} says no change", EXAMPLES)
        else:
            settings.append(text)
    if len(at) > 1:
        raise OperatorError(f"{OPTION} names two times", "name one")
    pairs = [*assignments(settings, OPTION)]
    return WhatIfChanges(values_of(pairs), tuple(prices.items()), tuple(dict.fromkeys(gone)), at[0] if at else None)


def _priced(app: App, text: str) -> tuple[str, Decimal]:
    name, equals, typed = text.removeprefix(PRICE).partition("=")
    try:
        price = Decimal(typed.strip()) if equals else None
    except InvalidOperation:
        price = None
    if price is None or not price.is_finite() or price > HIGHEST:
        raise OperatorError(f"{OPTION} {clean(text)[:60]!r} has no price in USD", f"{OPTION} price:AAPL=230")
    if price <= 0:
        raise OperatorError(f"{OPTION} {clean(text)[:60]!r}: a price must be above zero", f"{OPTION} price:AAPL=230")
    return _symbol(app, text, name), price


def _symbol(app: App, text: str, name: str) -> str:
    if not name.strip():
        raise OperatorError(f"{OPTION} {clean(text)[:60]!r} names no symbol", EXAMPLES)
    return known_symbol(app, name.strip())


def _time(text: str) -> str:
    typed = text.partition("=")[2].strip()
    if not typed:
        raise OperatorError(f"{OPTION} {clean(text)[:60]!r} has no time", f"{OPTION} at=10:32")
    return typed
