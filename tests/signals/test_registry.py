"""The tier of a coin: what it needs, that it falls at once and rises late, and that what isn't known refuses.

The health of a coin's data: what fails, when it changes, and when it is looked at again.
"""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.position import candles, figures, quoted, rules
from tests.kit.values import NOW
from tradebot.model.registry import NO_VOLUME, CoinHealth, DataCheck, DataState, Failed, Figures, Rank, Tier, height
from tradebot.model.struct_tools import replace
from tradebot.signals.registry import (
    after_check,
    after_unchecked_pass,
    figures_of,
    is_data_check_due,
    is_due,
    missing,
    next_candle_at,
    of_candles,
    of_figures,
    tier_for,
    update_rank,
)

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
volumes = st.integers(0, 10_000_000).map(Decimal)
spreads = st.integers(0, 200).map(lambda bps: Decimal(bps) / 10_000)
prices = st.sampled_from([Decimal("0.00001"), Decimal("0.0099"), Decimal("0.01"), Decimal(90_000)])
known = st.builds(Figures, volumes, spreads, prices)
some = known | st.just(Figures(why="no quote")) | st.builds(Figures, st.none(), spreads, prices)


def after(readings: list[Figures], step: timedelta = DAY, *, pinned: bool = False) -> list[Rank]:
    """Return the rank after each reading, a step of time apart."""
    found: list[Rank] = []
    for place, read in enumerate(readings):
        found.append(update_rank(found[-1] if found else None, read, NOW + step * place, rules(), pinned=pinned))
    return found


@pytest.mark.parametrize(
    ("volume", "spread", "price", "tier"),
    [
        (5_000_000, "0.001", "0.00001", Tier.A),
        (4_999_999, "0.001", "0.00001", Tier.B),
        (5_000_000, "0.0011", "0.00001", Tier.B),
        (500_000, "0.0025", "0.00001", Tier.B),
        (499_999, "0.0025", "0.01", Tier.C),
        (500_000, "0.0026", "0.01", Tier.C),
        (250_000, "0.005", "0.01", Tier.C),
        (250_000, "0.005", "0.0099", None),
        (249_999, "0.005", "0.01", None),
        (9_000_000, "0.0051", "0.01", None),
    ],
)
def test_a_tier_needs_its_volume_spread_and_price(volume: int, spread: str, price: str, tier: Tier | None) -> None:
    assert tier_for(figures(volume, spread, price), rules().tiers) is tier


@given(known, volumes, spreads)
def test_more_volume_never_lowers_a_tier_nor_does_spread_raise_it(
    read: Figures, volume: Decimal, spread: Decimal
) -> None:
    tiers = rules().tiers
    assert read.volume_usd is not None
    assert read.spread_fraction is not None
    more = tier_for(replace(read, volume_usd=read.volume_usd + volume), tiers)
    wider = tier_for(replace(read, spread_fraction=read.spread_fraction + spread), tiers)
    assert height(more) >= height(tier_for(read, tiers)) >= height(wider)


@given(st.lists(some, min_size=1, max_size=12), st.integers(1, 200_000))
def test_a_tier_falls_at_once_and_never_rises_before_its_time(readings: list[Figures], step_s: int) -> None:
    ranks = after(readings, timedelta(seconds=step_s))
    first = next((place for place, rank in enumerate(ranks) if rank.known), len(ranks))
    risen_s = step_s * first
    for place in range(first + 1, len(ranks)):
        before, now = ranks[place - 1], ranks[place]
        if now.known:
            best = tier_for(readings[place], rules().tiers)
            assert height(now.tier) <= max(height(best), 0), "a tier above what the figures reach"
        if height(now.tier) > height(before.tier):
            assert now.rising_since is None
            assert before.rising_since is not None
            assert (NOW + timedelta(seconds=step_s) * place - before.rising_since).total_seconds() >= 86_400
            assert step_s * place - risen_s >= 86_400
            risen_s = step_s * place


@given(st.lists(some, min_size=1, max_size=6))
def test_unknown_figures_change_no_tier_and_are_never_eligible(readings: list[Figures]) -> None:
    for rank, read in zip(after(readings), readings, strict=True):
        assert rank.known is not bool(missing(read, pinned=False))
    blind = after([*readings, Figures(why="no quote")])
    assert (blind[-1].known, blind[-1].tier) == (False, blind[-2].tier)


def test_a_rise_waits_a_day_and_goes_to_the_lowest_tier_reached_meanwhile() -> None:
    low, middle, high = figures(300_000), figures(600_000), figures(6_000_000)
    assert [rank.tier for rank in after([low, high, high])] == [Tier.C, Tier.C, Tier.A]
    assert [rank.tier for rank in after([low, high, middle, middle])] == [Tier.C, Tier.C, Tier.B, Tier.B]
    assert [rank.tier for rank in after([low, middle, high, high], DAY / 2)] == [*[Tier.C] * 3, Tier.B]
    assert [rank.tier for rank in after([low, high, high], DAY - SECOND)] == [Tier.C] * 3
    assert [rank.tier for rank in after([low, high, low, high, high])] == [*[Tier.C] * 4, Tier.A]
    assert [rank.tier for rank in after([low, high, Figures(why="gone"), high, high])] == [*[Tier.C] * 4, Tier.A]


def test_the_first_figures_decide_at_once_because_there_is_nothing_to_rise_from() -> None:
    assert after([figures(6_000_000)])[0].tier is Tier.A
    assert [rank.tier for rank in after([Figures(why="gone"), figures(6_000_000)])] == [None, Tier.A]
    assert [rank.tier for rank in after([figures(100), figures(6_000_000)])] == [None, None]


def test_a_pinned_coin_is_in_the_highest_tier_at_once_and_refused_without_a_quote() -> None:
    ranks = after([figures(None, "0.4"), Figures(why="no quote"), figures(1)], pinned=True)
    assert [(rank.tier, rank.known) for rank in ranks] == [(Tier.A, True), (Tier.A, False), (Tier.A, True)]
    assert ranks[2].since == NOW + 2 * DAY
    low, read = after([figures(300_000)])[0], figures(300_000)
    later = update_rank(low, read, NOW + SECOND, rules(), pinned=True)
    assert (later.tier, update_rank(later, read, NOW + DAY, rules(), pinned=False).tier) == (Tier.A, Tier.C)


@pytest.mark.parametrize(
    ("bid", "ask", "age_s", "why"),
    [
        ("1.00", "1.01", 0, ""),
        ("1", "1", 60, ""),
        ("1", "1.01", 61, "a quote 61 s old"),
        ("1.01", "1.00", 0, "a bid of 1.01 and an ask of 1.00"),
        ("0", "1", 0, "a bid of 0 and an ask of 1"),
    ],
)
def test_a_quote_counts_if_it_is_live_and_not_crossed(bid: str, ask: str, age_s: int, why: str) -> None:
    read = figures_of(quoted(bid, ask), "", NOW + SECOND * age_s, 60)
    assert (read.why, missing(read, pinned=True), read.price is None) == (why, why, bool(why))


def test_why_there_is_no_quote_and_that_the_volume_is_missing_is_said() -> None:
    assert missing(figures_of(None, "isn't listed", NOW, 60), pinned=True) == "isn't listed"
    blind = figures_of(quoted("1", "1.01", None), "", NOW, 60)
    assert (missing(blind, pinned=False), missing(blind, pinned=True)) == (NO_VOLUME, "")


def test_a_tier_is_measured_once_a_day_and_in_each_pass_until_it_is_known() -> None:
    good, blind = after([figures(6_000_000), Figures(why="gone")])
    assert is_due(None, NOW, rules())
    assert [is_due(good, NOW + SECOND * s, rules()) for s in (0, 86_399, 86_400, -1)] == [False, False, True, True]
    assert is_due(blind, NOW + SECOND, rules())


RULES, FIVE, HOUR = rules().health, timedelta(minutes=5), timedelta(hours=1)
BAD = (Failed(DataCheck.VOLUME, Decimal(1), Decimal(10_000)),)
BEGAN = NOW.replace(hour=8, minute=0, second=0, microsecond=0)
"""When the newest candle began; the next one is there at 16:00."""


def played(looks: str, step: timedelta = FIVE) -> list[DataState]:
    """Return the state after each pass: "+" for data that passes if it is looked at, "-" for data that fails."""
    states: list[DataState] = []
    for place, look in enumerate(looks):
        before, now = states[-1] if states else None, NOW + step * place
        if before is None or is_data_check_due(before, now, RULES):
            states.append(after_check(before, BAD if look == "-" else (), now, RULES))
        else:
            states.append(after_unchecked_pass(before, now, RULES))
    return states


def healths(looks: str, step: timedelta = FIVE) -> str:
    return "".join(state.health[0] for state in played(looks, step))


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({}, []),
        ({"figures": figures(10_000, "0.1")}, []),
        ({"figures": figures(9_999)}, [DataCheck.VOLUME]),
        ({"figures": figures(None)}, [DataCheck.VOLUME]),
        ({"figures": figures(10_000, "0.1001")}, [DataCheck.SPREAD]),
        ({"figures": Figures(why="no quote")}, [DataCheck.QUOTE, DataCheck.VOLUME]),
        ({"candles": None}, [DataCheck.CANDLES]),
        ({"candles": candles(249, BEGAN)}, [DataCheck.CANDLES]),
        ({"candles": candles(250, BEGAN - timedelta(seconds=1))}, [DataCheck.NEWEST]),
        ({"candles": candles(3, BEGAN - HOUR)}, [DataCheck.CANDLES, DataCheck.NEWEST]),
    ],
)
def test_each_check_fails_just_past_its_limit(changes: dict[str, object], failing: list[DataCheck]) -> None:
    given_: dict[str, object] = {"figures": figures(20_000), "candles": candles(250, BEGAN)} | changes
    at = BEGAN + 8 * HOUR + timedelta(seconds=120)
    found = (*of_figures(given_["figures"], RULES), *of_candles(given_["candles"], at, RULES))  # type: ignore[arg-type]
    assert [one.check for one in found] == failing


def test_the_next_candle_should_be_there_when_it_has_ended() -> None:
    assert next_candle_at(candles(250, BEGAN)) == BEGAN + 8 * HOUR


@pytest.mark.parametrize(
    ("looks", "states"),
    [
        ("+++", "HHH"),
        ("+--+--+", "HHHHHHH"),
        ("+---", "HHHD"),
        ("-", "D"),
        ("-+++++++++++", "DDDDDDDDDDDD"),
        ("-++++++++++++", "DDDDDDDDDDDDH"),
        ("-++++++++---------------", "DDDDDDDDDDDDDDDDDDDDDDDD"),
    ],
)
def test_three_failures_degrade_and_three_passes_in_every_fourth_pass_heal(looks: str, states: str) -> None:
    assert healths(looks) == states


def test_six_hours_of_failing_suspend_and_it_is_then_probed_every_half_hour() -> None:
    found = played("-" * 90)
    assert [state.health for state in found].index(CoinHealth.SUSPENDED) == 72
    assert found[72].since - found[0].since == 6 * HOUR
    looked = sorted({state.looked_at for state in found[72:]})
    assert all(later - earlier == HOUR / 2 for earlier, later in pairwise(looked))
    assert len(looked) == 4


def test_suspended_data_is_healthy_after_three_probes_that_pass() -> None:
    looks = "-" * 73 + "+" * 14
    found = played(looks)
    assert (found[-2].health, found[-1].health) == (CoinHealth.SUSPENDED, CoinHealth.HEALTHY)
    assert found[-1].failed == ()


@given(st.text("+-", min_size=1, max_size=120), st.integers(1, 4_000))
def test_health_moves_only_along_its_three_steps(looks: str, step_s: int) -> None:
    states = played(looks, timedelta(seconds=step_s))
    assert states[0].health is (CoinHealth.HEALTHY if looks[0] == "+" else CoinHealth.DEGRADED)
    for place, (before, now) in enumerate(pairwise(states), 1):
        moved = (before.health, now.health)
        assert moved not in {(CoinHealth.HEALTHY, CoinHealth.SUSPENDED), (CoinHealth.SUSPENDED, CoinHealth.DEGRADED)}
        assert now.since == (before.since if moved[0] is moved[1] else NOW + timedelta(seconds=step_s) * place)
        if moved == (CoinHealth.HEALTHY, CoinHealth.DEGRADED):
            assert before.failures == RULES.failures - 1
        if now.health is CoinHealth.HEALTHY is not before.health:
            assert before.passes == RULES.passes - 1
        if moved == (CoinHealth.DEGRADED, CoinHealth.SUSPENDED):
            assert (now.since - before.since).total_seconds() >= RULES.suspend_after_s
    assert all(state.failures < RULES.failures or state.health is not CoinHealth.HEALTHY for state in states)


def test_a_look_that_is_later_than_now_is_made_again() -> None:
    suspended = played("-" * 80)[-1]
    assert not is_data_check_due(suspended, suspended.looked_at + FIVE, RULES)
    assert is_data_check_due(suspended, suspended.looked_at - FIVE, RULES)
