"""The dataclasses whose text stands in the ledger's rows."""

import json
from functools import lru_cache
from typing import Any, TypeVar

from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.codec import decode
from tradebot.errors import DamagedBooksError

T = TypeVar("T")
REMEMBERED = 5_000


def decoded(kind: type[T], text: str) -> T:
    """Return a stored dataclass; OperatorError where its text does not fit."""
    try:
        return decode(kind, json.loads(text))
    except ValueError as error:
        raise DamagedBooksError(f"A row of the ledger cannot be read: {error}.", REBUILD) from error


def stored(kind: type[T], text: str) -> T:
    """Return a stored dataclass, parsed once per process as long as not too many others were: values are frozen."""
    whole: Any = kind
    value: T = _remembered(whole, text)
    return value


@lru_cache(maxsize=REMEMBERED)
def _remembered(kind: Any, text: str) -> Any:
    return decoded(kind, text)
