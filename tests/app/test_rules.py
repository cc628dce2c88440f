"""What was discovered takes the place of the universe, in the rules and nowhere else."""

from datetime import date
from pathlib import Path

from tests.kit.values import NOW, SHIPPED
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.app.rules import discovered_last, in_force, rules_of, symbols_on
from tradebot.app.settings import Settings, load
from tradebot.model.registry import UNSORTED, DiscoveredContract, Discovery

NEW = "PF_NEWUSD"


def settings(folder: Path, discovery: str) -> Settings:
    file = folder / "mine.yaml"
    file.write_text(f"venue: kraken_futures\nregistry: {{enabled: true, discovery: {discovery}}}\n")
    return load(file, {}).settings


def test_what_was_discovered_is_traded_under_a_sector_and_the_settings_stay_as_they_are(tmp_path: Path) -> None:
    found = settings(tmp_path, "true")
    configured, rules = rules_of(found, found.exits), in_force(found, None, ("PF_ETHUSD", NEW))
    assert rules.universe == rules.every_symbol == ("PF_ETHUSD", NEW)
    assert {rules.of(name).universe for name in rules.own} == {("PF_ETHUSD", NEW)}
    assert (rules.sectors["PF_ETHUSD"], rules.sectors[NEW]) == (configured.sectors["PF_ETHUSD"], UNSORTED)
    assert list(in_force(found, None).universe) == list(configured.universe) == found.universe
    assert len(found.universe) == 56


def test_only_with_discovery_and_after_it_anything_is_discovered(tmp_path: Path) -> None:
    facts = MemoryFacts()
    assert discovered_last(settings(tmp_path, "true"), lambda: None) == ()
    assert discovered_last(settings(tmp_path, "true"), lambda: facts) == ()
    facts.put_discovery(
        Discovery((DiscoveredContract(NEW, NOW), DiscoveredContract("PI_NEWUSD", NOW, why="a second one")), NOW)
    )
    assert discovered_last(settings(tmp_path, "true"), lambda: facts) == (NEW,)
    assert discovered_last(settings(tmp_path, "false"), lambda: facts) == ()


def test_roots_stand_for_the_contracts_that_were_chosen_in_universe_strategies_and_sectors(tmp_path: Path) -> None:
    file = tmp_path / "futures.yaml"
    file.write_text(
        "venue: ibkr\nuniverse: [ES1!, XAUUSD, 6EH7]\nsectors: {ES1!: indexes, GC: metals, 6EH7: currencies}\n"
        "strategies: {futures: {universe: [XAUUSD]}}\n"
    )
    found = load(file, {}).settings
    facts = MemoryFacts()
    assert discovered_last(found, lambda: facts) == ()
    facts.put_discovery(Discovery(tuple(DiscoveredContract(symbol, NOW) for symbol in ("ESZ6", "GCG7", "6EH7")), NOW))
    rules = in_force(found, None, discovered_last(found, lambda: facts))
    assert rules.universe == ("ESZ6", "GCG7", "6EH7")
    assert rules.of("futures").universe == ("GCG7",)
    assert {symbol: rules.sectors[symbol] for symbol in rules.universe} == {
        "ESZ6": "indexes",
        "GCG7": "metals",
        "6EH7": "currencies",
    }
    assert rules.standing == {"ESZ6", "GCG7"}


def test_a_root_stands_for_the_contract_of_its_date_until_one_is_chosen() -> None:
    found = load(None, {}, {"venue": "ibkr", "universe": ["MES", "MGCZ6"]}).settings
    rules, names = rules_of(found, found.exits), found.universe
    assert symbols_on(found, rules, names, date(2026, 12, 7)) == ("MESZ6", "MGCZ6")
    assert symbols_on(found, rules, names, date(2026, 12, 8)) == ("MESH7", "MGCZ6")
    assert symbols_on(SHIPPED, rules, ["AAPL"], date(2026, 12, 8)) == ("AAPL",)
