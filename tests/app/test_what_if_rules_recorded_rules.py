"""The settings of a record with one of them changed, as if the changed ones had been accepted."""

import pytest

from tests.kit.values import NOW
from tradebot.app.baseline import effective
from tradebot.app.rules import surroundings_of
from tradebot.app.settings import load
from tradebot.app.what_if_rules import rules_of_record, settings_of, with_settings
from tradebot.errors import ConfigurationError
from tradebot.model.trading import Baseline
from tradebot.replaying.passes import RecordEnvironment

ORIGIN = "--what-if"


@pytest.fixture(scope="module")
def around() -> RecordEnvironment:
    settings = load(None, {}, {"mode": "sandbox"}).settings
    return surroundings_of(settings, Baseline(effective(settings), "test", NOW), ())


def test_changed_setting_is_in_the_rules_and_all_others_are_as_recorded(around: RecordEnvironment) -> None:
    before, put = rules_of_record(around), with_settings(around, [(("limits", "max_open_positions"), 12)], ORIGIN)
    assert before.limits.max_open_positions != 12
    assert put.rules.limits.model_dump() == {**before.limits.model_dump(), "max_open_positions": 12}
    assert (put.rules.halts, put.settings.limits) == (before.halts, put.rules.limits)
    assert with_settings(around, (), ORIGIN) == (settings_of(around), before)


def test_changed_exit_rule_counts_as_accepted(around: RecordEnvironment) -> None:
    put = with_settings(around, [(("exits", "stop_loss_fraction"), 0.02)], ORIGIN)
    assert str(put.rules.exits.stop_loss_fraction) == str(put.settings.exits.stop_loss_fraction) == "0.02"


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("limits", "max_open_position"), 12, r"limits.max_open_position \(--what-if\): there is no such setting"),
        (("limits", "min_score"), "high", r"limits.min_score \(--what-if\)"),
        (("limits", "min_order_notional_usd"), 10_000, "every order would be too small or too large"),
        (("strategies", "flow", "min_families"), 20, "no entry could ever be made"),
    ],
)
def test_settings_that_would_not_load_are_refused_with_the_loaders_sentence(
    around: RecordEnvironment, path: tuple[str, ...], value: object, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        with_settings(around, [(path, value)], ORIGIN)
