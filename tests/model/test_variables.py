"""What the environment says to the program is told apart from what it says to the settings by one table."""

import re
from pathlib import Path

from tradebot.app.settings import Settings, load
from tradebot.model.variables import NOT_SETTINGS, PREFIX

ROOT = Path(__file__).parents[2]
PLACEHOLDERS = {"TRADEBOT_SECTION"}


def test_settings_load_beside_every_variable_of_the_program() -> None:
    assert load(None, dict.fromkeys(NOT_SETTINGS, "x")) == load(None, {})


def test_each_variable_that_code_and_documents_name_is_in_the_table_or_a_setting() -> None:
    folders = ("tradebot", "commands", "jobs", "deploy", "docs")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix not in {".pyc", ".gz"}]
    texts = [path.read_text(errors="ignore") for path in files if path.is_file()]
    named = {name for text in texts for name in re.findall(rf"\b{PREFIX}[A-Z]+(?:_[A-Z]+)*", text)}
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    assert NOT_SETTINGS & named > {"TRADEBOT_STATE", "TRADEBOT_WATCHDOG"}
    assert named - NOT_SETTINGS - settings - PLACEHOLDERS == set()
