"""docs/FAULTS.md is true: its tables name every word of the language, its example is read, its commands exist."""

import re
from pathlib import Path

import pytest

from tradebot.exchange.faults.kinds import KINDS
from tradebot.exchange.faults.rules import CONDITIONS, read_rules
from tradebot.exchange.faults.table import FAULTS, NEEDED

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "FAULTS.md").read_text(encoding="utf-8")


def table(title: str) -> dict[str, list[str]]:
    """Return the rows of a section's table, by the word in their first column."""
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows}


def test_the_example_is_read() -> None:
    (example,) = re.findall(r"```yaml\n(.+?)```", TEXT, re.DOTALL)
    assert [rule.name for rule in read_rules(example)] == ["lost", "old-quotes"]


def test_every_word_of_when_stands_in_the_table_in_its_order() -> None:
    assert tuple(table("When")) == CONDITIONS


def test_each_example_of_when_is_read() -> None:
    for word, (_, examples) in table("When").items():
        for example in re.findall(r"`([^`]+)`", examples):
            needs = ", stream: trade_updates" if word == "event" else ""
            fault = "mute_stream" if word in ("stream", "event") else "reply_lost"
            (rule,) = read_rules(f"- {{name: x, what: {fault}, when: {{{word}: {example}{needs}}}}}")
            assert word in rule.written["when"]


def test_every_kind_of_request_is_named() -> None:
    listed = TEXT.partition("Kinds of request:")[2].partition("The exchange's own")[0]
    assert re.findall(r"`([^`]+)`", listed) == list(KINDS)


def test_every_fault_stands_in_the_table_in_its_order() -> None:
    assert list(table("What")) == list(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_the_options_and_the_defaults_that_its_row_says(name: str) -> None:
    value, options, _ = table("What")[name]
    fault = FAULTS[name]
    told = {words.split(": ")[0]: words for words in re.findall(r"`(\w+: [^`]+)`", options)}
    assert set(told) == set(fault.options)
    assert bool(value) == (fault.value is not None)
    for option, words in told.items():
        first, default = words.split(": ")[1], fault.options[option].default
        assert default is None or first == str(default)
    if fault.value is not None and fault.value.default in (302, "after"):
        assert value.startswith(f"`{fault.value.default}`")
    if fault.value is not None and fault.value.default is None:
        assert "or none" in value
    if fault.value is not None and fault.value.default is NEEDED:
        assert "none" not in value
