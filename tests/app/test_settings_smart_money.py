"""The smart-money profiles: what they set, and the list of what the older one sets otherwise."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from tradebot.app.settings import Settings, load, shipped_path
from tradebot.app.settings_checks import find_ineffective
from tradebot.strategies.smart_money.settings import SmartMoneySettings


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
