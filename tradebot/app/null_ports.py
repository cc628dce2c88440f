"""Provide placeholders for ports that a pass must not use. Using one is a bug and crashes."""

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
    """Placeholder for the flow source in passes that don't fetch flow, so that these passes need no key."""

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        """Crash: a pass that fetches flow needs a real source."""
        raise AssertionError(f"this pass has no flow source, but it asked for {kind.name} of {symbol} on {session}")

    def calls_left(self) -> int | None:
        """Crash: a pass that fetches flow needs a real source."""
        raise AssertionError("this pass has no flow source, but it asked how many calls that source has left")


class NoBars:
    """Placeholder for bars in passes that need neither strategies nor price moves."""

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Crash: a pass that runs strategies needs real bars."""
        raise AssertionError(
            f"this pass has no bars, but it asked for {need.timeframe} of {len(symbols)} symbols at {until}"
        )


class NoEvents:
    """Event log that records nothing."""

    def emit(self, event: SystemEvent) -> None:
        """Discard the event."""


class ShutOrders:
    """Placeholder for the order port while permission is closed: the gates refuse every order before it gets here."""

    def submit(self, intent: Intent) -> Reply:
        """Crash: no order may be sent while permission is closed."""
        raise AssertionError(
            f"permission to send orders is closed, but the pass tried to send {intent.client_order_id}"
        )

    replace = submit

    def cancel(self, intent: Ending) -> Reply:
        """Crash: no order may be canceled while permission is closed."""
        raise AssertionError(
            f"permission to send orders is closed, but the pass tried to cancel {intent.target_venue_id}"
        )
