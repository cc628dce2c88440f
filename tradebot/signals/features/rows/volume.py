"""Features of traded volume, relative to its usual size."""

import numpy as np

from tradebot.signals.features.frame import Feature, FeatureInputs, Measures
from tradebot.signals.features.rolling import Column, above, fill_gaps, mean, over, total

SESSIONS = 20
_NO_VOLUME = "nothing was traded"


def _usual(of: Measures) -> Column:
    """Return the mean volume of the same bar of the session in the last 20 sessions that have that bar."""
    frame, usual = of.frame, fill_gaps(np.nan, len(of.frame))
    places = np.flatnonzero(of.in_session)
    bars = ((frame.starts - frame.opens) // frame.width_s)[places]
    order = np.argsort(bars, kind="stable")
    bars, volume, count = bars[order], of.volume[places][order], len(places) - SESSIONS
    if count > 0:
        # Each sum adds the same volumes in the same order, however many bars there are.
        before = sum(volume[ago : ago + count] for ago in range(SESSIONS)) / SESSIONS
        usual[places[order][SESSIONS:]] = np.where(bars[SESSIONS:] == bars[:-SESSIONS], before, np.nan)
    return usual


def _against_mean(of: Measures) -> Column:
    usual = mean(of.volume, 20)
    return np.where(np.isnan(usual), np.nan, above(of.volume, 1.5 * usual))


def _on_balance(of: Measures) -> Column:
    return over(total(np.sign(of.change) * of.volume, 20), total(of.volume, 20))


FEATURES = (
    Feature(
        36,
        "volume_of_bar",
        f"ln(v / mean v of the same bar of the last {SESSIONS} sessions that have one)",
        (FeatureInputs.VOLUME, FeatureInputs.SESSIONS),
        1,
        lambda of: np.log(over(of.volume, _usual(of))),
        "the bar, or the same one of all those sessions, has no volume",
        sessions=SESSIONS,
    ),
    Feature(
        37,
        "volume_high",
        "1 if v > 1.5 SMA(20) of v, else 0",
        (FeatureInputs.VOLUME,),
        20,
        _against_mean,
        "never",
        0,
        1,
        version=2,
    ),
    Feature(
        38,
        "obv_20",
        "change of OBV over 20 / sum of v of 20",
        (FeatureInputs.CLOSE, FeatureInputs.VOLUME),
        21,
        _on_balance,
        _NO_VOLUME + " in that time",
        -1,
        1,
    ),
)
