"""Dataclasses that the ledger stores as JSON text, and names that a query is given as such a text."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.canonical import parse_time
from tradebot.adapters.text.codec import decode
from tradebot.errors import DamagedBooksError
from tradebot.model.candidate import Component, ScaleOutLevel, Side
from tradebot.model.instrument import ONE
from tradebot.model.order import Fee, Fill
from tradebot.model.position import Kept, Origin, OwnedFill
from tradebot.model.values import replace

T = TypeVar("T")
CACHED_VALUES = 5_000
_SIDES, _ORIGINS = {side.value: side for side in Side}, {origin.value: origin for origin in Origin}
_parse = json.JSONDecoder().raw_decode
_number = lru_cache(maxsize=1_000)(Decimal)


def decode_as(kind: type[T], text: str) -> T:
    """Return a stored dataclass; raise DamagedBooksError if its text doesn't fit."""
    try:
        return decode(kind, json.loads(text))
    except ValueError as error:
        raise DamagedBooksError(f"A row of the ledger can't be read: {error}.", REBUILD) from error


def decode_cached(kind: type[T], text: str) -> T:
    """Return a stored dataclass from a cache: the values are frozen, so each text is parsed only once."""
    hashable: Any = kind
    value: T = _cached(hashable, text)
    return value


def forget() -> None:
    """Empty the cache of `stored`."""
    _cached.cache_clear()


@lru_cache(maxsize=CACHED_VALUES)
def _cached(kind: Any, text: str) -> Any:
    return decode_as(kind, text)


def owned_fill(body: str, origin: str, about: str) -> OwnedFill:
    """Return a fill from its journaled text, with the origin and purpose of its row."""
    owned = decode_cached(OwnedFill, body)
    same = (owned.origin, owned.about) == (origin, about)
    return owned if same else replace(owned, origin=Origin(origin), about=about)


def parse_json(text: str) -> Any:
    """Return what a text of JSON says, faster than `json.loads`; raise ValueError if there is anything around it."""
    found, end = _parse(text)
    if end != len(text):
        raise ValueError(f"there is more than JSON after {end} characters")
    return found


def proven_fill(body: str, origin: str, about: str) -> OwnedFill:
    """Return a fill from a text that its row's sum proves as written, in a third of the time of `owned_fill`.

    A sum leaves nothing to check but the form, which an earlier version may have written otherwise.
    """
    try:
        raw = parse_json(body)
        fill = raw["fill"]
        return OwnedFill(
            sys.intern(raw["strategy"]),
            Fill(
                fill["activity_id"],
                fill["venue_order_id"],
                sys.intern(fill["symbol"]),
                _SIDES[fill["side"]],
                _number(fill["quantity"]),
                _number(fill["price"]),
                parse_time(fill["at"]),
                _number(fill["multiplier"]) if "multiplier" in fill else ONE,
                _fee(fill["fee"]) if "fee" in fill else None,
                fill.get("liquidation") is True,
                fill.get("settlement") is True,
            ),
            _ORIGINS[origin],
            about,
        )
    except (ValueError, KeyError, TypeError, ArithmeticError):
        # The codec finds out what is wrong, and names it.
        return owned_fill(body, origin, about)


def _fee(raw: Mapping[str, str | None]) -> Fee:
    amount, currency = raw["amount"], raw["currency"]
    if currency is None:
        raise ValueError("a fee has a currency")
    return Fee(None if amount is None else _number(amount), sys.intern(currency))


def kept_of(
    stop: str | None,
    target: str | None,
    score: float | None,
    components: Iterable[Any] | None,
    targets: Iterable[Any] | None,
    atr: str | None,
    invalid: str | None,
) -> Kept:
    """Return what an intent says of the position that it opened; one of an earlier version says less."""
    return Kept(
        stop_loss_fraction=None if stop is None else Decimal(stop),
        profit_target_fraction=None if target is None else Decimal(target),
        entry_score=score,
        components=tuple(decode(Component, one) for one in components or ()),
        targets=tuple(decode(ScaleOutLevel, one) for one in targets or ()),
        atr_fraction=None if atr is None else Decimal(atr),
        invalid_fraction=None if invalid is None else Decimal(invalid),
    )


def names(found: Collection[str]) -> str:
    """Return names as one parameter of a query, which reads them with `json_each`."""
    return json.dumps(list(found))
