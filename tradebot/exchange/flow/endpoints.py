"""List the further endpoints of the flow API: a path each, and how its query limits and pages the rows."""

from __future__ import annotations

from typing import NamedTuple


class Endpoint(NamedTuple):
    """One endpoint. `limit` is its default and its largest, or None if it takes no limit.

    `pages_from` is the number of its first page, or None if it has no pages.
    """

    series: str
    path: str
    limit: tuple[int, int] | None = None
    pages_from: int | None = None


ENDPOINTS = (
    Endpoint("options-volume", "/api/stock/{ticker}/options-volume", (1, 500)),
    # The service documents a limit here, and ignores it.
    Endpoint("insider-flow", "/api/insider/{ticker}/ticker-flow"),
    Endpoint("risk-reversal", "/api/stock/{ticker}/historical-risk-reversal-skew"),
)
