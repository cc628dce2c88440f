"""What the registry knows outlives a restart, joins files of earlier versions, and is lost whole if it is damaged."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from tests.kit.core.position import coin
from tests.kit.rows import NOW, make_cycle
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state.state_folder import FACTS
from tradebot.model.registry import CoinHealth, DataCheck, DiscoveredContract, Discovery, Failed, Tier
from tradebot.model.struct_tools import replace

FULL = replace(
    coin("PF_XBTUSD"),
    rank=replace(coin("PF_XBTUSD", Tier.B).rank, rising_to=Tier.A, rising_since=NOW),
    data=replace(
        coin("PF_XBTUSD").data,
        health=CoinHealth.DEGRADED,
        failed=(Failed(DataCheck.SPREAD, Decimal("0.2"), None),),
        skipped=2,
    ),
)


def opened(folder: Path) -> tuple[SqliteFacts, MemoryEvents]:
    events = MemoryEvents()
    return SqliteFacts(folder, events, NOW), events


def test_coins_are_the_same_after_a_restart_and_in_memory(tmp_path: Path) -> None:
    memory = MemoryFacts()
    for coins in ([coin("PF_XBTUSD"), coin("PF_ETHUSD", None)], [FULL], []):
        memory.put_registry(coins)
        with closing(opened(tmp_path)[0]) as facts:
            facts.put_registry(coins)
    with closing(opened(tmp_path)[0]) as facts:
        assert facts.registry() == memory.registry() == {"PF_XBTUSD": FULL, "PF_ETHUSD": coin("PF_ETHUSD", None)}


def test_what_was_discovered_is_the_same_after_a_restart_and_in_memory(tmp_path: Path) -> None:
    memory = MemoryFacts()
    lost = DiscoveredContract("PI_XBTUSD", NOW, listed=False, why="it is another contract")
    found = Discovery((DiscoveredContract("PF_XBTUSD", NOW, tier=Tier.A, figures=FULL.rank.figures), lost), NOW)
    assert memory.discovery() == Discovery()
    for one in (Discovery(), replace(found, problem="away", short_since=NOW), found):
        memory.put_discovery(one)
        with closing(opened(tmp_path)[0]) as facts:
            facts.put_discovery(one)
        with closing(opened(tmp_path)[0]) as facts:
            assert facts.discovery() == memory.discovery() == one
    assert found.symbols == ("PF_XBTUSD",)


def test_a_file_of_an_earlier_version_keeps_its_passes_and_gets_a_place_for_coins(tmp_path: Path) -> None:
    with closing(opened(tmp_path)[0]) as facts:
        facts.record(make_cycle("c1"))
    with closing(sqlite3.connect(tmp_path / FACTS)) as database:
        database.execute("DROP TABLE coins")
        database.execute("DROP TABLE discovery")
    for _ in range(2):
        facts, events = opened(tmp_path)
        with closing(facts):
            facts.put_registry([FULL])
            assert facts.registry() == {"PF_XBTUSD": FULL}
            assert facts.discovery() == Discovery()
            assert facts.cycle("c1") == make_cycle("c1")
            assert events.emitted == []


def test_a_row_that_changed_by_itself_counts_as_unknown(tmp_path: Path) -> None:
    with closing(opened(tmp_path)[0]) as facts:
        facts.put_registry([FULL, coin("PF_ETHUSD")])
    with closing(sqlite3.connect(tmp_path / FACTS)) as database, database:
        database.execute("UPDATE coins SET body = replace(body, 'DEGRADED', 'HEALTHY') WHERE symbol = 'PF_XBTUSD'")
    with closing(opened(tmp_path)[0]) as facts:
        assert set(facts.registry()) == {"PF_ETHUSD"}
