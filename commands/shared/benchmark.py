"""The benchmark of an account, where the bot's venue trades it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradebot.app.wiring import App

BENCHMARK, SHARES = "SPY", "share"
"""The fund, and what the venues that trade it count."""


def no_benchmark_reason(app: "App") -> str:
    """Return why there is nothing to compare an account with, if its venue doesn't trade shares; else nothing."""
    venue = app.settings.capabilities
    return "" if venue.unit == SHARES else f"{BENCHMARK} isn't compared: {venue.title} doesn't trade it."
