"""Every enriched signal at once, on the embedded exchange: fetched as documented, scored, explained, read by exits."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.accepting import accept
from tests.bot import Bot, made
from tests.signals.test_components_enriched import COMPONENTS, FOLLOWERS
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.adapters.state.state_folder import FACTS
from tradebot.signals.components import component_of
from tradebot.signals.formula import evaluate
from tradebot.signals.kinds import kind_of

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


def test_each_value_can_be_computed_from_what_the_explanation_shows(
    enriched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
