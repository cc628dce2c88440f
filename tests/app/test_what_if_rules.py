"""What a changed setting changes of a pass, and what it can't, for every section of the configuration.

The settings of a record with one of them changed, as if the changed ones had been accepted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.values import NOW
from tradebot.app.baseline import effective
from tradebot.app.rules import record_environment
from tradebot.app.settings import Settings, load
from tradebot.app.what_if_rules import BEFORE, FIXED, READ, WhatIfRules, rules_of_record, settings_of, with_settings
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.model.trading import Baseline
from tradebot.replaying.passes import RecordEnvironment

VENUE = load(None, {}).settings.venue
UNREAD = {"serve", "health", "notify", "chat", "web", "storage", "report", "backtest", "tax", "funds"}
"""Sections that no decision of a pass reads, besides that of the venue's addresses."""


@pytest.fixture(scope="module")
def around() -> RecordEnvironment:
    settings = load(None, {}, {"mode": "sandbox"}).settings
    return record_environment(settings, Baseline(effective(settings), "test", NOW), ())


@pytest.fixture
def made(tmp_path: Path) -> Iterator[WhatIfRules]:
    with WhatIfRules(tmp_path, {}) as found:
        yield found


def test_every_section_is_answered_or_said() -> None:
    assert sorted([*FIXED, *BEFORE, *READ, *UNREAD, VENUE]) == sorted(Settings.model_fields)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("limits.max_open_positions", 12, ""),
        ("strategies.flow.limits.min_score", 0.3, ""),
        ("strategies.flow.min_cluster", 1, ""),
        ("sectors.AAPL", "toys", ""),
        ("storage.backups", 3, "no decision of a pass depends on it"),
        ("unusual_whales.reserve_fraction", 0.2, "which flow was fetched, and when, was decided before the pass"),
        ("exits.stop_loss_fraction", 0.02, "passes of evaluate-exits decide which positions it closes"),
        ("halts.daily_loss_fraction", 0.06, "a halt that was in force stays in force"),
        ("universe", ["AAPL", "MSFT"], ""),
        ("strategies.flow.universe", ["AAPL"], ""),
        ("universe", ["AAPL", "GLD"], "have no quote and no flow"),
        ("strategies.flow.times", "at open+30m", "which strategies were due was decided before the pass"),
        ("limits.price_jump_fraction", 0.04, "which prices were requested a second time"),
        ("limits.max_open_risk_fraction", 0.1, "stops wasn't computed, because no limit needed it"),
    ],
)
def test_what_is_read_before_the_record_is_said(
    made: WhatIfRules, around: RecordEnvironment, path: str, value: Any, why: str
) -> None:
    found = made.of(around, [(tuple(path.split(".")), value)])
    assert [one.setting for one in found.unanswered] == ([path] if why else [])
    assert not why or why in found.unanswered[0].why


def test_without_a_change_the_rules_are_those_of_the_record(made: WhatIfRules, around: RecordEnvironment) -> None:
    found = made.of(around, ())
    assert found.before is found.after
    assert (found.strategies, found.unanswered) == ((), ())


def test_strategies_that_would_answer_otherwise_are_told_by_what_differs(
    made: WhatIfRules, around: RecordEnvironment
) -> None:
    (cluster,) = made.of(around, [(("strategies", "flow", "min_cluster"), 1)]).strategies
    assert (cluster.name, cluster.settings, cluster.sees) == ("flow", frozenset({"min_cluster"}), False)
    assert cluster.refilters is not None
    (window,) = made.of(around, [(("strategies", "flow", "lookback_s"), 3600)]).strategies
    assert window.refilters is None
    (seen,) = made.of(around, [(("sectors", "AAPL"), "toys")]).strategies
    assert seen.sees
    assert made.of(around, [(("limits", "max_open_positions"), 12)]).strategies == ()


@pytest.mark.parametrize("section", sorted(FIXED))
def test_what_would_make_another_bot_is_refused(made: WhatIfRules, around: RecordEnvironment, section: str) -> None:
    with pytest.raises(OperatorError, match=f"a what-if can't change {section}"):
        made.of(around, [((section,), "live")])


def test_strategies_are_made_once_for_equal_settings(made: WhatIfRules, around: RecordEnvironment) -> None:
    first, second = (made.of(around, [(("strategies", "flow", "min_cluster"), 1)]).strategies[0] for _ in range(2))
    assert first.before is second.before
    assert first.after is second.after


ORIGIN = "--what-if"


def test_changed_setting_is_in_the_rules_and_all_others_are_as_recorded(around: RecordEnvironment) -> None:
    before, put = rules_of_record(around), with_settings(around, [(("limits", "max_open_positions"), 12)], ORIGIN)
    assert before.limits.max_open_positions != 12
    assert put.rules.limits.model_dump() == {**before.limits.model_dump(), "max_open_positions": 12}
    assert (put.rules.halts, put.settings.limits) == (before.halts, put.rules.limits)
    assert with_settings(around, (), ORIGIN) == (settings_of(around), before)


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
