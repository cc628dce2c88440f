"""The rotation's own values are those that the configuration's comments and the profile show."""

import yaml

from tradebot.app.settings import load, shipped
from tradebot.strategies.rotation_settings import RotationSettings


def test_the_values_that_the_comments_of_the_configuration_show_are_the_strategys_own() -> None:
    text = (shipped("base.yaml")).read_text(encoding="utf-8")
    block = text.partition("  # rotation: once a month")[2].partition("  # It is asked in the first session")[0]
    lines = [line.removeprefix("  #") for line in block.splitlines() if line.startswith("  #   ")]
    shown = yaml.safe_load("\n".join(lines))
    assert shown == RotationSettings().model_dump(mode="json") | {"leverage": 1.25, "min_momentum": 0}
    assert list(shown) == list(RotationSettings.model_fields)


def test_the_profile_spells_them_out() -> None:
    own = load(shipped("profiles") / "rotation.yaml", {}).settings.strategies.in_use()["rotation"]
    assert RotationSettings.model_validate(own) == RotationSettings()
    assert set(own) == set(RotationSettings.model_fields)
