"""`tradebot registry`: each coin with its tier, its numbers and its data, at the embedded Kraken Futures."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, discard, typed

SETTINGS = """registry:
  enabled: true
  tiers: {c: {min_price: 0.5}}
  health: {min_candles: 2, failures: 1, passes: 1, degraded_every: 1}
"""
HOUR = "2026-11-16 00:00:00 UTC"


@pytest.fixture(scope="module")
def coins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the place of a bot with a pinned and another coin, for the tests of this module in their order."""
    place = tmp_path_factory.mktemp("registry")
    (place / "mine.yaml").write_text(SETTINGS)
    yield place
    discard(place / "state")


@pytest.fixture
def bot(coins: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    state, file = coins / "state", coins / "mine.yaml"
    if not state.exists():
        what = ("--venue", "kraken_futures", "--symbols", "BTC,ADA", "--sessions", "2", "--config", str(file))
        assert typed(capsys, "init", "--state-dir", str(state), *what).code == 0
    return Bot(state, capsys)


def test_before_any_look_nothing_is_known_and_entries_pause(bot: Bot) -> None:
    assert bot.says("registry").code == 10
    assert bot.shown("registry").splitlines() == [
        f"Entries pause at {HOUR}: healthy data for 0 of the 2 required coins",
        "Next check of every coin: next pass",
        "coin       tier     why not",
        "PF_ADAUSD  unknown  TIER_UNKNOWN: never looked at",
        "PF_XBTUSD  unknown  TIER_UNKNOWN: never looked at",
        "Next: tradebot registry SYMBOL shows one coin in full",
    ]


def test_a_refresh_asks_the_broker_about_every_coin(bot: Bot) -> None:
    assert bot.says("registry", "--refresh").code == 0
    lines = [re.sub(r" {2,}", "  ", line) for line in bot.shown("registry").splitlines()]
    assert lines[0] == f"2 coins open for entries at {HOUR}"
    assert re.fullmatch(r"PF_XBTUSD  A  1,\d{3},\d{3},\d{3}  0.02%  92,000.00  [-\d]+ [:\d]+ UTC  HEALTHY", lines[3])
    assert re.fullmatch(r"PF_ADAUSD  A  \d\d,\d{3},\d{3}  0.02%  0.4300  [-\d]+ [:\d]+ UTC  HEALTHY", lines[4])


def test_one_coin_is_shown_in_full_by_any_of_its_names(bot: Bot) -> None:
    lines = bot.shown("registry", "xbt/usd").splitlines()
    assert lines[1:4] == [
        "  coin       PF_XBTUSD",
        f"  tier       A, pinned, since {HOUR}",
        "  allows     10 times leverage, 100,000.00 USD, 0.10% slippage",
    ]
    assert lines[-2:] == [f"  data       HEALTHY, since {HOUR}", "  next look  next pass"]
    assert bot.says("registry", "DOGE").code == 2


def with_fault(bot: Bot, place: Path, what: str) -> dict[str, dict[str, object]]:
    """Let every ticker be odd for a look; return what is known of the coins then."""
    file = place / "faults.yaml"
    file.write_text(f"- name: odd\n  when: {{request: GET /derivatives/api/v3/tickers}}\n  what: {what}\n")
    assert bot.says("exchange", "faults", "add", str(file)).code == 0
    assert bot.says("registry", "--refresh").code == 10
    assert bot.says("exchange", "faults", "clear").code == 0
    return {row["symbol"]: row for row in bot.json("registry")["coins"]}


def recovered(bot: Bot) -> bool:
    """Return True if a good look opens entries again."""
    return bot.says("registry", "--refresh").code == 0


def test_without_a_volume_only_a_pinned_coin_keeps_its_tier_and_both_are_degraded(bot: Bot, coins: Path) -> None:
    found = with_fault(bot, coins, "{missing_field: volumeQuote}")
    ada, xbt = found["PF_ADAUSD"], found["PF_XBTUSD"]
    assert (ada["reason"], ada["observed"]) == ("TIER_UNKNOWN", "no volume of 24 hours")
    assert (xbt["reason"], xbt["observed"]) == ("DATA_DEGRADED", "volume unknown (limit 10000)")
    assert {ada["health"], xbt["health"]} == {"DEGRADED"}
    assert recovered(bot)


def test_a_crossed_quote_makes_every_coin_unknown_and_each_change_is_told(bot: Bot, coins: Path) -> None:
    found = with_fault(bot, coins, "{wrong_value: bid, is: 9999999}")
    said = {(row["reason"], row["observed"], row["tier"], row["failed"]) for row in found.values()}
    assert said == {("TIER_UNKNOWN", "bid is above the ask", "A", "no quote, volume unknown (limit 10000)")}
    assert recovered(bot)
    told = [one for one in bot.json("events")["events"] if one["subsystem"] == "registry"][-5:]
    assert told.pop()["event_type"] == "entries_resumed"
    expected = {("tier_changed", "unknown", "A"), ("data_health_changed", "DEGRADED", "HEALTHY")}
    assert {(one["event_type"], one["details"]["before"], one["details"]["now"]) for one in told} == expected


def test_without_a_registry_there_is_nothing_to_show_or_to_refresh(coins: Path, bot: Bot) -> None:
    rotation = "strategies: {rotation: {ranked: [PF_XBTUSD, PF_ADAUSD], top: 1, min_ranked: null}}"
    (coins / "off.yaml").write_text(f"venue: kraken_futures\nliquidity_tiers: [BTC, ADA]\n{rotation}\n")
    off = ("--config", str(coins / "off.yaml"))
    said = bot.says("registry", *off)
    assert said.out.startswith("This bot has no registry.")
    assert said.err.startswith("warning: liquidity_tiers (")
    refuses(bot.says("registry", "--refresh", *off), 2, "there is no registry to refresh")


def test_a_store_that_cant_be_read_knows_nothing(bot: Bot) -> None:
    (bot.folder / "facts.db").write_bytes(b"no database" * 100)
    assert bot.says("registry").code == 10
    assert {row["reason"] for row in bot.json("registry")["coins"]} == {"TIER_UNKNOWN"}
    assert bot.says("registry", "--refresh").code == 0


DISCOVERING = """registry:
  enabled: true
  discovery: true
  pinned: [BTC]
  tiers: {a: {min_volume_usd: 300000000}, b: {min_volume_usd: 200000000}, c: {min_volume_usd: 150000000}}
  health: {min_candles: 2, failures: 1, passes: 1, min_healthy: 2}
"""


@pytest.fixture
def discoverer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a bot of two coins that discovers."""
    (tmp_path / "mine.yaml").write_text(DISCOVERING)
    state = tmp_path / "state"
    what = ("--venue", "kraken_futures", "--symbols", "BTC,ADA", "--sessions", "2")
    said = typed(capsys, "init", "--state-dir", str(state), *what, "--config", str(tmp_path / "mine.yaml"))
    assert said.code == 0, said.err
    yield Bot(state, capsys)
    discard(state)


def faulty(discoverer: Bot, place: Path, what: str) -> None:
    """Let the list of instruments be odd for a look."""
    file = place / "faults.yaml"
    file.write_text(f"- name: odd\n  when: {{request: GET /derivatives/api/v3/instruments}}\n  what: {what}\n")
    assert discoverer.says("exchange", "faults", "add", str(file)).code == 0
    discoverer.says("registry", "--refresh")
    assert discoverer.says("exchange", "faults", "clear").code == 0


def told(discoverer: Bot, kind: str) -> list[dict[str, str]]:
    return [one["details"] for one in discoverer.json("events")["events"] if one["event_type"] == kind]


def test_what_the_venue_lists_is_traded_and_an_unreadable_list_changes_nothing(discoverer: Bot, tmp_path: Path) -> None:
    before = discoverer.json("registry")
    assert [row["symbol"] for row in before["coins"]] == ["PF_ADAUSD", "PF_XBTUSD"]
    assert before["discovery"]["at"] is None
    faulty(discoverer, tmp_path, "{missing_field: instruments}")
    assert {row["symbol"] for row in discoverer.json("registry")["coins"]} == {"PF_ADAUSD", "PF_XBTUSD"}
    assert len(told(discoverer, "list_not_believed")) == 1
    shown = discoverer.shown("registry")
    assert "The venue's list of contracts hasn't been read yet: the bot trades the configured universe" in shown
    assert "The last list was rejected: the venue's list of instruments is not a list" in shown

    assert discoverer.says("registry", "--refresh").code == 0
    known = discoverer.json("registry")
    coins, left_out = known["coins"], known["discovery"]["left_out"]
    assert {"PF_XBTUSD", "PF_ETHUSD", "PF_SOLUSD"} <= {row["symbol"] for row in coins}
    assert len(coins) < 10
    assert {row["reason"] for row in coins} == {None}
    assert len(coins) + len(left_out) == known["discovery"]["listed"] == 56
    assert {row["why"] for row in left_out} <= {"it is below all tiers"}
    assert discoverer.json("registry", "SOL")["coins"][0]["tier"] is not None
    (changed,) = told(discoverer, "universe_changed")
    assert (changed["symbols"], changed["removed"]) == (str(len(coins)), "PF_ADAUSD")
    shown = discoverer.shown("registry")
    assert re.search(rf"Of 56 contracts listed at .*, the bot trades {len(coins)}", shown)
