"""Stand-in ports for passes that must not have the real one. Using one is a bug and crashes."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from tradebot.model.event import SystemEvent
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowPage
from tradebot.model.intent import Intent
from tradebot.model.order import Reply
from tradebot.model.series import Series
from tradebot.model.view import BarNeed
from tradebot.ports.broker import Ending


class NoFlow:
    """Stand-in for the flow source in passes that fetch no flow, so that they work without its key."""

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        """Crash: a pass that fetches flow must be given a real source."""
        raise AssertionError(f"a pass without flow asked for {kind.name} of {symbol} on {session}")

    def calls_left(self) -> int | None:
        """Crash: a pass that fetches flow must be given a real source."""
        raise AssertionError("a pass without flow asked how many calls are left")


class NoBars:
    """Stand-in for bars in passes that ask neither strategies nor for moves of prices."""

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Crash: a pass that asks strategies must be given real bars."""
        raise AssertionError(f"a pass without bars asked for {need.timeframe} of {len(symbols)} symbols at {until}")


class NoEvents:
    """Stand-in for the log of events where nothing may be recorded."""

    def emit(self, event: SystemEvent) -> None:
        """Record nothing."""


class ShutOrders:
    """Stand-in for the order port while permission is closed: the gates refuse every order before it gets here."""

    def submit(self, intent: Intent) -> Reply:
        """Crash: nothing may be sent while permission is closed."""
        raise AssertionError(f"{intent.client_order_id} was to be sent, and permission is closed")

    replace = submit

    def cancel(self, intent: Ending) -> Reply:
        """Crash: nothing may be sent while permission is closed."""
        raise AssertionError(f"{intent.target_venue_id} was to be canceled, and permission is closed")
