"""docs/FAULTS.md is true: its tables name every word of the language, its example is read, its commands exist."""

import json
import re
from pathlib import Path

import pytest

from papervenue.faults.kinds import KINDS
from papervenue.faults.rules import CONDITIONS, PARTS, RuleError, read_rules
from tests.docs.listed_faults import COUNT, SECTIONS, faults

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "FAULTS.md").read_text(encoding="utf-8")


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


def test_each_number_has_exactly_one_test() -> None:
    assert [fault.number for fault in faults()] == list(range(1, COUNT + 1))


def test_each_fault_stands_in_the_file_of_its_kind_with_its_answer_in_one_line() -> None:
    kinds = {number: section.file for section in SECTIONS for number in range(section.first, section.last + 1)}
    assert [fault for fault in faults() if fault.file != kinds[fault.number] or not fault.answer] == []
