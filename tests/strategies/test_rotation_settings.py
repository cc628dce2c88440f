"""The rotation's own values are those that the configuration's comments and the profile show."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tradebot.app.settings import load, shipped_path
from tradebot.errors import ConfigurationError
from tradebot.strategies.rotation import RotationSettings

SIBLING = {"strategy": "rotation", "exits": []}


def merged(into: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    nested = {key: merged(into.get(key) or {}, value) for key, value in changes.items() if isinstance(value, dict)}
    return {**into, **changes, **nested}


def loads(folder: Path, changes: dict[str, Any]) -> str:
    """Load the profile with changes; return why it is refused, empty if it isn't."""
    profile = yaml.safe_load((shipped_path("profiles") / "rotation.yaml").read_text())
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(merged(profile, changes)))
    try:
        load(file, {})
    except ConfigurationError as refused:
        return refused.message
    return ""


def rotation(**own: object) -> dict[str, Any]:
    return {"strategies": {"rotation": own}}


ADVICE = "raise it, or lower strategies.rotation.leverage"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"limits": {"max_order_fraction": 0.2, "max_symbol_fraction": 0.25}},
            "rotation wants up to 125% in one fund (TLT), but limits.max_symbol_fraction leaves 25% and 75% in 3 funds"
            f": {ADVICE}",
        ),
        (
            {"limits": {"max_order_fraction": 0.4, "max_symbol_fraction": 0.4, "max_sector_fraction": 1.24}},
            f"but limits.max_sector_fraction leaves 124%: {ADVICE}",
        ),
        (
            rotation(limits={"max_gross_fraction": 1}),
            "rotation wants up to 125% of its allotment in one fund (TLT), but "
            f"strategies.rotation.limits.max_gross_fraction leaves 100%: {ADVICE}",
        ),
        (
            rotation(defensive=None, limits={"max_theme_fraction": 0.5, "max_order_fraction": 0.5}),
            "in one fund (XLK), but strategies.rotation.limits.max_theme_fraction leaves 50%",
        ),
        ({"limits": {"max_net_fraction": 1.24, "max_order_fraction": 1}}, "limits.max_net_fraction leaves 124%"),
        ({"limits": {"max_concentration": 1, "max_order_fraction": 1}}, "limits.max_concentration leaves 100%"),
        (
            rotation(limits={"max_open_positions": 2, "max_new_entries": 2}),
            "rotation wants up to 3 funds, but strategies.rotation.limits.max_open_positions leaves 2: raise it",
        ),
        (
            {"strategies": {"rotation": {"allotment_fraction": 0.5}, "bold": {**SIBLING, "leverage": 1.6}}},
            "rotation and bold together want up to 142.5% in one fund (TLT), but limits.max_symbol_fraction leaves 140",
        ),
        (
            {"universe": ["XLK", "XLF"]},
            "strategies.rotation ranks or holds XLE, XLV, XLI, XLP, XLU, which its universe doesn't have: add them",
        ),
        (rotation(universe=["XLK"]), "strategies.rotation ranks or holds XLF, XLE, XLV, XLI, XLP, which its universe"),
        (rotation(lookback=126), "strategies.rotation.lookback: there is no such setting"),
        (rotation(leverage=5), "strategies.rotation.leverage: must be less than or equal to 4"),
        (rotation(top=12), "strategies.rotation: top 12 is more than the 11 symbols of ranked"),
        ({"strategies": {"mine": {"strategy": "flow"}}}, "strategies.mine.strategy: flow can be used once"),
    ],
)
def test_limit_that_the_rule_does_not_fit_is_refused_with_what_it_leaves(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    assert says in loads(tmp_path, changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limits": {"max_symbol_fraction": 1.25, "max_order_fraction": 1.25, "max_sector_fraction": 1.25}},
        # Smaller orders only take more passes.
        {"limits": {"max_order_fraction": 0.2}},
        {"strategies": {"rotation": {"allotment_fraction": 0.5}, "bold": {**SIBLING, "leverage": 1.55}}},
        {"strategies": {"rotation": {"leverage": 1}}, "limits": {"max_gross_fraction": 1, "max_order_fraction": 0.5,
                                                                "max_sector_fraction": 1, "max_symbol_fraction": 1}},
    ],
)  # fmt: skip
def test_limits_that_leave_room_for_the_rule_load(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert loads(tmp_path, changes) == ""


def test_comments_of_the_configuration_show_the_strategys_defaults() -> None:
    text = (shipped_path("base.yaml")).read_text(encoding="utf-8")
    block = text.partition("  # rotation: once a month")[2].partition("  # It is asked in the first session")[0]
    lines = [line.removeprefix("  #") for line in block.splitlines() if line.startswith("  #   ")]
    shown = yaml.safe_load("\n".join(lines))
    assert shown == RotationSettings().model_dump(mode="json") | {"leverage": 1.25, "min_momentum": 0}
    assert list(shown) == list(RotationSettings.model_fields)


def test_rotation_profile_sets_every_default() -> None:
    own = load(shipped_path("profiles") / "rotation.yaml", {}).settings.strategies.in_use()["rotation"]
    assert RotationSettings.model_validate(own) == RotationSettings()
    assert set(own) == set(RotationSettings.model_fields)
