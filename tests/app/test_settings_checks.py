"""Settings that would keep displacement from ever acting don't load, and the message says why."""

import pytest

from tradebot.app.rules import rules_of
from tradebot.app.settings import load
from tradebot.errors import ConfigurationError

ON: dict[str, object] = {"enabled": True}

DECAY = {"signal_decay": {"noise_multiple": 3, "recovery_multiple": 2, "confirm_passes": 2, "min_hold_s": 7201}}


def flags(displacement: dict[str, object], own: dict[str, object] | None = None) -> dict[str, object]:
    return {"displacement": displacement, "strategies": {"flow": own or {}}}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            flags({**ON, "min_age_s": 14400}),
            r"displacement\.min_age_s of 14400 s is not shorter than time_exit's after_s 14400",
        ),
        (
            flags(ON, {"exits": [{"stop_loss": {"fraction": 0.02}}, {"time_exit": {"after_s": 3600}}]}),
            r"displacement\.min_age_s of 7200 s is not shorter than time_exit's after_s 3600",
        ),
        (
            flags({**ON, "min_age_s": 22500}, {"exits": [{"end_of_day": {"before_close_s": 900}}]}),
            r"displacement\.min_age_s 22500 is not below the 22500 s that end_of_day leaves of a session",
        ),
        (flags(ON, {"exits": [DECAY]}), r"displacement\.min_age_s 7200 is below signal_decay's min_hold_s 7201"),
    ],
)
def test_age_rule_that_no_position_can_reach_is_refused(flags: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load(None, {}, flags)


AUCTION: dict[str, object] = {
    "value_per_r": 0.05, "cost": 0.02, "min_advantage": 0.1, "max_positions": 5, "margin_fraction": 0.9,
    "max_per_cluster": 8, "max_opens": 5, "max_closes": 5, "max_trades": 5, "min_age_s": 900, "cooldown_s": 3600,
}  # fmt: skip


def auctions(own: dict[str, object] | None = None, **rules: object) -> dict[str, object]:
    return {"auction": AUCTION | rules, "strategies": {"flow": {"auction": True} | (own or {})}}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (auctions() | {"auction": None}, r"strategies\.flow\.auction is true, but auction is null"),
        (auctions() | {"displacement": ON}, r"strategies\.flow takes part in the auction and in displacement"),
        (auctions(max_positions=21), r"auction\.max_positions 21 is above limits\.max_open_positions 20"),
        (
            auctions(min_age_s=14400),
            r"auction\.min_age_s of 14400 s is not shorter than time_exit's after_s 14400",
        ),
        (auctions({"exits": [DECAY]}), r"auction\.min_age_s 900 is below signal_decay's min_hold_s 7201"),
        (
            auctions() | {"halts": {"margin_fraction": 0.9}},
            r"auction\.margin_fraction 0\.9 is not below halts\.margin_fraction 0\.9",
        ),
    ],
)
def test_auction_that_contradicts_the_rest_is_refused(flags: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load(None, {}, flags)


def test_strategies_take_part_in_the_one_auction_of_the_account_if_they_chose_it() -> None:
    settings = load(None, {}, auctions()).settings
    rules = rules_of(settings, settings.exits)
    assert rules.of("flow").auction == settings.auction
    assert rules.of("mine").auction is None
    assert rules_of(load(None, {}, {"auction": AUCTION}).settings, settings.exits).of("flow").auction is None


def test_displacement_without_time_exit_may_have_any_age() -> None:
    load(None, {}, flags({"min_age_s": 14400}))
    load(None, {}, flags({**ON, "min_age_s": 86400}, {"exits": [{"stop_loss": {"fraction": 0.02}}]}))


def test_displacement_of_a_strategy_is_its_own_or_the_accounts_or_off() -> None:
    def of_flow(flags: dict[str, object]) -> object:
        settings = load(None, {}, flags).settings
        rules = rules_of(settings, settings.exits).of("flow").displacement
        return rules and rules.score_advantage

    own: dict[str, object] = {"enabled": True, "min_age_s": 60, "gain_band_fraction": 0.02, "score_advantage": 0.5,
           "cooldown_s": 60, "max_per_pass": 2}  # fmt: skip
    assert of_flow({}) is None
    assert of_flow(flags(ON)) == 0.25
    assert of_flow(flags({}, {"displacement": own})) == 0.5
    assert of_flow(flags(ON, {"displacement": {**own, "enabled": False}})) is None
    with pytest.raises(ConfigurationError, match=r"strategies\.flow\.displacement\.min_age_s of 14400"):
        load(None, {}, flags({}, {"displacement": {**own, "min_age_s": 14400}}))
