"""docs/FAULTS.md is true: its tables name every word of the language, its example is read, its commands exist."""

import json
import re
from pathlib import Path

import pytest

from papervenue.faults.fault_table import FAULTS, NEEDED
from papervenue.faults.kinds import KINDS
from papervenue.faults.rules import CONDITIONS, PARTS, RuleError, read_rules

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "FAULTS.md").read_text(encoding="utf-8")

NEEDS = dict.fromkeys(("hang", "connection_lost", "late_arrival", "late_acknowledgement"), "5s")
NEEDS |= dict.fromkeys(("unknown_enum", "wrong_value", "null_field", "retyped_field", "new_field"), "status")
"""A value for each fault that has options, needs one and has no word for it in its row."""


def table(title: str) -> dict[str, list[str]]:
    """Return the rows of a section's table, by the word in their first column."""
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows}


def test_the_example_is_read() -> None:
    (example,) = re.findall(r"```yaml\n(.+?)```", TEXT, re.DOTALL)
    assert [rule.name for rule in read_rules(example)] == ["lost", "old-quotes", "forgetful"]


def test_every_word_of_a_rule_stands_in_the_table_and_its_examples_make_one() -> None:
    examples = {word: example.strip("`") for word, (_, example) in table("A rule").items()}
    assert tuple(examples) == PARTS
    (rule,) = read_rules("- " + "\n  ".join(f"{word}: {example}" for word, example in examples.items()))
    assert rule.written["name"] == examples["name"]


@pytest.mark.parametrize("word", PARTS)
def test_a_word_of_a_rule_is_needed_where_the_table_says_so(word: str) -> None:
    written = {"name": "x", "when": {}, "what": "reply_lost"}
    del written[word]
    if "needed" in table("A rule")[word][0]:
        with pytest.raises(RuleError, match=word):
            read_rules(json.dumps([written]))
    else:
        assert read_rules(json.dumps([written]))


def test_every_word_of_when_stands_in_the_table_in_its_order() -> None:
    assert tuple(table("When")) == tuple(CONDITIONS)


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


def words_of(cell: str) -> list[str]:
    """Return what stands in backticks, each as a rule has it behind a colon: its own star is quoted."""
    return [word.rpartition(": ")[2].replace("*", "'*'") for word in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_takes_each_value_that_its_row_names(name: str) -> None:
    value, options, _ = table("What")[name]
    needed = words_of(value)[:1] or [NEEDS.get(name, "")]
    whats = [f"{{{name}: {word}}}" for word in words_of(value)]
    for option in filter(None, options.split(";")):
        named = option.strip(" `").partition(":")[0]
        whats += [f"{{{name}: {needed[0]}, {named}: {word}}}" for word in words_of(option)]
    for what in whats:
        (rule,) = read_rules(f"- {{name: x, what: {what}}}")
        assert rule.fault == name


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
