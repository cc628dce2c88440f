"""A rotation between two funds, and days of prices for it in which the session of the trade matters."""

from datetime import date
from pathlib import Path

from tests.kit.values import us_sessions

FIRST, LAST, TURN = date(2025, 2, 3), date(2025, 3, 7), date(2025, 3, 5)
SPAN = ("--from", "2025-02-26", "--to", "2025-03-07")
TIMES = "first session of month at open+5m for 3 sessions"
CONFIGURATION = f"""
universe: [XLK, XLF, TLT]
strategies:
  flow: null
  rotation:
    ranked: [XLK, XLF]
    lookback_sessions: 3
    top: 1
    leverage: 1
    times: {TIMES}
    limits: {{max_open_positions: 4}}
    exits: []
limits:
  max_order_fraction: 1.40
  max_order_notional_usd: 1000000
  max_symbol_fraction: 1.40
  max_sector_fraction: 1.40
  max_gross_fraction: 1.40
timetable:
  trade-once: every 5m from open+5m until open+30m
  evaluate-exits: every 15m from open+1m until close
  reconcile: every 30m from open+1m until close
"""


def closes() -> dict[str, dict[date, float]]:
    """Return each symbol's closes: XLK rises until it turns, SPY rises all the time."""
    days = [session.date for session in us_sessions(FIRST, LAST)]
    turned = days.index(TURN)
    found: dict[str, dict[date, float]] = {"XLK": {}, "XLF": {}, "TLT": {}, "SPY": {}}
    for place, day in enumerate(days):
        found["XLK"][day] = 100.0 + place - 3 * max(place - turned, 0)
        found["XLF"][day] = 50.0
        found["TLT"][day] = 90.0
        found["SPY"][day] = 400.0 + 2 * place
    return found


def rotation(folder: Path) -> tuple[str, ...]:
    """Write a configuration and a file of daily bars, and return the options that play them."""
    rows = [
        f"{day},{symbol},{price - 0.25:.2f},{price + 0.5:.2f},{price - 0.5:.2f},{price:.2f},9000000"
        for symbol, prices in closes().items()
        for day, price in prices.items()
    ]
    days, file = folder / "days.csv", folder / "rotation.yaml"
    days.write_text("\n".join(["date,symbol,open,high,low,close,volume", *rows]))
    file.write_text(CONFIGURATION)
    return ("--bars", str(days), "--config", str(file), *SPAN)
