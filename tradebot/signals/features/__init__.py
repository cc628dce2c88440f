"""Market features: numbers for each closed bar, computed only from data known by then.

Each is one entry in a module of `rows`. A module there needs no other registration.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from math import isfinite
from pkgutil import iter_modules

import numpy as np

from tradebot.model.sentences import known_name
from tradebot.signals.features import rows
from tradebot.signals.features.frame import SETTLED, Absence, Feature, FeatureInputs, Frame, Measures, frame_of
from tradebot.signals.features.rolling import Column, fill_gaps
from tradebot.signals.features.state import STATE, DecisionState, state_numbers

__all__ = [
    "OBSERVED",
    "STATE",
    "Absence",
    "DecisionState",
    "Feature",
    "Frame",
    "absence",
    "bars_before",
    "columns",
    "feature_of",
    "features",
    "frame_of",
    "state_numbers",
    "validate_feature",
]
OBSERVED = 54
"""How many features of the market an observation of a learned policy has: those with the first numbers."""


@cache
def features() -> Mapping[str, Feature]:
    """Return all features by name, in the order of their numbers."""
    built: list[Feature] = []
    for module in iter_modules(rows.__path__):
        built += import_module(f"{rows.__name__}.{module.name}").FEATURES
    built.sort(key=lambda each: each.number)
    assert len({each.number for each in built}) == len({each.name for each in built}) == len(built), (
        "a number or name occurs twice"
    )
    return {each.name: each for each in built}


def validate_feature(name: str) -> str:
    """Return the name of a feature; raise ValueError naming the nearest one if there is no such feature."""
    return known_name(name, tuple(features()), "feature")


def feature_of(name: str) -> Feature:
    """Return the feature of this name; raise ValueError naming the nearest one if there is none."""
    return features()[validate_feature(name)]


def columns(frame: Frame, names: Iterable[str]) -> Mapping[str, Column]:
    """Return the value of each feature at each bar; NaN where it is absent.

    Bars before and after an unusable one are computed separately, as if no bars came before them.
    """
    features = [feature_of(name) for name in names]
    filled = {each.name: fill_gaps(np.nan, len(frame)) for each in features}
    with np.errstate(all="ignore"):
        for first, end in frame.runs():
            measures = Measures(frame.part(first, end))
            for each in features:
                values = each.of(measures)
                values = np.where(np.isfinite(values), values, np.nan)
                filled[each.name][first + each.bars - 1 : end] = values[each.bars - 1 :]
    return filled


def absence(feature: Feature, frame: Frame, index: int) -> Absence:
    """Return why a feature is absent at a bar."""
    if _not_given(feature.reads, frame, index):
        return Absence.NOT_GIVEN
    run = next((first for first, end in frame.runs() if first <= index < end), None)
    if run is None:
        return Absence.UNDEFINED
    sessions = len(set(frame.opens[run : index + 1].tolist())) - 1
    return Absence.WARMING_UP if index + 1 - run < feature.bars or sessions < feature.sessions else Absence.UNDEFINED


def _not_given(reads: Sequence[FeatureInputs], frame: Frame, index: int) -> bool:
    is_known = {
        FeatureInputs.SESSIONS: frame.opens[index] >= 0,
        FeatureInputs.ROLLS: bool(frame.rolls) and int(frame.days[index]) <= max(frame.rolls or (0,)),
        FeatureInputs.SPREAD: frame.spread is not None and isfinite(frame.spread[index]),
        FeatureInputs.RELEASES: frame.releases is not None,
        FeatureInputs.NEWS: frame.news is not None,
    }
    return not all(is_known.get(each, True) for each in reads)


def bars_before(features: Sequence[Feature], bars_a_session: int) -> int:
    """Return how many bars the features need before the first bar of interest."""
    most = max((each.bars for each in features), default=1)
    sessions = max((each.sessions for each in features), default=0)
    return most + SETTLED + (sessions + 1) * bars_a_session
