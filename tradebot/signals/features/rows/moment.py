"""Features of the session so far and of the current moment: price, clock, rolls, spread, releases, and news."""

from functools import partial

import numpy as np

from tradebot.signals.features.frame import NOWHERE, Feature, FeatureInputs, Measures
from tradebot.signals.features.rolling import Column, fill_gaps, over
from tradebot.signals.subjects.market import Category

MINUTES = 1_380
"""The length of a futures session: 23 hours, in minutes."""
WEEK = 7
_BARS = (FeatureInputs.HIGH, FeatureInputs.LOW, FeatureInputs.CLOSE, FeatureInputs.SESSIONS)
_PART = "the bar is in no known session, or bars since its open are missing"
_OUTSIDE = "the bar is in no known session"


def _vwap(of: Measures) -> Column:
    paid, volume = (of.in_this_session(each, np.add) for each in (of.typical * of.volume, of.volume))
    return over(of.close - over(paid, volume), of.atr)


def _on_circle(part: Column) -> Column:
    return 2 * np.pi * part


def _weekday(of: Measures) -> Column:
    """Return the weekday of the session's date as a fraction of the week; Monday is 0."""
    return np.where(of.in_session, ((of.frame.days + 6) % WEEK) / WEEK, np.nan)


def _to_roll(of: Measures) -> Column:
    rolls, days = np.array(of.frame.rolls or (), dtype=np.int64), of.frame.days
    if not len(rolls):
        return fill_gaps(np.nan, len(days))
    index = np.searchsorted(rolls, days)
    in_reach = (days != NOWHERE) & (index < len(rolls))
    return np.where(in_reach, (rolls[np.minimum(index, len(rolls) - 1)] - days) / 90, np.nan)


_SESSION = (
    Feature(
        35,
        "from_vwap",
        "(c - VWAP since the session's open) / ATR(14)",
        (*_BARS, FeatureInputs.VOLUME),
        15,
        _vwap,
        f"{_PART}, or nothing was traded",
    ),
    Feature(
        46,
        "minute_sine",
        f"sin(2 pi minute of the session / {MINUTES:,})",
        (FeatureInputs.SESSIONS,),
        1,
        lambda of: np.sin(_on_circle(of.minute / MINUTES)),
        _OUTSIDE,
        -1,
        1,
    ),
    Feature(
        47,
        "minute_cosine",
        f"cos(2 pi minute of the session / {MINUTES:,})",
        (FeatureInputs.SESSIONS,),
        1,
        lambda of: np.cos(_on_circle(of.minute / MINUTES)),
        _OUTSIDE,
        -1,
        1,
    ),
    Feature(
        48,
        "weekday_sine",
        "sin(2 pi weekday of the session's date / 7), Monday is 0",
        (FeatureInputs.SESSIONS,),
        1,
        lambda of: np.sin(_on_circle(_weekday(of))),
        _OUTSIDE,
        -1,
        1,
    ),
    Feature(
        49,
        "weekday_cosine",
        "cos(2 pi weekday of the session's date / 7), Monday is 0",
        (FeatureInputs.SESSIONS,),
        1,
        lambda of: np.cos(_on_circle(_weekday(of))),
        _OUTSIDE,
        -1,
        1,
    ),
    Feature(
        50,
        "minutes_left",
        f"minutes to the session's end / {MINUTES:,}",
        (FeatureInputs.SESSIONS,),
        1,
        lambda of: of.minutes_left / MINUTES,
        _OUTSIDE,
        0,
    ),
    Feature(
        51,
        "days_to_roll",
        "days from the session's date to the next roll / 90",
        (FeatureInputs.SESSIONS, FeatureInputs.ROLLS),
        1,
        _to_roll,
        "the day of the next roll isn't known, or there is none",
        0,
    ),
    Feature(
        52,
        "from_high",
        "(highest price since the session's open - c) / ATR(14)",
        _BARS,
        15,
        lambda of: over(of.in_this_session(of.high, np.maximum) - of.close, of.atr),
        _PART,
        0,
    ),
    Feature(
        53,
        "from_low",
        "(c - lowest price since the session's open) / ATR(14)",
        _BARS,
        15,
        lambda of: over(of.close - of.in_this_session(of.low, np.minimum), of.atr),
        _PART,
        0,
    ),
)


WITHIN_S = 1_800
LISTED_FOR_S = 5 * 86_400
"""The age from which a list of releases is outdated."""


def _spread(of: Measures) -> Column:
    spread = of.frame.spread
    return fill_gaps(np.nan, len(of.frame)) if spread is None else np.where(spread >= 0, spread, np.nan)


def _release(of: Measures) -> Column:
    """Return 1 where a release on the list known then is due at most half an hour before or after."""
    minutes = fill_gaps(np.nan, len(of.frame))
    lists = of.frame.releases or ()
    known_s = np.array([release_list.known_s for release_list in lists], dtype=np.int64)
    newest = np.searchsorted(known_s, of.ends, side="right") - 1
    for index, release in enumerate(lists):
        bars = np.flatnonzero((newest == index) & (of.ends <= release.known_s + LISTED_FOR_S))
        due, at = np.array(release.due_s, dtype=np.int64), of.ends[bars]
        until, since = np.searchsorted(due, at + WITHIN_S, side="right"), np.searchsorted(due, at - WITHIN_S)
        minutes[bars] = until > since
    return minutes


_MOMENT = (
    Feature(
        45,
        "spread",
        "(ask - bid) / tick",
        (FeatureInputs.SPREAD,),
        1,
        _spread,
        "no quote",
        0,
    ),
    Feature(
        54,
        "release_near",
        "1 if a release (CPI, FOMC, payrolls) is at most 30 minutes away, before or after, else 0",
        (FeatureInputs.RELEASES,),
        1,
        _release,
        "no calendar of the last 5 days is known",
        0,
        1,
    ),
)


HOUR_S = 3_600


def _count(category: Category, of: Measures) -> Column:
    """Count how many of a category became known in the hour before each bar closed.

    NaN before the source's first reply.
    """
    news_times = of.frame.news
    if news_times is None:
        return fill_gaps(np.nan, len(of.frame))
    known_s = np.array(news_times.known_s.get(category, ()), dtype=np.int64)
    count = np.searchsorted(known_s, of.ends, side="right") - np.searchsorted(known_s, of.ends - HOUR_S, side="right")
    return np.where(of.ends - HOUR_S >= news_times.since_s, count, np.nan)


_NEWS = tuple(
    Feature(
        number,
        f"news_{category}",
        f"news of the last hour: {category}",
        (FeatureInputs.NEWS,),
        1,
        partial(_count, category),
        "no source of news, or it hasn't answered for an hour",
        0,
    )
    for number, category in enumerate(Category, 61)
)

FEATURES = (*_SESSION, *_MOMENT, *_NEWS)
