"""What was discovered takes the place of the universe, in the rules and nowhere else."""

from collections.abc import Iterator
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, SHIPPED
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.app.baseline import effective
from tradebot.app.rules import discovered_last, in_force, record_environment, rules_of, symbols_on
from tradebot.app.settings import Settings, load
from tradebot.app.thresholds import Scale, ThresholdQuestion, format_typed, setting_at, settings_read_by
from tradebot.app.what_if_rules import BEFORE, FIXED, READ, WhatIfRules, rules_of_record, settings_of, with_settings
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.model.decision import Gate
from tradebot.model.registry import UNSORTED, DiscoveredContract, Discovery
from tradebot.model.trading import Baseline
from tradebot.replaying.passes import RecordEnvironment

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
    expected = {"ESZ6": "indexes", "GCG7": "metals", "6EH7": "currencies"}
    assert {symbol: rules.sectors[symbol] for symbol in rules.universe} == expected
    assert rules.standing == {"ESZ6", "GCG7"}


def test_a_root_stands_for_the_contract_of_its_date_until_one_is_chosen() -> None:
    found = load(None, {}, {"venue": "ibkr", "universe": ["MES", "MGCZ6"]}).settings
    rules, names = rules_of(found, found.exits), found.universe
    assert symbols_on(found, rules, names, date(2026, 12, 7)) == ("MESZ6", "MGCZ6")
    assert symbols_on(found, rules, names, date(2026, 12, 8)) == ("MESH7", "MGCZ6")
    assert symbols_on(SHIPPED, rules, ["AAPL"], date(2026, 12, 8)) == ("AAPL",)


VENUE = load(None, {}).settings.venue
UNREAD = {"serve", "health", "notify", "chat", "web", "storage", "report", "backtest", "tax", "funds"}
"""Sections that no decision of a pass reads, besides that of the venue's addresses."""


@pytest.fixture(scope="module")
def around() -> RecordEnvironment:
    settings = load(None, {}, {"mode": "sandbox"}).settings
    return record_environment(settings, Baseline(effective(settings), "test", NOW), ())


@pytest.fixture
def made(tmp_path: Path) -> Iterator[WhatIfRules]:
    with WhatIfRules(tmp_path, {}) as found:
        yield found


def test_every_section_is_answered_or_said() -> None:
    assert sorted([*FIXED, *BEFORE, *READ, *UNREAD, VENUE]) == sorted(Settings.model_fields)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("limits.max_open_positions", 12, ""),
        ("strategies.flow.limits.min_score", 0.3, ""),
        ("strategies.flow.min_cluster", 1, ""),
        ("sectors.AAPL", "toys", ""),
        ("storage.backups", 3, "no decision of a pass depends on it"),
        ("unusual_whales.reserve_fraction", 0.2, "which flow was fetched, and when, was decided before the pass"),
        ("exits.stop_loss_fraction", 0.02, "passes of evaluate-exits decide which positions it closes"),
        ("halts.daily_loss_fraction", 0.06, "a halt that was in force stays in force"),
        ("universe", ["AAPL", "MSFT"], ""),
        ("strategies.flow.universe", ["AAPL"], ""),
        ("universe", ["AAPL", "GLD"], "have no quote and no flow"),
        ("strategies.flow.times", "at open+30m", "which strategies were due was decided before the pass"),
        ("limits.price_jump_fraction", 0.04, "which prices were requested a second time"),
        ("limits.max_open_risk_fraction", 0.1, "stops wasn't computed, because no limit needed it"),
    ],
)
def test_earlier_reads_are_said(made: WhatIfRules, around: RecordEnvironment, path: str, value: Any, why: str) -> None:
    found = made.of(around, [(tuple(path.split(".")), value)])
    assert [one.setting for one in found.unanswered] == ([path] if why else [])
    assert not why or why in found.unanswered[0].why


def test_strategies_with_another_answer_are_told_by_what_differs(made: WhatIfRules, around: RecordEnvironment) -> None:
    (cluster,) = made.of(around, [(("strategies", "flow", "min_cluster"), 1)]).strategies
    assert (cluster.name, cluster.settings, cluster.sees) == ("flow", frozenset({"min_cluster"}), False)
    assert cluster.refilters is not None
    (window,) = made.of(around, [(("strategies", "flow", "lookback_s"), 3600)]).strategies
    assert window.refilters is None
    (seen,) = made.of(around, [(("sectors", "AAPL"), "toys")]).strategies
    assert seen.sees
    assert made.of(around, [(("limits", "max_open_positions"), 12)]).strategies == ()


@pytest.mark.parametrize("section", sorted(FIXED))
def test_what_would_make_another_bot_is_refused(made: WhatIfRules, around: RecordEnvironment, section: str) -> None:
    with pytest.raises(OperatorError, match=f"a what-if can't change {section}"):
        made.of(around, [((section,), "live")])


ORIGIN = "--what-if"


def test_changed_setting_is_in_the_rules_and_all_others_are_as_recorded(around: RecordEnvironment) -> None:
    before, put = rules_of_record(around), with_settings(around, [(("limits", "max_open_positions"), 12)], ORIGIN)
    assert before.limits.max_open_positions != 12
    assert put.rules.limits.model_dump() == {**before.limits.model_dump(), "max_open_positions": 12}
    assert (put.rules.halts, put.settings.limits) == (before.halts, put.rules.limits)
    assert with_settings(around, (), ORIGIN) == (settings_of(around), before)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("limits", "max_open_position"), 12, r"limits.max_open_position \(--what-if\): there is no such setting"),
        (("limits", "min_score"), "high", r"limits.min_score \(--what-if\)"),
        (("limits", "min_order_notional_usd"), 10_000, "every order would be too small or too large"),
        (("strategies", "flow", "min_families"), 20, "no entry could ever be made"),
    ],
)
def test_settings_that_would_not_load_are_refused_with_the_loaders_sentence(
    around: RecordEnvironment, path: tuple[str, ...], value: object, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        with_settings(around, [(path, value)], ORIGIN)


def own_settings(**own: Any) -> Settings:
    return load(None, {}, own or None).settings


def keys(gate: Gate, **own: Any) -> list[str]:
    return [one.key for one in settings_read_by(own_settings(**own), "flow", ThresholdQuestion(gate), {})]


def test_limits_in_force_follow_from_the_strategys_and_the_accounts() -> None:
    assert keys(Gate.SCORE) == ["strategies.flow.limits.min_score", "limits.min_score"]
    assert keys(Gate.OPEN_POSITIONS) == ["limits.max_open_positions"]
    assert keys(Gate.POSITIONED) == []
    # Without an own limit on themes, the strategy's has to fit into its own gross limit.
    themes = keys(Gate.OWN_THEME_NOTIONAL, limits={"max_theme_fraction": 0.3})
    assert themes[:2] == ["limits.max_theme_fraction", "strategies.flow.limits.max_gross_fraction"]


def test_only_what_can_help_is_a_threshold_and_in_the_direction_that_can() -> None:
    def ways(gate: Gate, **own: Any) -> dict[str, int]:
        return {
            one.key: one.toward for one in settings_read_by(own_settings(**own), "flow", ThresholdQuestion(gate), {})
        }

    assert ways(Gate.SCORE)["limits.min_score"] == -1
    assert ways(Gate.SIZE)["limits.max_order_notional_usd"] == 1
    assert ways(Gate.BUYING_POWER)["limits.max_order_notional_usd"] == -1
    assert ways(Gate.PRICE_COLLAR)["limits.limit_offset_fraction"] == 0
    fitted = ways(Gate.SIZE, execution={"fit_to_room": True})
    assert fitted["limits.max_symbol_fraction"] == 1


@pytest.mark.parametrize(
    ("path", "first", "last"),
    [
        (("limits", "max_open_positions"), "1", "1000"),
        (("limits", "min_score"), "3.0E-8", "1.00"),
        (("limits", "limit_offset_fraction"), "0", "0.050"),
        (("limits", "cooldown_s"), "1", "2592000"),
        (("limits", "max_beta_fraction"), "3.0E-8", "10.0"),
        (("strategies", "flow", "limits", "max_open_positions"), "1", "1000"),
        (("strategies", "flow", "min_cluster"), "1", "1000"),
    ],
)
def test_ends_are_those_of_the_loader(path: tuple[str, ...], first: str, last: str) -> None:
    found = setting_at(own_settings(limits={"max_beta_fraction": 1}), path)
    assert found is not None
    ends = found.scale.at(found.scale.first), found.scale.at(found.scale.last)
    assert [str(one) for one in ends] == [first, last]


def test_what_has_no_value_or_is_no_number_is_no_threshold() -> None:
    for path in (("limits", "max_beta_fraction"), ("execution", "room"), ("strategies", "rotation", "limits", "x")):
        assert setting_at(own_settings(), path) is None


FRACTION = Scale(whole=False, least=Decimal(0), most=Decimal(1), above=True)
COUNT = Scale(whole=True, least=Decimal(1), most=Decimal(1000))
SECONDS = Scale(whole=True, least=Decimal(0), most=Decimal(2_592_000), above=True)
SCALES = st.sampled_from([FRACTION, COUNT, SECONDS])


@pytest.mark.parametrize(
    ("scale", "number", "below", "above"),
    [
        (FRACTION, "0.0333333", "0.033", "0.034"),
        (FRACTION, "0.2", "0.199", "0.201"),
        (FRACTION, "0.3", "0.299", "0.31"),
        (FRACTION, "1", "0.99", "1"),
        (COUNT, "8", "7", "9"),
        (COUNT, "1", "1", "2"),
        (COUNT, "300", "299", "310"),
        (SECONDS, "3600", "3500", "3700"),
        (SECONDS, "1", "1", "2"),
        (SECONDS, "2592000", "2590000", "2592000"),
        (Scale(whole=False, least=Decimal(0), most=Decimal("0.05")), "0.000000001", "0", "0.00000003"),
    ],
)
def test_neighbors_of_a_number_are_typed_by_a_person(scale: Scale, number: str, below: str, above: str) -> None:
    places = (scale.next_to(Decimal(number), step) for step in (-1, 1))
    at = [scale.at(min(max(place, scale.first), scale.last)) for place in places]
    assert [format_typed(one) for one in at] == [below, above]


@given(SCALES, st.data())
def test_places_are_in_the_order_of_their_numbers(scale: Scale, data: st.DataObject) -> None:
    place = data.draw(st.integers(scale.first, scale.last - 1))
    number, following = scale.at(place), scale.at(place + 1)
    assert scale.least <= number < following <= scale.most
    assert scale.index_of(number, ROUND_FLOOR) == scale.index_of(number, ROUND_CEILING) == place
    between = (number + following) / 2
    assert (scale.index_of(between, ROUND_FLOOR), scale.index_of(between, ROUND_CEILING)) == (place, place + 1)
    assert len(format_typed(number).replace(".", "").strip("0")) <= 3 or number == scale.most
    assert scale.whole is False or number == int(number)


@given(st.decimals("0.0001", 1, places=9))
def test_a_neighbor_is_within_three_percent_and_a_half(number: Decimal) -> None:
    above = FRACTION.at(FRACTION.index_of(number, ROUND_CEILING))
    assert number <= above <= number * Decimal("1.034")
