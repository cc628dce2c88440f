"""Serve GET /v2/stocks/meta: what the letters in trades and quotes mean, from the two tape plans."""

from __future__ import annotations

from tradebot.exchange.faces.data.asking import params_of, refused
from tradebot.exchange.faces.web import Call, Handler, Reply, ok

EXCHANGES = {
    "A": "NYSE American (AMEX)",
    "B": "NASDAQ OMX BX",
    "C": "National Stock Exchange",
    "D": "FINRA ADF",
    "E": "Market Independent",
    "H": "MIAX",
    "I": "International Securities Exchange",
    "J": "Cboe EDGA",
    "K": "Cboe EDGX",
    "L": "Long Term Stock Exchange",
    "M": "Chicago Stock Exchange",
    "N": "New York Stock Exchange",
    "P": "NYSE Arca",
    "Q": "NASDAQ OMX",
    "S": "NASDAQ Small Cap",
    "T": "NASDAQ Int",
    "U": "Members Exchange",
    "V": "IEX",
    "W": "CBOE",
    "X": "NASDAQ OMX PSX",
    "Y": "Cboe BYX",
    "Z": "Cboe BZ",
}
_CTA_TRADES = {
    " ": "Regular Sale",
    "B": "Average Price Trade",
    "C": "Cash Sale",
    "F": "Intermarket Sweep",
    "H": "Price Variation Trade",
    "I": "Odd Lot Trade",
    "L": "Sold Last",
    "M": "Market Center Official Close",
    "N": "Next Day",
    "O": "Market Center Opening Trade",
    "P": "Prior Reference Price",
    "Q": "Market Center Official Open",
    "R": "Seller",
    "T": "Extended Hours Trade",
    "U": "Extended Hours Sold (Out of Sequence)",
    "V": "Contingent Trade",
    "X": "Cross Trade",
    "Z": "Sold (Out of Sequence)",
    "4": "Derivatively Priced",
    "5": "Market Center Reopening Trade",
    "6": "Market Center Closing Trade",
    "7": "Qualified Contingent Trade",
    "9": "Corrected Consolidated Close",
}
_UTP_TRADES = {
    "@": "Regular Sale",
    "A": "Acquisition",
    "B": "Bunched Trade",
    "C": "Cash Sale",
    "D": "Distribution",
    "F": "Intermarket Sweep",
    "G": "Bunched Sold Trade",
    "H": "Price Variation Trade",
    "I": "Odd Lot Trade",
    "L": "Sold Last",
    "M": "Market Center Official Close",
    "N": "Next Day",
    "O": "Opening Prints",
    "P": "Prior Reference Price",
    "Q": "Market Center Official Open",
    "R": "Seller",
    "T": "Form T",
    "U": "Extended Trading Hours (Sold Out of Sequence)",
    "V": "Contingent Trade",
    "W": "Average Price Trade",
    "X": "Cross Trade",
    "Z": "Sold (Out of Sequence)",
    "1": "Stopped Stock (Regular Trade)",
    "4": "Derivatively Priced",
    "5": "Re-Opening Prints",
    "6": "Closing Prints",
    "7": "Qualified Contingent Trade",
    "9": "Corrected Consolidated Close",
}
_CTA_QUOTES = {
    "A": "Slow Quote Offer Side",
    "B": "Slow Quote Bid Side",
    "C": "Closing",
    "L": "Closed Market Maker",
    "N": "Non-Firm Quote",
    "O": "Opening Quote",
    "R": "Regular, Market Maker Open Quote",
    "W": "Slow Quote Bid And Offer Side",
}
_UTP_QUOTES = {
    "A": "Manual Ask, Automated Bid",
    "B": "Manual Bid, Automated Ask",
    "F": "Fast Trading",
    "H": "Manual Bid And Ask",
    "L": "Closed Quote",
    "N": "Non-Firm Quote",
    "O": "Opening Quote",
    "R": "Regular, Two Sided Open Quote",
}
CONDITIONS = {
    ("trade", "A"): _CTA_TRADES,
    ("trade", "B"): _CTA_TRADES,
    ("trade", "C"): _UTP_TRADES,
    ("quote", "A"): _CTA_QUOTES,
    ("quote", "B"): _CTA_QUOTES,
    ("quote", "C"): _UTP_QUOTES,
}
"""Condition codes by type of tick and tape."""


def routes() -> list[tuple[str, Handler]]:
    return [
        ("/v2/stocks/meta/exchanges", lambda call: ok(EXCHANGES)),
        ("/v2/stocks/meta/conditions/{ticktype}", _conditions),
    ]


def _conditions(call: Call) -> Reply:
    ticks, tape = call.names["ticktype"], params_of(call).text("tape")
    if ticks not in ("trade", "quote"):
        raise refused(f"ticktype: {ticks[:20]}")
    if (ticks, tape) not in CONDITIONS:
        raise refused(f"tape: {tape[:5]}" if tape else "tape: it is required")
    return ok(CONDITIONS[ticks, tape])
