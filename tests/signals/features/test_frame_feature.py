"""The version of a feature changes with its values, so that no model is shown others than it was trained on."""

import json
from collections.abc import Sequence
from math import nan

import pytest

from tests.signals.features.versions import KEPT, values_now
from tradebot.signals.features import features

ADVICE = "raise the feature's version in its row, then run .venv/bin/python -m tests.signals.features.versions"


def told(values: Sequence[float | None]) -> list[float]:
    return [nan if value is None else value for value in values]


def test_values_of_each_feature_are_those_of_its_version() -> None:
    kept, now = json.loads(KEPT.read_text()), values_now()
    assert kept.keys() == now.keys() == features().keys()
    for name, values in now.items():
        version, *before = kept[name]
        assert features()[name].version == version, f"{name}: {ADVICE}"
        assert told(values) == pytest.approx(told(before), rel=1e-7, abs=1e-9, nan_ok=True), f"{name}: {ADVICE}"


def test_values_that_are_kept_tell_features_apart() -> None:
    known = [row[1:] for row in json.loads(KEPT.read_text()).values()]
    assert sum(any(value not in (None, 0.0, 1.0) for value in row) for row in known) > 50
