"""The recipe for a venue names places that are there, and the table of capabilities has them all."""

import re

from tests.kit.recipes import ROOT
from tradebot.model.venue import Capabilities
from tradebot.venues.alpaca.capabilities import ALPACA

PEOPLE = {"name", "title"}
"""Fields that only name the venue."""


def section(page: str, title: str) -> str:
    text = (ROOT / page).read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_place_of_the_recipe_is_there() -> None:
    named = re.findall(r"`((?:tradebot|tests|config)/[\w./]+)`", (ROOT / "docs" / "recipes" / "venue.md").read_text())
    assert len(named) > 8
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_every_capability_has_a_row_that_says_what_follows_from_it() -> None:
    rows = re.findall(r"^\| (`.+?) \| (.+?) \| .+ \|$", section("docs/internals/DECISIONS.md", "Venues"), re.MULTILINE)
    named = {name for names, _ in rows for name in re.findall(r"`(\w+)`", names)}
    assert named == set(Capabilities.__struct_fields__) - PEOPLE
    said = dict(rows)
    assert said["`short_reserve`"] == str(ALPACA.short_reserve)
    assert said["`settlement`"] == ALPACA.settlement.value
    assert said["`pairs`"] == ALPACA.pairs.value
