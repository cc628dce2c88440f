"""Read query parameters in one way; each API supplies the form of its refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tradebot.exchange.refusal import Refusal
from tradebot.exchange.times import parse_time

Refuse = Callable[[str], Refusal]
_TRUE = ("true", "1", "t")
_FALSE = ("false", "0", "f")


class Params:
    """The query of one request: an absent or empty parameter has its default, an invalid one is refused."""

    def __init__(self, query: Mapping[str, str], refuse: Refuse) -> None:
        self._query = query
        self._refuse = refuse

    def refused(self, name: str) -> Refusal:
        return self._refuse(name)

    def text(self, name: str, default: str = "") -> str:
        return self._query.get(name) or default

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed words, ignoring case; the first is the default."""
        value = self.text(name, allowed[0]).lower()
        if value not in allowed:
            raise self._refuse(name)
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean, in Python's or JSON's spelling."""
        value = self.text(name).lower()
        if not value:
            return default
        if value not in _TRUE + _FALSE:
            raise self._refuse(name)
        return value in _TRUE

    def count(self, name: str, default: int, largest: int, smallest: int = 1) -> int:
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise self._refuse(name)
        number = int(text)
        if not smallest <= number <= largest:
            raise self._refuse(name)
        return number

    def moment(self, name: str) -> int | None:
        """Return an ISO time or date as engine time, or None if absent."""
        text = self.text(name)
        if not text:
            return None
        try:
            return parse_time(text)
        except (ValueError, OverflowError) as error:
            raise self._refuse(name) from error

    def words(self, name: str) -> list[str]:
        """Return a comma-separated list; empty if absent."""
        return [word for word in self.text(name).split(",") if word]
