"""The values of the registry: the order of tiers, what counts as current, and settings that contradict each other."""

from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from tests.kit.core.position import coin, rules
from tests.kit.values import NOW
from tradebot.model.registry import CoinHealth, Registry, RegistryRules, Tier, height
from tradebot.model.struct_tools import replace

SECOND = timedelta(seconds=1)


def test_tiers_are_ordered_and_none_is_below_all() -> None:
    assert [height(tier) for tier in (Tier.A, Tier.B, Tier.C, None)] == [3, 2, 1, 0]


@pytest.mark.parametrize(("coins", "needed"), [(0, 0), (1, 1), (4, 4), (29, 29), (30, 30), (56, 30), (200, 50)])
def test_entries_need_thirty_healthy_coins_or_all_of_fewer_or_a_quarter_of_many(coins: int, needed: int) -> None:
    assert rules().health.needed_count(coins) == needed


def test_the_tier_of_a_symbol_is_told_only_while_it_is_known_and_current() -> None:
    coins = (coin("A"), coin("B", Tier.B), coin("LOW", None), coin("BLIND", known=False))
    registry = Registry(rules(), ("A", "B", "LOW", "BLIND", "NEW"), {one.symbol: one for one in coins})
    at = NOW + SECOND * rules().max_age_s
    leverage = [tier and tier.max_leverage for tier in (registry.tier_of(one, at) for one in registry.symbols)]
    assert leverage == [Decimal(10), Decimal(5), None, None, None]
    assert registry.tier_of("A", at + SECOND) is None


def test_only_current_coins_count_as_healthy() -> None:
    coins = (coin("A"), coin("B", health=CoinHealth.DEGRADED), coin("C", at=NOW - SECOND))
    registry = Registry(rules(), ("A", "B", "C"), {one.symbol: one for one in coins})
    at = NOW + SECOND * rules().max_age_s
    assert (registry.healthy(NOW), registry.healthy(at), registry.healthy(at + SECOND)) == (2, 1, 0)
    assert replace(registry, symbols=("C", "new")).healthy(NOW) == 1, "a coin of an earlier universe counted"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_age_s": 86_400}, "every coin would be refused before its tier is evaluated again"),
        ({"tiers.b.max_notional_usd": 100_001}, "max_notional_usd 100000 of A is below 100001 of B"),
        ({"tiers.c.min_volume_usd": 600_000}, "min_volume_usd 500000 of B is below 600000 of C"),
    ],
)
def test_settings_that_contradict_each_other_are_told(change: dict[str, object], words: str) -> None:
    values = rules().model_dump()
    for name, value in change.items():
        *sections, last = name.split(".")
        place = values
        for section in sections:
            place = place[section]
        place[last] = value
    (told,) = RegistryRules.model_validate(values).contradictions()
    assert words in told


def test_candles_of_a_day_are_refused_because_sessions_have_no_width() -> None:
    health = rules().health.model_dump() | {"candles": "1Day"}
    with pytest.raises(ValidationError, match="use candles of minutes or hours"):
        type(rules().health).model_validate(health)
