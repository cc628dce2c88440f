"""Say what a source of bars must be able to do, and what one may do besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from papervenue.market.bars import Bar


class BarSource(Protocol):
    """A source of bars.

    A negative index of a session counts back from the market's first. `past_minutes` sessions before it have minute
    bars, and `past_days` have daily ones; it is never asked for others.
    """

    past_minutes: int
    past_days: int

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minute bars of a symbol in a session of the market, oldest first."""

    def extended(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minute bars of a symbol before a session's open and after its close, oldest first."""

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        """Return a close from before the market's first session, or None if it is unknown."""

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        """Return the daily bar of a session before the market's first, or None if it is unknown."""

    def liquid(self, symbol: str) -> bool:
        """Return True if a symbol is liquid enough to be sold short and traded in fractions."""


@runtime_checkable
class QuickPast(Protocol):
    """A source that makes candles of sessions before the market's first without making their minutes one by one.

    So many sessions as `candle_days` have them.
    """

    candle_days: int

    def past_candles(self, symbol: str, index: int, span_us: int, *, wicks: bool) -> list[Bar]:
        """Return the candles of a session, stamped at multiples of their span; without `wicks`, of closes alone."""


@runtime_checkable
class QuickCloses(Protocol):
    """A source that knows the closes of the market's sessions without making their minutes."""

    def close(self, symbol: str, index: int) -> int:
        """Return the close of a session, in price units."""
