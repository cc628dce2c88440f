"""docs/internals/EXITS.md says what the files of the exit rules say, and its example loads."""

import re

import yaml

from tests.docs.exits import PAGE, page
from tradebot.exits.lists import parse


def test_the_document_is_what_the_files_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs"


def test_its_example_loads() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)
    assert len(parse(yaml.safe_load(example)["strategies"]["flow"]["exits"])) == 3
