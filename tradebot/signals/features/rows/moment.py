"""What is known at the moment besides bars: the spread of quotes, and releases that are scheduled."""

import numpy as np

from tradebot.signals.features.feature import Feature, Reads
from tradebot.signals.features.measures import Measures
from tradebot.signals.features.rolling import Column, filled

WITHIN_S = 1_800
LISTED_FOR_S = 5 * 86_400
"""How old a list of releases may be before it says nothing about now."""


def _spread(of: Measures) -> Column:
    spread = of.frame.spread
    return filled(np.nan, len(of.frame)) if spread is None else np.where(spread >= 0, spread, np.nan)


def _release(of: Measures) -> Column:
    """Return 1 where a release of the list that was known then is due at most half an hour away, before or after."""
    found = filled(np.nan, len(of.frame))
    lists = of.frame.releases or ()
    known = np.array([one.known_s for one in lists], dtype=np.int64)
    newest = np.searchsorted(known, of.ends, side="right") - 1
    for place, one in enumerate(lists):
        bars = np.flatnonzero((newest == place) & (of.ends <= one.known_s + LISTED_FOR_S))
        due, at = np.array(one.due_s, dtype=np.int64), of.ends[bars]
        until, since = np.searchsorted(due, at + WITHIN_S, side="right"), np.searchsorted(due, at - WITHIN_S)
        found[bars] = until > since
    return found


FEATURES = (
    Feature(
        45,
        "spread",
        "(ask - bid) / tick",
        (Reads.SPREAD,),
        1,
        _spread,
        "no quote",
        0,
    ),
    Feature(
        54,
        "release_near",
        "1 if a release (CPI, FOMC, payrolls) is at most 30 minutes away, before or after, else 0",
        (Reads.RELEASES,),
        1,
        _release,
        "no calendar of the last 5 days is known",
        0,
        1,
    ),
)
