"""Which flow is needed: every installed strategy says, and one that can't say holds back nobody else's."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kit.strategies import WELL, install
from tests.kit.values import SHIPPED
from tradebot.adapters.plugins.plugin import PluginEnvironment
from tradebot.adapters.plugins.protocol import AnswerBounds
from tradebot.app.required_facts import Readers
from tradebot.app.rules import rules_of

SURROUNDINGS = PluginEnvironment(AnswerBounds(20.0, 2**31), os.environ, ())
FLOW = SHIPPED.strategies.in_use()["flow"]


def needed(in_use: Mapping[str, Mapping[str, object]]) -> list[str]:
    rules = rules_of(SHIPPED, SHIPPED.exits)
    return [kind.name for kind in Readers(in_use, SURROUNDINGS).needed_facts(rules)]


def test_needed_kinds_follow_the_order_of_the_configuration() -> None:
    configured = [name for name in SHIPPED.unusual_whales.poll_s if name != "market_tide"]
    assert needed({"flow": FLOW}) == [*configured, "insider", "risk_reversal"]
    expected = ["flow_alerts", "dark_pool", "options_volume", "iv_rank"]
    assert needed({"flow": {**FLOW, "weights": {"iv_rank": 0.5, "dark_pool": 0.5}}}) == expected


def test_plug_in_is_asked_for_its_needs_until_it_answers_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, {"reading": WELL}, "reading")
    monkeypatch.syspath_prepend(tmp_path)
    module, rules = tmp_path / "reading.py", rules_of(SHIPPED, SHIPPED.exits)
    text = module.read_text()
    readers = Readers({"reading": {}}, SURROUNDINGS)
    module.write_text("raise ValueError")
    assert readers.needed_facts(rules) == {}
    module.write_text(text)
    assert [(kind.name, symbols) for kind, symbols in readers.needed_facts(rules).items()] == [
        ("flow_alerts", rules.universe)
    ]
    module.write_text("raise ValueError")
    assert len(readers.needed_facts(rules)) == 1
