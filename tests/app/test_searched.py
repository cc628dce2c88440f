"""Which settings of a configuration advice tries for a question, and how far each may go."""

from decimal import ROUND_FLOOR, Decimal
from typing import Any

import pytest

from tests.suite import tiers
from tradebot.app import relations
from tradebot.app.searched import reads, related, setting_at, with_values
from tradebot.app.settings import Settings, load
from tradebot.model.decision import Gate
from tradebot.model.limits import Limits
from tradebot.replaying.asking import Question
from tradebot.replaying.nearest import Path, Value


def settings(**own: Any) -> Settings:
    return load(None, {}, own or None).settings


def keys(gate: Gate, **own: Any) -> list[str]:
    return [one.key for one in reads(settings(**own), "flow", Question(gate), {})]


def test_limits_in_force_follow_from_the_strategys_and_the_accounts() -> None:
    assert keys(Gate.SCORE) == ["strategies.flow.limits.min_score", "limits.min_score"]
    assert keys(Gate.OPEN_POSITIONS) == ["limits.max_open_positions", "displacement.enabled"]
    assert keys(Gate.POSITIONED) == []
    # Without an own limit on themes, the strategy's has to fit into its own gross limit.
    themes = keys(Gate.OWN_THEME_NOTIONAL, limits={"max_theme_fraction": 0.3})
    assert themes[:2] == ["limits.max_theme_fraction", "strategies.flow.limits.max_gross_fraction"]


def test_only_what_can_help_is_tried_and_in_the_direction_that_can() -> None:
    def ways(gate: Gate, **own: Any) -> dict[str, int]:
        return {one.key: one.toward for one in reads(settings(**own), "flow", Question(gate), {})}

    assert ways(Gate.SCORE)["limits.min_score"] == -1
    assert ways(Gate.SIZE)["limits.max_order_notional_usd"] == 1
    assert ways(Gate.BUYING_POWER)["limits.max_order_notional_usd"] == -1
    assert ways(Gate.PRICE_COLLAR)["limits.limit_offset_fraction"] == 0
    assert "execution.fit_to_room" in ways(Gate.BUYING_POWER)
    assert "execution.fit_to_room" not in ways(Gate.SIZE)
    fitted = ways(Gate.SIZE, execution={"fit_to_room": True})
    assert (fitted["execution.fit_to_room"], fitted["limits.max_symbol_fraction"]) == (0, 1)


def test_a_strategys_filters_say_what_they_read() -> None:
    question = Question(Gate.STRATEGY, "cluster")
    found = reads(settings(), "flow", question, {"cluster": ("min_cluster",), "side": ("long_only",)})
    assert [(one.key, one.toward) for one in found] == [("strategies.flow.min_cluster", -1)]


@pytest.mark.parametrize(
    ("path", "first", "last", "may_be_off"),
    [
        (("limits", "max_open_positions"), "1", "1000", False),
        (("limits", "min_score"), "3.0E-8", "1.00", False),
        (("limits", "limit_offset_fraction"), "0", "0.050", False),
        (("limits", "cooldown_s"), "1", "2592000", False),
        (("limits", "max_beta_fraction"), "3.0E-8", "10.0", True),
        (("strategies", "flow", "limits", "max_open_positions"), "1", "1000", False),
        (("strategies", "flow", "min_cluster"), "1", "1000", False),
    ],
)
def test_ends_are_those_of_the_loader(path: tuple[str, ...], first: str, last: str, may_be_off: bool) -> None:
    found = setting_at(settings(limits={"max_beta_fraction": 1}), path)
    assert found is not None
    assert found.scale is not None
    ends = found.scale.at(found.scale.first), found.scale.at(found.scale.last)
    assert [str(one) for one in ends] == [first, last]
    assert found.may_be_off is may_be_off


def test_what_has_no_value_or_is_no_number_is_not_searched() -> None:
    for path in (("limits", "max_beta_fraction"), ("execution", "room"), ("strategies", "rotation", "limits", "x")):
        assert setting_at(settings(), path) is None


def test_changed_values_have_the_types_that_the_loader_gives_them() -> None:
    changes: dict[Path, Value] = {
        ("limits", "max_open_positions"): Decimal(21),
        ("strategies", "flow", "limits", "min_score"): Decimal("0.1"),
        ("limits", "max_sector_fraction"): Decimal("0.41"),
        ("strategies", "flow", "long_only"): True,
    }
    found = with_values(settings(), changes)
    loaded = load(
        None,
        {},
        {
            "limits": {"max_open_positions": 21, "max_sector_fraction": "0.41"},
            "strategies": {"flow": {"limits": {"min_score": 0.1}, "long_only": True}},
        },
    ).settings
    assert found.model_dump() == loaded.model_dump()


WHOLE = {"max_theme_fraction": 0.3, "max_net_fraction": 0.6, "max_concentration": 0.2, "max_risk_fraction": 0.01}
NAMES = tiers.drawn("related", ["max_new_entries", "max_sector_fraction"], list(Limits.model_fields), 100)


@pytest.mark.sampled
@pytest.mark.parametrize("name", NAMES)
def test_what_makes_a_change_load_is_related_to_it(name: str) -> None:
    """Brute force over the limits: whatever second change cures a first one that doesn't load is looked at."""
    whole = settings(limits=WHOLE)
    found = {one: setting_at(whole, ("limits", one)) for one in Limits.model_fields}
    setting = found[name]
    if setting is None or setting.scale is None or not isinstance(setting.value, Decimal):
        return
    known = {one.key for one in related(whole, setting)}
    for factor in (Decimal("0.3"), Decimal(3)):
        first = {setting.path: setting.scale.at(setting.scale.place(setting.value * factor, ROUND_FLOOR))}
        if not [*relations.problems(with_values(whole, first))]:
            continue
        for other in filter(None, found.values()):
            if other.key != setting.key and other.scale is not None:
                ends = (other.scale.at(place) for place in (other.scale.first, other.scale.last))
                loads = any(not [*relations.problems(with_values(whole, {**first, other.path: end}))] for end in ends)
                assert not loads or other.key in known, f"{other.key} lets {first} load"
