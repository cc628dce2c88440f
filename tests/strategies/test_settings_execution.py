"""How entries are sent, as the configuration says it: for all strategies, for one, and in no contradiction."""

from pathlib import Path

import pytest

from tradebot.app.rules import rules_of
from tradebot.app.settings import Settings, load
from tradebot.errors import OperatorError
from tradebot.model.order import Execution, LastStep, Style


def settings(folder: Path, text: str) -> Settings:
    (folder / "mine.yaml").write_text(text)
    return load(folder / "mine.yaml", {}).settings


def of_flow(folder: Path, text: str) -> Execution:
    found = settings(folder, text)
    return rules_of(found, found.exits).of("flow").execution


def test_entries_are_marketable_limits_unless_something_else_is_said_whatever_the_patience(tmp_path: Path) -> None:
    for text in ("mode: sandbox", "execution: {patience_s: 3600}"):
        assert of_flow(tmp_path, text).style is Style.MARKETABLE


def test_strategy_inherits_execution_settings_that_it_does_not_set(tmp_path: Path) -> None:
    own = "strategies: {flow: {execution: {style: passive, last_step: cancel}}}"
    found = of_flow(tmp_path, f"execution: {{patience_s: 40, steps: 2}}\n{own}\n")
    assert found == Execution(Style.PASSIVE, 40, 2, LastStep.CANCEL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "execution: {style: passive, patience_s: 150}",
            "execution: 3 steps and the first price, 150 s each, take 600 s, not less than limits.entry_life_s 600",
        ),
        (
            "strategies: {flow: {execution: {style: passive, steps: 9}}}",
            "strategies.flow.execution: 9 steps and the first price, 60 s each, take 600 s",
        ),
        ("strategies: {flow: {execution: {style: eager}}}", "strategies.flow.execution.style"),
        ("execution: {steps: -1}", "execution.steps"),
        ("execution: {patience: 60}", "did you mean patience_s?"),
    ],
)
def test_contradicting_execution_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(OperatorError, match=message.replace(".", r"\.").replace("?", r"\?")):
        settings(tmp_path, text)


def test_entries_of_no_strategy_in_use_are_sent_as_the_section_says(tmp_path: Path) -> None:
    found = settings(tmp_path, "execution: {style: market}\nstrategies: {flow: {execution: {style: passive}}}")
    rules = rules_of(found, found.exits)
    assert (rules.of("flow").execution.style, rules.of("by hand").execution.style) == (Style.PASSIVE, Style.MARKET)
