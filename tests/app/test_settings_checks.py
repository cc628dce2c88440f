"""Settings that would keep displacement from ever acting don't load, and the message says why."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

import pytest

from tradebot.app.rules import rules_of
from tradebot.app.settings import Settings, load, shipped_path
from tradebot.app.settings_checks import find_ineffective
from tradebot.errors import ConfigurationError
from tradebot.strategies.smart_money.settings import SmartMoneySettings

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
            r"displacement\.min_age_s 22500 is not below the 22500 s of a session that are left",
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
        (auctions() | {"displacement": ON}, r"strategies\.flow uses both the auction and displacement"),
        (auctions(max_positions=21), r"auction\.max_positions 21 is above limits\.max_open_positions 20"),
        (auctions(min_age_s=14400), r"auction\.min_age_s of 14400 s is not shorter than time_exit's after_s 14400"),
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


def loaded(profile: str) -> Settings:
    return load(shipped_path("profiles") / f"{profile}.yaml", {}).settings


def flat(values: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        where = f"{path}.{name}" if path else name
        if isinstance(value, Mapping) and value:
            yield from flat(value, where)
        else:
            yield where, value


def section(settings: Settings) -> SmartMoneySettings:
    return SmartMoneySettings.model_validate(settings.strategies.in_use()["smart_money"])


def test_the_profile_says_what_the_strategy_would_do_by_itself() -> None:
    shown, built_in = (
        one.model_dump(exclude={"variants"}) for one in (section(loaded("smart_money")), SmartMoneySettings())
    )
    assert shown == built_in
    assert len(section(loaded("smart_money")).variations()) == 4


def test_a_variant_that_sets_what_is_set_anyway_is_said_to_have_no_effect() -> None:
    assert list(find_ineffective(loaded("smart_money"))) == []
    nearer = {"strategies": {"smart_money": {"fib": {"near_fraction": "0.005"}}}}
    settings = load(shipped_path("profiles") / "smart_money.yaml", {}, nearer).settings
    assert list(find_ineffective(settings)) == [
        "strategies.smart_money.variants.nearer level has no effect, because it only repeats current settings"
    ]


def test_limits_fit_together_from_the_size_of_an_order_to_the_halt() -> None:
    settings = loaded("smart_money")
    limits, halts, auction = settings.limits, settings.halts, settings.auction
    assert auction
    assert limits.max_margin_fraction
    assert halts.margin_fraction
    assert halts.positions
    assert limits.max_drawdown_fraction
    assert (limits.max_order_fraction, limits.max_symbol_fraction) == (7 * Decimal("0.03"), Decimal("0.25"))
    assert limits.max_margin_fraction <= auction.margin_fraction < halts.margin_fraction < 1
    assert auction.max_positions == limits.max_open_positions < halts.positions
    assert limits.max_drawdown_fraction < halts.drawdown_fraction
    assert settings.registry
    assert settings.registry.enabled


def test_the_february_profile_differs_in_what_its_file_lists_and_in_nothing_else() -> None:
    today, february = (
        dict(flat(loaded(name).model_dump(mode="json"))) for name in ("smart_money", "smart_money_february")
    )
    differing = {name for name in today.keys() | february.keys() if today.get(name) != february.get(name)}
    path, costs = "strategies.smart_money", ("taker_bps", "maker_bps", "slippage_bps", "funding_day_bps", "hold_s")
    listed = {f"{path}.fib.zone", f"{path}.setups_need_a_block"}
    assert listed < differing
    assert differing - listed <= {f"{path}.costs", *(f"{path}.costs.{name}" for name in costs)}
    older = section(loaded("smart_money_february"))
    assert older.setups_need_a_block
    assert older.fib.zone == (Decimal("0.705"), Decimal("0.79"))
    assumed = loaded("smart_money_february").costs_of("smart_money")
    assert assumed
    assert assumed.trading(rests=False) == Decimal("0.0015")
