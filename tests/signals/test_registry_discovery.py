"""Which contracts are traded: one perpetual of each coin, whatever the list's order, and never more at once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.position import figures, rules
from tests.kit.values import NOW, there
from tradebot.model.registry import DiscoveredContract, Discovery, Figures, Tier
from tradebot.model.struct_tools import replace
from tradebot.signals.registry import (
    GONE,
    NOTHING_LISTED,
    Naming,
    RetainedCoins,
    is_discovery_due,
    reject_listing,
    update_discovery,
)
from tradebot.venues.kraken.door import coin_of, symbol_of

DAY = timedelta(days=1)
NAMING = Naming(coin_of, symbol_of)
NOBODY = RetainedCoins((), ())
BTC, ETH, ADA, DOGE = "PF_XBTUSD", "PF_ETHUSD", "PF_ADAUSD", "PF_DOGEUSD"
ODD = ("PI_XBTUSD", "FF_ETHUSD_261225", "PF_XDGUSD", "PF_XBTEUR", "nonsense", "")
SYMBOLS = (BTC, ETH, ADA, DOGE, *ODD)
VOLUMES = (None, 1, 300_000, 600_000, 6_000_000)
listings = st.lists(st.sampled_from(SYMBOLS), max_size=12)
volumes = st.dictionaries(st.sampled_from(SYMBOLS), st.sampled_from(VOLUMES))
some = st.frozensets(st.sampled_from(SYMBOLS), max_size=3)


def read(of: Mapping[str, int | None]) -> dict[str, Figures]:
    return {symbol: figures(volume) for symbol, volume in of.items()}


def looked(
    listed: Sequence[str], of: Mapping[str, int | None], before: Discovery | None = None, kept: RetainedCoins = NOBODY
) -> Discovery:
    before = before or Discovery()
    return update_discovery(before, listed, read(of), kept._replace(traded=before.symbols), NOW, rules(), NAMING)


def why(found: Discovery) -> dict[str, str]:
    return {one.symbol: one.why for one in found.found}


@given(listings, volumes, listings, volumes, some, some)
def test_one_contract_of_a_coin_is_traded_in_any_order_of_the_list_and_the_same_list_changes_nothing(
    first: list[str],
    of_first: dict[str, int | None],
    listed: list[str],
    of: dict[str, int | None],
    pinned: frozenset[str],
    held: frozenset[str],
) -> None:
    kept = RetainedCoins(pinned, held)
    before = looked(first, of_first, kept=kept)
    found = looked(listed, of, before, kept)
    coins = [coin_of(symbol) for symbol in found.symbols]
    assert len(set(coins)) == len(coins)
    assert set(found.symbols) <= {BTC, ETH, ADA, DOGE}
    assert (pinned | held) & {BTC, ETH, ADA, DOGE} <= set(found.symbols) <= {*listed, *pinned, *held}
    assert looked(listed[::-1], of, before, kept) == found
    again = looked(listed, of, found, kept)
    assert again.symbols == found.symbols
    assert looked(listed, of, again, kept) == again


def test_a_coin_is_traded_if_its_figures_reach_a_tier_and_each_other_contract_has_its_reason() -> None:
    found = looked([BTC, ETH, ADA, DOGE, "PI_XBTUSD", "PF_XBTEUR"], {BTC: 6_000_000, ETH: 1, ADA: None, DOGE: 300_000})
    assert found.symbols == (DOGE, BTC)
    assert {one.symbol: one.tier for one in found.found if not one.why} == {BTC: Tier.A, DOGE: Tier.C}
    assert why(found) == {
        BTC: "",
        DOGE: "",
        ETH: "it is below all tiers",
        ADA: "its tier isn't known: no volume of 24 hours",
        "PI_XBTUSD": f"it is another contract of BTC, which is traded as {BTC}",
        "PF_XBTEUR": "'PF_XBTEUR' is not a contract of a single coin in USD, such as PF_XBTUSD",
    }


def test_a_contract_that_is_listed_twice_is_left_out() -> None:
    assert why(looked([BTC, BTC], {BTC: 6_000_000})) == {BTC: "the venue lists it 2 times"}


def test_a_pinned_coin_is_traded_whatever_its_figures_and_a_second_contract_of_it_never() -> None:
    found = looked([ETH], {ETH: 6_000_000}, kept=RetainedCoins({BTC, "PI_XBTUSD"}, {"FF_ETHUSD_261225"}))
    assert found.symbols == (ETH, BTC)


def test_what_isnt_known_leaves_a_coin_in_or_out_as_it_was() -> None:
    before = looked([BTC, ETH], {BTC: 6_000_000, ETH: 1})
    assert looked([BTC, ETH], {}, before).symbols == (BTC,)
    assert looked([BTC, ETH], {BTC: 1, ETH: 600_000}, before).symbols == (ETH,)


def test_a_coin_that_is_gone_stays_while_it_is_held_is_told_once_and_keeps_its_first_day() -> None:
    of = read(dict.fromkeys((BTC, ETH, ADA), 6_000_000))
    before = update_discovery(Discovery(), [BTC, ETH, ADA], of, NOBODY, NOW - DAY, rules(), NAMING)
    held = looked([BTC, ETH], {BTC: 6_000_000, ETH: 6_000_000}, before, RetainedCoins((), (ADA,)))
    assert held.symbols == (ADA, ETH, BTC)
    assert [(one.listed, one.since) for one in held.found if one.symbol == ADA] == [(False, NOW - DAY)]
    closed = looked([BTC, ETH], {BTC: 6_000_000, ETH: 6_000_000}, held)
    assert (closed.symbols, why(closed)[ADA]) == ((ETH, BTC), GONE)
    assert ADA not in why(looked([BTC, ETH], {BTC: 6_000_000, ETH: 6_000_000}, closed))


KNOWN = Discovery(tuple(DiscoveredContract(f"PF_C{number}USD", NOW) for number in range(10)), NOW)


@pytest.mark.parametrize(("count", "believed"), [(10, True), (6, True), (5, False), (1, False), (0, False)])
def test_a_list_of_half_as_many_isnt_believed(count: int, believed: bool) -> None:
    listed = [one.symbol for one in KNOWN.found[:count]]
    told = reject_listing(KNOWN, listed, NOW + DAY, rules())
    assert (told is None) is believed
    if told is not None:
        assert (told.found, told.at) == (KNOWN.found, KNOWN.at)
        assert told.problem


def test_a_shorter_list_is_believed_once_it_has_lasted_and_an_empty_one_never() -> None:
    listed = [one.symbol for one in KNOWN.found[:4]]
    doubted = there(reject_listing(KNOWN, listed, NOW, rules()))
    assert doubted.problem == "it names 4 contracts, but the previous list named 10"
    lasting = timedelta(seconds=rules().rise_after_s)
    still = reject_listing(doubted, listed, NOW + lasting - timedelta(seconds=1), rules())
    assert still == doubted
    assert reject_listing(doubted, listed, NOW + lasting, rules()) is None
    empty = reject_listing(doubted, [], NOW + 10 * lasting, rules())
    assert empty == replace(doubted, problem=NOTHING_LISTED)
    assert reject_listing(Discovery(), [], NOW, rules()) == Discovery(problem=NOTHING_LISTED)


def test_the_venue_is_asked_once_a_day_and_again_if_its_list_wasnt_believed() -> None:
    assert is_discovery_due(Discovery(), NOW, rules())
    assert not is_discovery_due(KNOWN, NOW + DAY - timedelta(seconds=1), rules())
    assert is_discovery_due(KNOWN, NOW + DAY, rules())
    assert is_discovery_due(KNOWN, NOW - timedelta(seconds=1), rules())
    assert is_discovery_due(replace(KNOWN, problem="away"), NOW, rules())
