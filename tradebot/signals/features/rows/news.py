"""News: how much was told in the last hour, by category. These are optional: no observation needs them."""

from functools import partial

import numpy as np

from tradebot.signals.features.feature import Feature, Reads
from tradebot.signals.features.measures import Measures
from tradebot.signals.features.rolling import Column, filled
from tradebot.signals.subjects.market import Category

HOUR_S = 3_600


def _count(category: Category, of: Measures) -> Column:
    """Return how many of a category became known in the hour before each bar closed; NaN before the source answered."""
    told = of.frame.news
    if told is None:
        return filled(np.nan, len(of.frame))
    known = np.array(told.known_s.get(category, ()), dtype=np.int64)
    count = np.searchsorted(known, of.ends, side="right") - np.searchsorted(known, of.ends - HOUR_S, side="right")
    return np.where(of.ends - HOUR_S >= told.since_s, count, np.nan)


FEATURES = tuple(
    Feature(
        number,
        f"news_{category}",
        f"news of the last hour: {category}",
        (Reads.NEWS,),
        1,
        partial(_count, category),
        "no source of news, or it hasn't answered for an hour",
        0,
    )
    for number, category in enumerate(Category, 61)
)
