"""Ports that stand where a pass may not have the real one: whoever uses them all the same crashes."""

from datetime import date

from tradebot.model.flow import Endpoint, FlowPage
from tradebot.model.intent import Intent
from tradebot.model.order import Reply


class NoFlow:
    """Stands where a pass asks for no flow, which therefore works without the source's key."""

    def fetch(self, endpoint: Endpoint, symbol: str | None, session: date) -> FlowPage:
        """Crash: whoever asks for flow has to be given a source."""
        raise AssertionError(f"a pass without flow asked for {endpoint} of {symbol} on {session}")


class ShutOrders:
    """Stands where permission is closed: the gates refuse every order before it, and behind them there is no way."""

    def submit(self, intent: Intent) -> Reply:
        """Crash: no order goes out through a closed door."""
        raise AssertionError(f"{intent.client_order_id} was to be sent, and permission is closed")

    def replace(self, intent: Intent) -> Reply:
        """Crash: no new price goes out through a closed door."""
        raise AssertionError(f"{intent.client_order_id} was to be sent, and permission is closed")

    def cancel(self, intent: Intent) -> Reply:
        """Crash: no cancel goes out through a closed door."""
        raise AssertionError(f"{intent.client_order_id} was to be sent, and permission is closed")
