"""Discovery at the embedded Kraken Futures: it lists more coins than the bot names, and the bot trades them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.bot.folder import Bot, discard, typed

SETTINGS = """registry:
  enabled: true
  discovery: true
  pinned: [BTC]
  tiers: {a: {min_volume_usd: 300000000}, b: {min_volume_usd: 200000000}, c: {min_volume_usd: 150000000}}
  health: {min_candles: 2, failures: 1, passes: 1, min_healthy: 2}
"""


@pytest.fixture
def bot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a bot of two coins that discovers."""
    (tmp_path / "mine.yaml").write_text(SETTINGS)
    state = tmp_path / "state"
    what = ("--venue", "kraken_futures", "--symbols", "BTC,ADA", "--sessions", "2")
    said = typed(capsys, "init", "--state-dir", str(state), *what, "--config", str(tmp_path / "mine.yaml"))
    assert said.code == 0, said.err
    yield Bot(state, capsys)
    discard(state)


def faulty(bot: Bot, place: Path, what: str) -> None:
    """Let the list of instruments be odd for a look."""
    file = place / "faults.yaml"
    file.write_text(f"- name: odd\n  when: {{request: GET /derivatives/api/v3/instruments}}\n  what: {what}\n")
    assert bot.says("exchange", "faults", "add", str(file)).code == 0
    bot.says("registry", "--refresh")
    assert bot.says("exchange", "faults", "clear").code == 0


def told(bot: Bot, kind: str) -> list[dict[str, str]]:
    return [one["details"] for one in bot.json("events")["events"] if one["event_type"] == kind]


def test_what_the_venue_lists_is_traded_and_a_list_that_cant_be_read_changes_nothing(bot: Bot, tmp_path: Path) -> None:
    before = bot.json("registry")
    assert [row["symbol"] for row in before["coins"]] == ["PF_ADAUSD", "PF_XBTUSD"]
    assert before["discovery"]["at"] is None
    faulty(bot, tmp_path, "{missing_field: instruments}")
    assert {row["symbol"] for row in bot.json("registry")["coins"]} == {"PF_ADAUSD", "PF_XBTUSD"}
    assert len(told(bot, "list_not_believed")) == 1
    shown = bot.shown("registry")
    assert "The venue's list of contracts wasn't read yet: the configured universe is traded" in shown
    assert "The last list was rejected: the venue's list of instruments is not a list" in shown

    assert bot.says("registry", "--refresh").code == 0
    known = bot.json("registry")
    coins, left_out = known["coins"], known["discovery"]["left_out"]
    assert {"PF_XBTUSD", "PF_ETHUSD", "PF_SOLUSD"} <= {row["symbol"] for row in coins}
    assert len(coins) < 10
    assert {row["reason"] for row in coins} == {None}
    assert len(coins) + len(left_out) == known["discovery"]["listed"] == 56
    assert {row["why"] for row in left_out} <= {"it is below all tiers"}
    assert bot.json("registry", "SOL")["coins"][0]["tier"] is not None
    (changed,) = told(bot, "universe_changed")
    assert (changed["symbols"], changed["removed"]) == (str(len(coins)), "PF_ADAUSD")
    shown = bot.shown("registry")
    assert re.search(rf"Of 56 contracts listed at .*, {len(coins)} are traded", shown)
