"""docs/internals/EXITS.md says what the files of the exit rules say, and its example loads."""

import re

import yaml

from tests.docs.exits import PAGE, page
from tradebot.exits.rules import parse


def test_the_document_is_what_the_files_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs"


def test_its_examples_load() -> None:
    whole, steps = (yaml.safe_load(example) for example in re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL))
    for listed in (whole["strategies"]["flow"]["exits"], steps["exits"]):
        assert len(parse(listed)) == 3
