"""What we ship is read by a quicker parser, which makes the same of it."""

from pathlib import Path

import pytest

from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.settings import shipped

SHIPPED = sorted(shipped("").rglob("*.yaml"))


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path.parent.name != "universes"], ids=lambda path: path.stem
)
def test_both_parsers_make_the_same_of_a_shipped_file(path: Path) -> None:
    assert repr(load_yaml(path, shipped=True)) == repr(load_yaml(path))
