"""List the endpoints of the flow API besides its alerts: a path each, and how its query limits and pages the rows."""

from __future__ import annotations

from typing import NamedTuple


class Endpoint(NamedTuple):
    """One endpoint. `limit` is its default and its largest, or None if it takes no limit or ignores it.

    `paged` means that it has pages, of which the first is number 0. `single` means that its data is one object, no
    list. `newest_first` is the order of its rows.
    """

    series: str
    path: str
    limit: tuple[int, int] | None = None
    paged: bool = False
    single: bool = False
    newest_first: bool = False


BUSIEST = (
    Endpoint("prints", "/api/darkpool/{ticker}", newest_first=True),
    Endpoint("tide", "/api/market/market-tide"),
    Endpoint("greeks", "/api/stock/{ticker}/greek-exposure"),
    Endpoint("iv-rank", "/api/stock/{ticker}/iv-rank"),
    Endpoint("oi-change", "/api/stock/{ticker}/oi-change"),
)
ENDPOINTS = (
    Endpoint("options-volume", "/api/stock/{ticker}/options-volume", (1, 500), newest_first=True),
    Endpoint("insider-flow", "/api/insider/{ticker}/ticker-flow", newest_first=True),
    Endpoint("risk-reversal", "/api/stock/{ticker}/historical-risk-reversal-skew"),
    Endpoint("net-prem-ticks", "/api/stock/{ticker}/net-prem-ticks"),
    Endpoint("top-net-impact", "/api/market/top-net-impact"),
    Endpoint("sector-tide", "/api/market/{sector}/sector-tide"),
    Endpoint("term-structure", "/api/stock/{ticker}/volatility/term-structure"),
    Endpoint("interpolated-iv", "/api/stock/{ticker}/interpolated-iv"),
    Endpoint("realized-volatility", "/api/stock/{ticker}/volatility/realized"),
    Endpoint("volatility-stats", "/api/stock/{ticker}/volatility/stats", single=True),
    Endpoint("earnings-premarket", "/api/earnings/premarket", (50, 100), paged=True),
    Endpoint("earnings-afterhours", "/api/earnings/afterhours", (50, 100), paged=True),
    Endpoint("earnings", "/api/earnings/{ticker}", newest_first=True),
    Endpoint("short-interest", "/api/shorts/{ticker}/interest-float/v2", single=True),
    Endpoint("fails", "/api/shorts/{ticker}/ftds"),
    Endpoint("short-volume", "/api/shorts/{ticker}/volume-and-ratio"),
    Endpoint("ownership", "/api/institution/{ticker}/ownership", (500, 500), paged=True, newest_first=True),
    Endpoint("congress", "/api/congress/recent-trades", (100, 200), newest_first=True),
    Endpoint("economic-calendar", "/api/market/economic-calendar"),
    Endpoint("fda-calendar", "/api/market/fda-calendar", (100, 200)),
    Endpoint("spot-exposures", "/api/stock/{ticker}/spot-exposures"),
    Endpoint("max-pain", "/api/stock/{ticker}/max-pain"),
    Endpoint("oi-per-strike", "/api/stock/{ticker}/oi-per-strike"),
    Endpoint("etf-flow", "/api/etfs/{ticker}/in-outflow", newest_first=True),
    Endpoint("screener", "/api/screener/stocks"),
    Endpoint("info", "/api/stock/{ticker}/info", single=True),
)
"""Those of a market, then those that name what they are about; a path without a name in braces is found first."""
