"""Read query parameters in a uniform way; each API says how it refuses one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from papervenue.refusal import Refusal
from papervenue.times import iso_date, parse_time

T = TypeVar("T")
_TRUE = ("true", "1", "t")
_FALSE = ("false", "0", "f")


class Params:
    """The query of one request: an absent or empty parameter gets its default, an invalid one is refused."""

    def __init__(self, query: Mapping[str, str], refused: Callable[[str], Refusal]) -> None:
        self._query = query
        self.refused = refused
        """Returns the refusal of a parameter that its reader found invalid."""

    def text(self, name: str, default: str = "") -> str:
        return self._query.get(name) or default

    def read(self, name: str, how: Callable[[str], T]) -> T | None:
        """Return a parameter as parsed by `how`, or None if it is absent; if `how` raises ValueError, it is refused."""
        text = self.text(name)
        try:
            return how(text) if text else None
        except (ValueError, OverflowError) as error:
            raise self.refused(name) from error

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed words, ignoring case; the first is the default."""
        value = self.text(name, allowed[0]).lower()
        if value not in allowed:
            raise self.refused(name)
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean, in Python's or JSON's spelling."""
        value = self.text(name).lower()
        if value and value not in _TRUE + _FALSE:
            raise self.refused(name)
        return value in _TRUE if value else default

    def count(self, name: str, default: int, largest: int, smallest: int = 1) -> int:
        """Return a whole number within bounds."""
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and smallest <= int(text) <= largest):
            raise self.refused(name)
        return int(text)

    def moment(self, name: str) -> int | None:
        """Return an ISO time or date as engine time, or None if absent."""
        return self.read(name, parse_time)

    def date(self, name: str) -> str | None:
        """Return an ISO date, or None if absent."""
        return self.read(name, iso_date)

    def words(self, name: str) -> list[str]:
        """Return a comma-separated list; empty if absent."""
        return [word for word in self.text(name).split(",") if word]
