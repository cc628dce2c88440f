"""What we ship is read by a quicker parser, which makes the same of it."""

from pathlib import Path
from typing import Any

import pytest

from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.settings import shipped

SHIPPED = sorted(shipped("").rglob("*.yaml"))


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path.parent.name != "universes"], ids=lambda path: path.stem
)
def test_both_parsers_make_the_same_of_a_shipped_file(path: Path) -> None:
    assert repr(load_yaml(path, shipped=True)) == repr(load_yaml(path))


def test_what_one_reader_changes_the_next_one_does_not_see(tmp_path: Path) -> None:
    file = tmp_path / "tradebot.yaml"
    file.write_text("limits: {symbols: [AAPL, {deep: [1]}]}\n")
    first: Any = load_yaml(file)
    first["limits"]["symbols"][1]["deep"].append(2)
    first["limits"]["symbols"].append("MSFT")
    first["limits"]["more"] = 1
    assert load_yaml(file) == {"limits": {"symbols": ["AAPL", {"deep": [1]}]}}
