"""No damaged page of any store is called a bug, sends anything, stops an exit or costs the books."""

import pytest

from tests.faults.pages import EXITS, REBUILDS, RIGHT, Case, campaign
from tests.suite.tiers import seed

SAMPLE = (
    "ledger.db:1:smeared",
    "ledger.db:5:swapped",
    "facts.db:3:filled",
    "replies.db:2:smeared",
    "state.id:0:zeroed",
)
"""The first is the damage with which every verb called itself a bug once."""
SHARE = 0.05
VERBS = frozenset({"positions", "why-no-orders", EXITS, *REBUILDS})


@pytest.mark.sampled
def test_verbs_name_damage_exits_go_on_and_recover_rebuilds_on_damaged_pages() -> None:
    """The campaigns draw a share of every page damaged in every way."""
    drawn = seed()
    found = campaign(map(Case.named, SAMPLE), VERBS) if drawn is None else campaign(share=SHARE, seed=drawn)
    assert {verb: counts for verb, counts in found.items() if counts.keys() - {RIGHT}} == {}
    assert found["recover"][RIGHT] >= 2
