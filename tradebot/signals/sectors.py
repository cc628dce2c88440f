"""Sectors in the words of the flow source."""

from collections.abc import Mapping

SOURCE_SECTORS: Mapping[str, str] = {
    "materials": "Basic Materials",
    "communication": "Communication Services",
    "consumer_cyclical": "Consumer Cyclical",
    "consumer_defensive": "Consumer Defensive",
    "energy": "Energy",
    "financial": "Financial Services",
    "healthcare": "Healthcare",
    "industrial": "Industrials",
    "real_estate": "Real Estate",
    "technology": "Technology",
    "utilities": "Utilities",
}
"""The source's word for each sector of the configuration that it knows; it knows none of a fund."""


def our_sector(written: str) -> str:
    """Return a sector in the configuration's words: the source's words are translated, all others are left alone."""
    return next((ours for ours, theirs in SOURCE_SECTORS.items() if theirs.lower() == written.lower()), written)
