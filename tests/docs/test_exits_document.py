"""The examples of docs/internals/EXITS.md load, and it says of each input where it comes from."""

import re

import yaml

from tests.docs.exits import PAGE
from tests.docs.tables import cells_of
from tradebot.exits.exit_rule import RuleInput
from tradebot.exits.rules import parse

TEXT = PAGE.read_text(encoding="utf-8")


def test_its_examples_load() -> None:
    whole, steps = (yaml.safe_load(example) for example in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
    for listed in (whole["strategies"]["flow"]["exits"], steps["exits"]):
        assert len(parse(listed)) == 3


def test_each_input_of_a_rule_has_a_row() -> None:
    assert [name for name, *_ in cells_of(TEXT, "| input |")] == list(RuleInput)
