"""Every enriched signal at once, on the embedded exchange: fetched as documented, scored, explained, read by exits.

A new signal is two files: what they describe is fetched, stored, scored and explained without any other change.
"""

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.kit.adapters.alpaca import AT_ONCE, QUICK
from tests.kit.bot.folder import Bot, made
from tests.kit.bot.state import accept
from tests.kit.core.scene import NAMES, Scene, call
from tests.kit.fakes.scripted import Asked, Scripted, Wire, serving
from tests.kit.recipes import follow, recipe
from tests.kit.values import DAY, NOW, SHIPPED
from tests.signals.test_components import COMPONENTS, FOLLOWERS
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.flow.unusual_whales import UnusualWhales
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state.state_folder import FACTS
from tradebot.desk.fetching import fetch_flow, needed_facts
from tradebot.desk.proposals import score
from tradebot.desk.strategy_views import ViewBuilder
from tradebot.errors import ConfigurationError
from tradebot.model.bar import ClockReading
from tradebot.model.candidate import Input
from tradebot.model.fact_kind import Phase
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World
from tradebot.signals import components, kinds, subjects
from tradebot.signals.components import component_of
from tradebot.signals.kinds import kind_of
from tradebot.signals.scoring import evaluate
from tradebot.signals.subjects import shorts
from tradebot.strategies.flow import FlowStrategy

SYMBOLS = ("AAPL", "NVDA", "SPY")


KINDS = {kind.name for name in COMPONENTS for kind in component_of(name).reads}


EXITS = [{"stop_loss": {"fraction": 0.02}}, {"event_ahead": {"before_s": 86_400}}]


@pytest.fixture(scope="module")
def enriched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made(tmp_path_factory.mktemp("cli") / "state", "--symbols", ",".join(SYMBOLS)) as folder:
        path = folder / "tradebot.yaml"
        settings = yaml.safe_load(path.read_text())
        flow = settings["strategies"]["flow"]
        flow |= {"weights": {"flow": 0.9, **dict.fromkeys(COMPONENTS, 0.05)}, "exits": EXITS}
        path.write_text(yaml.safe_dump(settings))
        accept(folder)
        yield folder


def test_all_of_it_is_fetched_as_documented(enriched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot = Bot(enriched, capsys)
    assert bot.says("exchange", "tick", "60m").code == 0
    fetched = bot.json("fetch-flow")
    assert (fetched["failures"], fetched["left_out"]) == ([], [])
    counts = {found["endpoint"]: found for found in fetched["endpoints"]}
    assert counts.keys() >= KINDS
    for name in KINDS:
        assert (name, counts[name]["rejected"], counts[name]["foreign"]) == (name, {}, 0)
        if kind_of(name).market_wide:
            assert counts[name]["calls"] == 1
    assert counts["etf_flow"]["calls"] == 1, "only funds are asked about"
    assert counts["sector_tide"]["calls"] == 1, "two stocks of one sector take one call"
    with closing(SqliteFacts(enriched, MemoryEvents(), at := datetime.fromisoformat(fetched["at"]))) as facts:
        assert (enriched / FACTS).exists()
        replies = facts.checked_replies(at - timedelta(hours=1), at + timedelta(hours=1))
    assert {reply.endpoint for reply in replies} >= KINDS
    assert [(reply.endpoint, reply.findings) for reply in replies if reply.findings] == []


def test_each_value_follows_from_what_the_explanation_shows(enriched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot, found = Bot(enriched, capsys), set[str]()
    for symbol in SYMBOLS:
        (explained,) = bot.json("score", "--explain", symbol)["scores"]
        for part in explained["components"]:
            if part["name"] not in COMPONENTS or part["value"] is None:
                continue
            inputs = {each["name"]: float(each["value"]) for each in part["inputs"]}
            assert evaluate(part["formula"], inputs) == pytest.approx(part["value"])
            found.add(part["name"])
    assert found >= set(COMPONENTS) - set(FOLLOWERS), "followers are absent for symbols without alerts"
    assert found & set(FOLLOWERS)


NAME, COPY = "short_volume", "more_shorts"


ROW = {"market_date": DAY.isoformat(), "short_volume": 250, "total_volume": 1000}


BAD = {**ROW, "short_volume": -1}


PATH = "/api/shorts/{}/volume-and-ratio"


@pytest.fixture
def signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Follow the recipe in a copy of its subject, in a folder that is searched too, and add its rows."""
    copy = tmp_path / f"{COPY}.py"
    copy.write_text(Path(shorts.__file__).read_text())
    for change in recipe("signal"):
        if change.path.endswith("/shorts.py"):
            follow(change._replace(path=copy.name), tmp_path)
    monkeypatch.setattr(subjects, "__path__", [*subjects.__path__, str(tmp_path)])
    for table in (kinds, components):
        monkeypatch.setattr(table, "SUBJECTS", {**table.SUBJECTS, NAME: COPY})
    _forget()
    yield
    sys.modules.pop(f"{subjects.__name__}.{COPY}", None)
    vars(subjects).pop(COPY, None)
    _forget()


def _forget() -> None:
    for known in (kinds.kind_names, kinds.kind_of, kinds.kinds, components.component_names, components.component_of):
        known.cache_clear()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with serving() as wire:
        wire.script = answer
        yield wire


@pytest.fixture
def world(signal: None, tmp_path: Path, wire: Wire) -> Iterator[World]:
    """Yield the world of a bot whose score consists of the new component and the flow, at a scripted source."""
    strategy = FlowStrategy({**SHIPPED.strategies.in_use()["flow"], "weights": {"flow": 0.25, NAME: 0.75}})
    scene = Scene()
    facts = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    source = UnusualWhales(wire.url, "token", now=lambda: NOW, bounds=QUICK, policy=AT_ONCE)
    bare = replace(scene.world(), strategies=[strategy], facts=facts, flow=source)
    yield replace(bare, needed_facts=needed_facts([strategy], bare.rules))
    facts.close()


def answer(asked: Asked) -> Scripted:
    """Answer about the first symbol with a good and a bad row, and with nothing about the others."""
    return Scripted(200, {"data": [ROW, BAD] if asked.path == PATH.format(NAMES[0]) else []})


def test_what_the_recipe_adds_is_fetched_stored_scored_and_explained(world: World, wire: Wire) -> None:
    clocks = ClockReading(world.reader.clock(), None, 0.0)
    fetched = fetch_flow(world, call(Job.FETCH_FLOW), clocks)
    asked = [request.path for request in wire.asked]
    alerts = ["/api/option-trades/flow-alerts"] * len(NAMES)
    usual = [f"/api/stock/{name}/options-volume" for name in NAMES]
    own = [PATH.format(name) for name in NAMES]
    assert sorted(asked) == sorted([*alerts, *usual, *own]), "only what the strategy needs is fetched"
    (intake,) = [intake for intake in fetched.intakes if intake.received]
    assert (intake.endpoint, fetched.new) == (NAME, 1)
    assert [row.reason for row in intake.rejected] == ["short_volume is negative"]

    scored = score(world, call(Job.SCORE), world.reader.clock())
    found = {record.candidate.symbol: record.candidate for record in scored.candidates}
    parts = {part.name: part.value for part in found[NAMES[0]].components}
    assert parts == {"flow": None, NAME: 0.5}
    assert (found[NAMES[0]].score, found[NAMES[0]].coverage) == (0.75 * 0.5, 0.75)
    assert (found[NAMES[1]].components[1].value, found[NAMES[1]].coverage) == (None, 0.0)

    (strategy,) = world.strategies
    assert isinstance(strategy, FlowStrategy)
    view = ViewBuilder(world, clocks.now, world.strategies).of(strategy).view
    here, absent = (strategy.inputs(view, name)[1] for name in NAMES[:2])
    assert (here.component, here.formula) == (NAME, "clamp(1 - 2 * short / total, -1, 1)")
    assert [(each.name, str(each.value), each.at) for each in here.values if isinstance(each, Input)] == [
        ("short", "250", DAY),
        ("total", "1000", DAY),
    ]
    assert (here.absent, absent.absent) == (None, "no day with volume known")


def test_the_kinds_own_interval_counts_unless_one_is_configured(world: World) -> None:
    # The recipe's kind is new in the evening, and this is a morning.
    at_any_time = {replace(kind, phase=Phase.ALWAYS): names for kind, names in world.needed_facts.items()}
    world = replace(world, needed_facts=at_any_time)
    clocks = ClockReading(world.reader.clock(), None, 0.0)
    fetch_flow(world, call(Job.FETCH_FLOW), clocks)
    later = replace(clocks, clock=replace(clocks.clock, now=clocks.now + timedelta(seconds=539)))
    assert {intake.endpoint for intake in fetch_flow(world, call(Job.FETCH_FLOW), later).intakes} == {"flow_alerts"}
    often = replace(world, rules=replace(world.rules, poll_s={"flow_alerts": 10_000, NAME: 539}))
    assert {intake.endpoint for intake in fetch_flow(often, call(Job.FETCH_FLOW), later).intakes} == {NAME}


def test_the_configuration_takes_its_weight_and_its_interval_by_name(signal: None, tmp_path: Path) -> None:
    from tradebot.app.settings import load

    mine = tmp_path / "tradebot.yaml"
    mine.write_text(
        f"strategies: {{flow: {{weights: {{{NAME}: 0.1}}}}}}\nunusual_whales: {{poll_s: {{{NAME}: 240}}}}\n"
    )
    settings = load(mine, {}).settings
    assert settings.strategies.flow is not None
    assert (settings.strategies.flow.weights[NAME], settings.unusual_whales.poll_s[NAME]) == (0.1, 240)
    mine.write_text("strategies: {flow: {weights: {short_volumes: 0.1}}}\n")
    with pytest.raises(ConfigurationError, match=r"did you mean short_volume\?"):
        load(mine, {})
